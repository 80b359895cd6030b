//! Screens of this home: other homes of the same user that show what this one has. The built-in relay
//! serves them as a relay serves the owner of a mailbox, whose items are what has changed here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hkdf::Hkdf;
use serde_bytes::ByteBuf;
use sha2::Sha256;
use sremp_core::{
    channel::{Admission, Message},
    error::ErrorCode,
    id::{ContactId, IdentityKey},
    identity::{Identity, SecretIdentity, Username},
    key::NoiseSecret,
    rand_core::CryptoRng,
    relay::{Cursor, MessageId, RelayMessage, StoredMessage, Subscribe},
    time::UnixMillis,
};
use sremp_net::LinkId;
use zeroize::Zeroizing;

use super::{Engine, Output, Step};
use crate::store::{Change, Era, StoreError, Tx};

/// Screens that are served at once.
const MAX_SCREENS: usize = 4;
/// Records and their bytes that one screen may be told before it says that it has them.
pub(super) const CREDIT_ITEMS: u16 = 32;
pub(super) const CREDIT_BYTES: u32 = 512 * 1024;
/// What makes the identity of screens of the identity of their home.
const LABEL: &[u8] = b"SREMP/1/screen";

/// The identity that screens show to their home, and to nobody else: another than that of their owner,
/// and whoever has not the owner's key cannot tell whose it is.
pub(super) fn screens_identity(
    own: &SecretIdentity,
    now: UnixMillis,
    rng: &mut dyn CryptoRng,
) -> Option<SecretIdentity> {
    let parts = own.to_parts();
    let mut seed = Zeroizing::new([0; 32]);
    let hkdf = Hkdf::<Sha256>::new(None, parts.identity_seed.as_slice());
    hkdf.expand(LABEL, seed.as_mut()).ok()?;
    let name = Username::parse("screen").ok()?;
    let noise_key = NoiseSecret::generate(rng);
    Some(SecretIdentity::from_keys(&seed, noise_key, &name, now))
}

/// The screens that are served.
#[derive(Default)]
pub(super) struct Screens {
    /// What names them, and the era of what they are told; `None` without a built-in relay.
    served: Option<(ContactId, Era)>,
    /// The number of the last change before this step.
    noted: u64,
    admitted: BTreeSet<LinkId>,
    open: BTreeMap<LinkId, Follower>,
}

/// A screen that follows.
struct Follower {
    /// The request that is answered by records.
    request: Option<u32>,
    greeted: bool,
    /// It was told every change up to this number.
    told: u64,
    /// Records that it has not said to have: the number after which to go on, and bytes.
    unsettled: VecDeque<(u64, usize)>,
    items: usize,
    bytes: usize,
}

impl Follower {
    const fn new() -> Self {
        Self {
            request: None,
            greeted: false,
            told: 0,
            unsettled: VecDeque::new(),
            items: 0,
            bytes: 0,
        }
    }

    fn subscribe(&mut self, request: u32, subscribe: &Subscribe) {
        let after = subscribe.after.get();
        if self.request.replace(request).is_none() {
            self.told = after;
        }
        self.unsettled.retain(|(upto, _)| *upto > after);
        self.items = subscribe.credit_items.min(CREDIT_ITEMS).into();
        self.bytes = subscribe.credit_bytes.min(CREDIT_BYTES) as usize;
    }

    /// How many more records it may be told now.
    fn room(&self) -> usize {
        let bytes: usize = self.unsettled.iter().map(|(_, bytes)| bytes).sum();
        match bytes < self.bytes {
            true => self.items.saturating_sub(self.unsettled.len()),
            false => 0,
        }
    }
}

impl Screens {
    /// Notes changes from now on, if there is a built-in relay to tell of them.
    pub(super) fn load(
        tx: &mut Tx<'_>,
        on: bool,
        anew: bool,
        own: &SecretIdentity,
        now: UnixMillis,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, StoreError> {
        let era = tx.note_changes(on, anew, rng)?;
        let served = match era {
            Some(era) => screens_identity(own, now, rng).map(|screens| (screens.id(), era)),
            None => None,
        };
        Ok(Self {
            served,
            noted: tx.last_change()?,
            ..Self::default()
        })
    }

    /// Whether this is a screen of ours.
    pub(super) fn are(&self, identity: &Identity) -> bool {
        self.served.is_some_and(|(key, _)| key == identity.id())
    }

    pub(super) fn has_link(&self, link: LinkId) -> bool {
        self.open.contains_key(&link)
    }

    pub(super) fn is_admitted(&self, link: LinkId) -> bool {
        self.admitted.contains(&link)
    }

    /// How many follow.
    pub(super) fn count(&self) -> u64 {
        self.open.len() as u64
    }

    pub(super) fn closed(&mut self, link: LinkId) -> bool {
        self.admitted.remove(&link) | self.open.remove(&link).is_some()
    }
}

impl Engine {
    /// A screen wants in.
    pub(super) fn screen_shown(&mut self, step: &mut Step<'_, '_>, link: LinkId) {
        let all = self.screens.open.len() + self.screens.admitted.len();
        let admission = match all < MAX_SCREENS {
            true => {
                self.screens.admitted.insert(link);
                Admission::Accept
            }
            false => {
                self.refusals.count("screens");
                Admission::Close(ErrorCode::Busy)
            }
        };
        step.outputs.push(Output::Admit { link, admission });
    }

    pub(super) fn screen_opened(&mut self, link: LinkId) {
        self.screens.admitted.remove(&link);
        self.screens.open.insert(link, Follower::new());
    }

    /// A screen asks to be told, or says what it has.
    pub(super) fn screen_message(
        &mut self,
        step: &mut Step<'_, '_>,
        link: LinkId,
        message: &Message,
    ) {
        let follower = self.screens.open.get_mut(&link);
        match (RelayMessage::decode(message), follower) {
            (Ok(RelayMessage::Subscribe(subscribe)), Some(follower)) => {
                follower.subscribe(message.req_id, &subscribe);
            }
            _ => {
                self.refusals.count(ErrorCode::ProtocolViolation.name());
                self.screens.closed(link);
                let code = ErrorCode::ProtocolViolation;
                step.outputs.push(Output::Close { link, code });
            }
        }
    }

    /// At the end of a step: screens are told what has changed.
    pub(super) fn tell_screens(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        let Some((_, era)) = self.screens.served else {
            return Ok(());
        };
        step.tx.events_last(self.screens.noted)?;
        let last = step.tx.last_change()?;
        self.screens.noted = last;
        let own = IdentityKey::from(self.own.identity.id());
        for (link, follower) in &mut self.screens.open {
            let Some(request) = follower.request else {
                continue;
            };
            let tell = |step: &mut Step<'_, '_>, record: Vec<u8>, cursor: u64| {
                let stored = StoredMessage {
                    message_id: MessageId::new(cursor),
                    sender: own,
                    timestamp: step.now.wall,
                    encrypted_blob: ByteBuf::from(record),
                    cursor: Cursor::new(cursor),
                };
                let message = RelayMessage::StoredMessage(stored).to_message(request);
                step.outputs.push(Output::Send {
                    link: *link,
                    message,
                });
            };
            if !follower.greeted {
                follower.greeted = true;
                tell(step, Tx::greeting(&era), follower.told);
            }
            // room may be overdrawn by one change, never more
            while follower.told < last && follower.room() > 0 {
                let changes: Vec<Change> = step.tx.changes_after(follower.told, follower.room())?;
                for change in &changes {
                    if follower.room() == 0 {
                        break;
                    }
                    let records = step.tx.records(change)?;
                    if records.is_empty() {
                        self.refusals.count("record-too-large");
                    }
                    let count = records.len();
                    for (n, record) in records.into_iter().enumerate() {
                        // with the first of two it does not have the change yet
                        let upto = match n + 1 == count {
                            true => change.seq,
                            false => follower.told,
                        };
                        follower.unsettled.push_back((upto, record.len()));
                        tell(step, record, upto);
                    }
                    follower.told = change.seq;
                }
                if changes.is_empty() {
                    // the rest is of rows that changed again
                    follower.told = last;
                }
            }
        }
        Ok(())
    }
}
