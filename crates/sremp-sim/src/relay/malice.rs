//! What a bad relay does.

use sremp_client::engine::Now;
use sremp_core::{
    channel::{ErrorReply, Message},
    error::ErrorCode,
    id::IdentityKey,
    relay::{Cursor, MessageId, PrekeyCounts, RelayMessage, StoredMessage, Subscription},
};
use sremp_net::LinkId;

use super::{Relay, Said, Subscriber};

/// What a relay does that it must not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Malice {
    /// Nothing.
    #[default]
    None,
    /// Promises to keep what it throws away.
    Drops,
    /// Promises to keep one envelope, the first that comes, and throws it away however often it comes.
    KeepsOneBack,
    /// Hands items over in any order.
    Reorders,
    /// Hands every item over again and again.
    Replays,
    /// Hands items over under other names than their senders gave them.
    Renames,
    /// Hands an item over twice under one cursor to whoever subscribes.
    BreaksRules,
    /// Names somebody else as the sender.
    Misattributes,
    /// Signs receipts that do not hold.
    ForgesReceipts,
    /// Confirms in the name of recipients.
    ForgesConfirmations,
    /// Gives another person's bundle.
    GivesAnothersBundle,
    /// Gives the first bundle that it ever had.
    GivesOldBundle,
    /// Gives the same one-time prekey to everybody.
    GivesPrekeysAgain,
    /// Lets no mailbox be read: no cursor is one of its own.
    RefusesCursors,
    /// Takes no new bundle from whoever has one there.
    KeepsToOneBundle,
    /// Has no bundle for anybody.
    WithholdsBundles,
    /// Takes nothing.
    RefusesAll,
    /// Promises to keep what comes until now.
    PromisesNothing,
    /// Keeps what comes for forty seconds.
    PromisesSeconds,
    /// Says nothing to whoever gives it anything.
    AnswersNoStore,
    /// Says that no one-time prekeys are left whenever it is given some.
    ForgetsPrekeys,
    /// Takes no prekeys.
    RefusesPrekeys,
    /// Registers nobody and takes no confirmations: to be asked again in 136 years.
    PutsOff,
    /// Pushes on beyond every credit, and never answers what its owners say to it.
    PushesOn,
}

/// Items that one who pushes on pushes at a time.
const PUSHED_ON: u64 = 600;

impl Relay {
    /// What it says instead of an answer, if it is bad in that way.
    pub(super) fn misbehave(
        &mut self,
        link: LinkId,
        message: &Message,
        now: Now,
    ) -> Option<Vec<Said>> {
        let asked = RelayMessage::decode(message).ok()?;
        let owner = (*self.guests.get(&link)?.connection.peer()).into();
        match (self.malice, asked) {
            (Malice::RefusesPrekeys, RelayMessage::PrekeysPut(_))
            | (
                Malice::PutsOff,
                RelayMessage::Register(_) | RelayMessage::DeliveryConfirmation(_),
            ) => {
                let error = ErrorReply {
                    retry_after_s: u32::MAX,
                    ..ErrorCode::RateLimited.into()
                };
                Some(vec![(link, RelayMessage::Error(error), message.req_id)])
            }
            (Malice::AnswersNoStore, RelayMessage::Store(_)) => Some(Vec::new()),
            (Malice::RefusesCursors, RelayMessage::Subscribe(_)) => {
                let error = RelayMessage::Error(ErrorCode::Cursor.into());
                Some(vec![(link, error, message.req_id)])
            }
            (Malice::BreaksRules, RelayMessage::Subscribe(subscribe)) => {
                let item = rubbish(&owner, subscribe.after.get() + 1, now);
                let pushed = RelayMessage::StoredMessage(item);
                Some(vec![
                    (link, pushed.clone(), message.req_id),
                    (link, pushed, message.req_id),
                ])
            }
            (Malice::PushesOn, RelayMessage::Subscribe(subscribe)) => {
                let subscriber = Subscriber {
                    link,
                    req_id: message.req_id,
                    after: subscribe.after.get(),
                    credits: Subscription::new(&subscribe, now.tick),
                };
                self.subscribers.insert(owner, subscriber);
                Some(self.push_on(&owner, now))
            }
            (
                Malice::PushesOn,
                RelayMessage::DeliveryConfirmation(_) | RelayMessage::Discard(_),
            ) => Some(self.push_on(&owner, now)),
            _ => None,
        }
    }

    fn push_on(&mut self, owner: &IdentityKey, now: Now) -> Vec<Said> {
        let Some(subscriber) = self.subscribers.get_mut(owner) else {
            return Vec::new();
        };
        let from = subscriber.after;
        subscriber.after += PUSHED_ON;
        let pushed = (from + 1..=subscriber.after).map(|cursor| rubbish(owner, cursor, now));
        let (link, req_id) = (subscriber.link, subscriber.req_id);
        pushed
            .map(|item| (link, RelayMessage::StoredMessage(item), req_id))
            .collect()
    }
}

/// What nobody can read.
fn rubbish(sender: &IdentityKey, cursor: u64, now: Now) -> StoredMessage {
    StoredMessage {
        message_id: MessageId::new(cursor),
        sender: *sender,
        timestamp: now.wall,
        encrypted_blob: vec![0; 1_024].into(),
        cursor: Cursor::new(cursor),
    }
}

/// Says that every one-time prekey is gone.
pub(super) const fn none_left() -> RelayMessage {
    RelayMessage::PrekeyCounts(PrekeyCounts {
        has_bundle: true,
        otps: 0,
    })
}
