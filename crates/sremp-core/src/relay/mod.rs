//! STAND-IN until the branch relay-core comes.
#![allow(missing_docs, clippy::missing_errors_doc)]

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::{
    channel::{HandshakeHash, Message, OpenRequests, TooManyRequests},
    contact_card::RelayHint,
    error::ErrorCode,
    id::{ContactId, EnvelopeId, IntroToken},
    identity::SecretIdentity,
    signature::{BadSignature, Signature, SignatureLabel},
    time::UnixMillis,
    wire::codec::{decode_exact, encode},
};

macro_rules! number {
    ($name:ident) => {
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub struct $name(u64);
        impl $name {
            pub const fn new(n: u64) -> Self {
                Self(n)
            }
            pub const fn get(self) -> u64 {
                self.0
            }
        }
        impl From<u64> for $name {
            fn from(n: u64) -> Self {
                Self(n)
            }
        }
    };
}
number!(MessageId);
number!(Cursor);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    Owner,
    Sender,
    Relay,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    pub message_id: MessageId,
    pub sender: ContactId,
    pub delivered_to: ContactId,
    pub timestamp: UnixMillis,
    pub blob_hash: EnvelopeId,
    pub signature: Signature,
}

impl Confirmation {
    fn payload(&self) -> Vec<u8> {
        [
            &self.message_id.get().to_le_bytes()[..],
            self.sender.as_bytes(),
            self.delivered_to.as_bytes(),
            &self.timestamp.get().to_le_bytes(),
            self.blob_hash.as_bytes(),
        ]
        .concat()
    }

    pub fn sign(
        own: &SecretIdentity,
        message_id: MessageId,
        sender: ContactId,
        timestamp: UnixMillis,
        blob_hash: EnvelopeId,
    ) -> Self {
        let mut made = Self {
            message_id,
            sender,
            delivered_to: own.id(),
            timestamp,
            blob_hash,
            signature: Signature::new([0; 64]),
        };
        made.signature = own.sign(SignatureLabel::Confirmation, &made.payload());
        made
    }

    pub fn verify(&self) -> Result<(), BadSignature> {
        let payload = self.payload();
        self.delivered_to
            .verify(SignatureLabel::Confirmation, &payload, &self.signature)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreReceipt {
    pub sender: ContactId,
    pub recipient: ContactId,
    pub message_id: MessageId,
    pub blob_hash: EnvelopeId,
    pub stored_at: UnixMillis,
    pub expires_at: UnixMillis,
}

impl StoreReceipt {
    fn payload(&self) -> Vec<u8> {
        [
            self.sender.as_bytes().as_slice(),
            self.recipient.as_bytes(),
            &self.message_id.get().to_le_bytes(),
            self.blob_hash.as_bytes(),
            &self.stored_at.get().to_le_bytes(),
            &self.expires_at.get().to_le_bytes(),
        ]
        .concat()
    }

    pub fn sign(&self, relay: &SecretIdentity) -> Vec<u8> {
        let signature = relay.sign(SignatureLabel::StoreReceipt, &self.payload());
        signature.as_bytes().to_vec()
    }

    pub fn verify(&self, relay: &ContactId, signature: &[u8]) -> Result<(), BadSignature> {
        let signature = Signature::from_slice(signature).ok_or(BadSignature)?;
        relay.verify(SignatureLabel::StoreReceipt, &self.payload(), &signature)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntroEntry {
    pub token_hash: [u8; 32],
    pub one_time: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredItem {
    pub message_id: MessageId,
    pub sender: ContactId,
    pub timestamp: UnixMillis,
    pub blob: ByteBuf,
    pub cursor: Cursor,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreRequest {
    pub recipient: ContactId,
    pub blob: Vec<u8>,
    pub message_id: u64,
    pub ttl: Duration,
    pub reply_relay: Option<RelayHint>,
    pub intro: Option<IntroToken>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RelayMessage {
    Register(Role, Option<Vec<u8>>),
    Granted,
    PutPrekeys(Option<Vec<u8>>, Vec<Vec<u8>>),
    Counts(bool, u16),
    GetPrekey(ContactId, Option<IntroToken>),
    Bundle(Vec<u8>),
    Senders(Vec<ContactId>, Vec<ContactId>, Option<Vec<IntroEntry>>),
    Ok,
    Store(StoreRequest),
    Stored(UnixMillis, UnixMillis, Vec<u8>),
    Subscribe(Cursor, u16, u32),
    Item(StoredItem),
    Confirm(Vec<Confirmation>),
    Confirmed(Vec<u16>),
    Push(Vec<Confirmation>),
    Discard(Vec<Cursor>),
    Superseded,
    Error(u16, u32),
}

impl RelayMessage {
    pub fn to_message(&self, req_id: u32) -> Message {
        Message {
            msg_type: 0x0100,
            req_id,
            body: encode(&(self,)),
        }
    }

    pub fn decode(message: &Message) -> Option<Self> {
        decode_exact::<(Self,)>(&message.body, 4 << 20)
            .ok()
            .map(|(m,)| m)
    }
}

#[derive(Clone, Debug)]
pub enum RelayEvent {
    Granted,
    Counts {
        req_id: u32,
        otps: u16,
    },
    Bundle {
        req_id: u32,
        bundle: Vec<u8>,
    },
    Stored {
        req_id: u32,
        stored_at: UnixMillis,
        expires_at: UnixMillis,
        signature: Vec<u8>,
    },
    Refused {
        req_id: u32,
        code: ErrorCode,
        retry_after: Duration,
    },
    Item(StoredItem),
    Confirmations {
        req_id: u32,
        list: Vec<Confirmation>,
    },
    Done {
        req_id: u32,
        refused: Vec<u16>,
    },
    Superseded,
}

#[derive(Debug)]
pub struct RelayClient {
    own: ContactId,
    relay: ContactId,
    role: Role,
    open: OpenRequests<()>,
    stores: BTreeMap<u32, (ContactId, MessageId, EnvelopeId)>,
}

type Asked = Result<Message, TooManyRequests>;

impl RelayClient {
    pub fn new(own: ContactId, relay: ContactId, role: Role) -> Self {
        Self {
            own,
            relay,
            role,
            open: OpenRequests::default(),
            stores: BTreeMap::new(),
        }
    }

    fn ask(&mut self, message: &RelayMessage) -> Asked {
        Ok(message.to_message(self.open.open(())?))
    }

    pub fn register(
        &mut self,
        _own: &SecretIdentity,
        _binding: &HandshakeHash,
        invite: Option<Vec<u8>>,
    ) -> Asked {
        self.ask(&RelayMessage::Register(self.role, invite))
    }

    pub fn put_prekeys(&mut self, bundle: Option<Vec<u8>>, otps: Vec<Vec<u8>>) -> Asked {
        self.ask(&RelayMessage::PutPrekeys(bundle, otps))
    }

    pub fn get_prekey(&mut self, recipient: ContactId, intro: Option<IntroToken>) -> Asked {
        self.ask(&RelayMessage::GetPrekey(recipient, intro))
    }

    pub fn set_senders(
        &mut self,
        accept: Vec<ContactId>,
        block: Vec<ContactId>,
        intro: Option<Vec<IntroEntry>>,
    ) -> Asked {
        self.ask(&RelayMessage::Senders(accept, block, intro))
    }

    pub fn store(&mut self, _own: &SecretIdentity, request: StoreRequest) -> Asked {
        let known = (
            request.recipient,
            request.message_id.into(),
            EnvelopeId::of(&request.blob),
        );
        let message = self.ask(&RelayMessage::Store(request))?;
        self.stores.insert(message.req_id, known);
        Ok(message)
    }

    pub fn subscribe(&mut self, after: Cursor, items: u16, bytes: u32) -> Asked {
        self.ask(&RelayMessage::Subscribe(after, items, bytes))
    }

    pub fn confirm(&mut self, list: Vec<Confirmation>) -> Asked {
        self.ask(&RelayMessage::Confirm(list))
    }

    pub fn discard(&mut self, list: Vec<Cursor>) -> Asked {
        self.ask(&RelayMessage::Discard(list))
    }

    pub fn acknowledge(&mut self, req_id: u32, refused: Vec<u16>) -> Message {
        RelayMessage::Confirmed(refused).to_message(req_id)
    }

    pub fn handle(&mut self, message: &Message) -> Result<Vec<RelayEvent>, ErrorCode> {
        let req_id = message.req_id;
        let decoded = RelayMessage::decode(message).ok_or(ErrorCode::ProtocolViolation)?;
        let event = match decoded {
            RelayMessage::Item(item) => RelayEvent::Item(item),
            RelayMessage::Superseded => RelayEvent::Superseded,
            RelayMessage::Push(list) => {
                let mine = |c: &Confirmation| c.sender == self.own && c.verify().is_ok();
                let list = list.into_iter().filter(mine).collect();
                RelayEvent::Confirmations { req_id, list }
            }
            RelayMessage::Counts(_, otps) if req_id == u32::MAX => {
                RelayEvent::Counts { req_id, otps }
            }
            answer => {
                if self.open.close(req_id).is_none() {
                    return Ok(Vec::new());
                }
                let stored = self.stores.remove(&req_id);
                match answer {
                    RelayMessage::Granted => RelayEvent::Granted,
                    RelayMessage::Counts(_, otps) => RelayEvent::Counts { req_id, otps },
                    RelayMessage::Bundle(bundle) => RelayEvent::Bundle { req_id, bundle },
                    RelayMessage::Stored(stored_at, expires_at, signature) => {
                        let (recipient, message_id, blob_hash) =
                            stored.ok_or(ErrorCode::ProtocolViolation)?;
                        StoreReceipt {
                            sender: self.own,
                            recipient,
                            message_id,
                            blob_hash,
                            stored_at,
                            expires_at,
                        }
                        .verify(&self.relay, &signature)
                        .map_err(|_| ErrorCode::ProtocolViolation)?;
                        RelayEvent::Stored {
                            req_id,
                            stored_at,
                            expires_at,
                            signature,
                        }
                    }
                    RelayMessage::Ok => RelayEvent::Done {
                        req_id,
                        refused: Vec::new(),
                    },
                    RelayMessage::Confirmed(refused) => RelayEvent::Done { req_id, refused },
                    RelayMessage::Error(code, retry) => RelayEvent::Refused {
                        req_id,
                        code: ErrorCode::from_u16(code).unwrap_or(ErrorCode::NotAllowed),
                        retry_after: Duration::from_secs(retry.into()),
                    },
                    _ => return Err(ErrorCode::ProtocolViolation),
                }
            }
        };
        Ok(vec![event])
    }
}
