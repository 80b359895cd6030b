//! The relay's side of one connection: what a message means, who may say it, whether it is signed.

use super::{
    Confirmation, Cursor, MessageId, PrekeyGet, Register, RelayDecodeError, RelayMessage, Retrieve,
    Role, SendersSet, StoreMessage, Subscribe,
    proof::{self, StoreClaim},
};
use crate::{
    channel::{ErrorReply, HandshakeHash, Message},
    constants::ENVELOPE_BUCKETS,
    error::ErrorCode,
    id::ContactId,
    session::prekey::{PrekeyBundle, PrekeyId, verify_one_time},
    signature::{BadSignature, Signature},
    time::UnixMillis,
};

/// One connection of a relay, from the moment it is open.
///
/// [`handle`](Self::handle) tells what a message asks for, with everything checked that needs no
/// stored state; the service does it and answers with the request's `req_id`.
#[derive(Clone, Debug)]
pub struct ServerConnection {
    relay: ContactId,
    peer: ContactId,
    h: HandshakeHash,
    role: Option<Role>,
}

/// What a registered peer asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// To be registered; its proof holds. [`ServerConnection::registered`] follows if it is.
    Register(Register),
    /// To keep these prekeys, or with none to be told how many there are.
    PrekeysPut(CheckedPrekeys),
    /// Somebody's bundle.
    PrekeyGet(PrekeyGet),
    /// To set who may write.
    SendersSet(SendersSet),
    /// To store; the signature is yet to be checked.
    Store(Box<UncheckedStore>),
    /// To be pushed what waits and what comes.
    Subscribe(Subscribe),
    /// A page of what waits.
    Retrieve(Retrieve),
    /// To delete what it has committed and to tell its senders.
    Confirm {
        /// Those whose signatures hold, with their places in the request.
        confirmations: Vec<(u16, Confirmation)>,
        /// Places of the others.
        refused: Vec<u16>,
    },
    /// To delete these, and tell nobody.
    Discard(Vec<Cursor>),
    /// To hand these on to their senders here: asked by another relay.
    HandOver {
        /// Those whose signatures hold, with their places in the request.
        confirmations: Vec<(u16, Confirmation)>,
        /// Places of the others.
        refused: Vec<u16>,
    },
    /// It has committed what was pushed under this `req_id`.
    Taken,
}

/// Prekeys whose every signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedPrekeys {
    /// The bundle without one-time prekey.
    pub bundle: Option<Vec<u8>>,
    /// One-time prekeys as they stand in a bundle.
    pub otps: Vec<(PrekeyId, Vec<u8>)>,
}

/// A store of the right form whose `sender_signature` is yet to be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UncheckedStore {
    /// What was asked for.
    pub message: StoreMessage,
    /// What has to be signed.
    pub claim: StoreClaim,
}

impl UncheckedStore {
    /// The signature that is claimed for it.
    pub const fn signature(&self) -> &Signature {
        &self.message.sender_signature
    }

    /// Checks the signature, strictly.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(&self, sender: &ContactId) -> Result<(), BadSignature> {
        self.claim.verify(sender, self.signature())
    }
}

/// What an owner confirms, with signatures that are yet to be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UncheckedConfirmations {
    /// What it says to have confirmed itself, with the places in the request.
    pub list: Vec<(u16, Confirmation)>,
    /// Places of the others.
    pub refused: Vec<u16>,
}

/// What to do instead of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Close the connection.
    Close(ErrorCode),
    /// Answer with ERROR.
    Reply(ErrorReply),
    /// Answer with a STORE_RESPONSE that says no.
    Store(MessageId, ErrorCode),
    /// An answer to nothing.
    Ignore,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self::Reply(code.into())
    }
}

impl ServerConnection {
    /// A connection of `peer`, who is yet to register, with this handshake hash.
    pub const fn new(relay: ContactId, peer: ContactId, h: HandshakeHash) -> Self {
        Self {
            relay,
            peer,
            h,
            role: None,
        }
    }

    /// Who is connected.
    pub const fn peer(&self) -> &ContactId {
        &self.peer
    }

    /// As what it is registered.
    pub const fn role(&self) -> Option<Role> {
        self.role
    }

    /// The registration was granted.
    pub const fn registered(&mut self, role: Role) {
        self.role = Some(role);
    }

    /// What a message of the peer asks for.
    ///
    /// # Errors
    /// [`Refusal`] when it may not be said, or not now, or not by this peer.
    pub fn handle(&self, message: &Message, now: UnixMillis) -> Result<Request, Refusal> {
        let decoded = match RelayMessage::decode(message) {
            Ok(decoded) => decoded,
            Err(RelayDecodeError::Malformed) => {
                return Err(Refusal::Close(ErrorCode::ProtocolViolation));
            }
            Err(RelayDecodeError::UnknownType) => return Err(ErrorCode::NotAllowed.into()),
        };
        match (decoded, self.role) {
            (RelayMessage::Register(register), _) => self.check_register(register),
            (RelayMessage::Confirmed { .. }, Some(_)) => Ok(Request::Taken),
            // the answers that a relay may get, and what only a relay says
            (RelayMessage::Error(_) | RelayMessage::Ok | RelayMessage::Confirmed { .. }, _) => {
                Err(Refusal::Ignore)
            }
            (_, None) => Err(ErrorCode::Auth.into()),
            (RelayMessage::ConfirmationPush(list), Some(Role::Relay)) => {
                let (confirmations, refused) = sift(list, |c| c.verify_any().is_ok());
                Ok(Request::HandOver {
                    confirmations,
                    refused,
                })
            }
            (_, Some(Role::Relay)) => Err(ErrorCode::NotAllowed.into()),
            (RelayMessage::Store(store), Some(_)) => self.check_store(store),
            (RelayMessage::PrekeyGet(get), Some(_)) => Ok(Request::PrekeyGet(get)),
            (decoded, Some(Role::Owner)) => self.of_owner(decoded, now),
            (_, Some(Role::Sender)) => Err(ErrorCode::NotAllowed.into()),
        }
    }

    /// What the peer confirms, for [`check_claims`](proof::check_claims) to check; `None` for every
    /// message that [`handle`](Self::handle) has to look at.
    pub fn confirms(&self, message: &Message) -> Option<UncheckedConfirmations> {
        if self.role != Some(Role::Owner) || message.msg_type != DELIVERY_CONFIRMATION {
            return None;
        }
        let Ok(RelayMessage::DeliveryConfirmation(list)) = RelayMessage::decode(message) else {
            return None;
        };
        let peer = self.peer.into();
        let (list, refused) = sift(list, |c| c.delivered_to == peer);
        Some(UncheckedConfirmations { list, refused })
    }

    fn check_register(&self, register: Register) -> Result<Request, Refusal> {
        if self.role.is_some() {
            return Err(Refusal::Close(ErrorCode::ProtocolViolation));
        }
        let proved = register.identity == self.peer.into()
            && proof::verify_auth(
                &self.relay,
                &self.h,
                &self.peer,
                register.role,
                &register.auth_signature,
            )
            .is_ok();
        match proved {
            true => Ok(Request::Register(register)),
            false => Err(ErrorCode::Auth.into()),
        }
    }

    fn check_store(&self, message: StoreMessage) -> Result<Request, Refusal> {
        if !ENVELOPE_BUCKETS.contains(&message.encrypted_blob.len()) {
            return Err(Refusal::Store(message.message_id, ErrorCode::TooLarge));
        }
        let claim = StoreClaim {
            relay: self.relay.into(),
            recipient: message.recipient,
            message_id: message.message_id,
            blob_hash: message.hash(),
            ttl: message.ttl,
        };
        Ok(Request::Store(Box::new(UncheckedStore { message, claim })))
    }

    fn of_owner(&self, message: RelayMessage, now: UnixMillis) -> Result<Request, Refusal> {
        match message {
            RelayMessage::PrekeysPut(put) => {
                let checked = self.check_prekeys(put.bundle, put.otps, now);
                checked
                    .map(Request::PrekeysPut)
                    .ok_or_else(|| ErrorCode::BadProof.into())
            }
            RelayMessage::SendersSet(set) => Ok(Request::SendersSet(set)),
            RelayMessage::Subscribe(subscribe) => Ok(Request::Subscribe(subscribe)),
            RelayMessage::Retrieve(retrieve) if retrieve.identity == self.peer.into() => {
                Ok(Request::Retrieve(retrieve))
            }
            RelayMessage::DeliveryConfirmation(list) => {
                let (confirmations, refused) = sift(list, |c| c.verify(&self.peer).is_ok());
                Ok(Request::Confirm {
                    confirmations,
                    refused,
                })
            }
            RelayMessage::Discard(cursors) => Ok(Request::Discard(cursors)),
            _ => Err(ErrorCode::NotAllowed.into()),
        }
    }

    fn check_prekeys(
        &self,
        bundle: Option<serde_bytes::ByteBuf>,
        otps: Vec<serde_bytes::ByteBuf>,
        now: UnixMillis,
    ) -> Option<CheckedPrekeys> {
        let bundle = bundle.map(serde_bytes::ByteBuf::into_vec);
        if let Some(bundle) = &bundle {
            let verified = PrekeyBundle::verify(bundle, &self.peer, now).ok()?;
            if verified.has_one_time_prekey() {
                return None;
            }
        }
        let checked = otps.into_iter().map(|otp| {
            let id = verify_one_time(&otp, &self.peer, now).ok()?;
            Some((id, otp.into_vec()))
        });
        Some(CheckedPrekeys {
            otps: checked.collect::<Option<_>>()?,
            bundle,
        })
    }
}

/// How many signatures [`ServerConnection::handle`] checks for a message, at most: as many as fit
/// into its length. To be asked before, as it is what a message costs.
pub const fn most_signatures(message: &Message) -> usize {
    let len = message.body.len();
    match message.msg_type {
        // for its owner, its signed prekey, its agreement key and the key of its envelopes
        0x0103 => len / MIN_OTP_LEN + 4,
        DELIVERY_CONFIRMATION | 0x0126 => len / MIN_CONFIRMATION_LEN,
        _ => 1,
    }
}

/// Whether a message answers one of the relay's, so that it is no request.
pub const fn is_answer(message: &Message) -> bool {
    matches!(message.msg_type, 0x0108 | 0x0125 | 0x00FF)
}

/// Whether a message asks to store one.
pub const fn is_store(message: &Message) -> bool {
    message.msg_type == 0x0110
}

const DELIVERY_CONFIRMATION: u16 = 0x0124;

/// Less than any one-time prekey or confirmation takes in a list.
const MIN_OTP_LEN: usize = 1_280;
const MIN_CONFIRMATION_LEN: usize = 170;

/// Those that hold, and the places of the others.
fn sift(
    list: Vec<Confirmation>,
    holds: impl Fn(&Confirmation) -> bool,
) -> (Vec<(u16, Confirmation)>, Vec<u16>) {
    let (mut good, mut refused) = (Vec::with_capacity(list.len()), Vec::new());
    for (place, confirmation) in (0..).zip(list) {
        if holds(&confirmation) {
            good.push((place, confirmation));
        } else {
            refused.push(place);
        }
    }
    (good, refused)
}
