//! The client's side of one connection: requests, and what their answers are worth.

mod subscribed;

use serde_bytes::ByteBuf;

use self::subscribed::{Name, Subscribed, name};
use super::{
    Capabilities, Confirmation, Cursor, Granted, MessageBatch, MessageId, PrekeyCounts, PrekeyGet,
    PrekeysPut, Receipt, Register, RelayDecodeError, RelayMessage, ReplyRelay, Retrieve, Role,
    SendersSet, StoreMessage, StoreResponse, StoredMessage, Subscribe,
    proof::{self, ReceiptClaim, StoreClaim},
};
use crate::{
    channel::{HandshakeHash, Message, OpenRequests, TooManyRequests},
    error::ErrorCode,
    id::{ContactId, EnvelopeId, IdentityKey, IntroToken},
    identity::SecretIdentity,
    time::UnixMillis,
};

/// One connection to a relay.
///
/// Each command gives the message to send, whose `req_id` its answer's event carries. What a relay
/// says is believed as far as it is signed: receipts and confirmations are checked here, envelopes
/// and bundles by those who open them.
#[derive(Debug)]
pub struct RelayClient {
    own: ContactId,
    relay: ContactId,
    open: OpenRequests<Asked>,
    subscribed: Option<Subscribed>,
}

/// What an open request asked for.
#[derive(Clone, Debug)]
enum Asked {
    Register,
    Prekeys,
    Bundle(IdentityKey),
    Senders,
    Store(StoreClaim),
    Subscribe,
    Retrieve(Retrieve),
    Confirm(Vec<Name>),
    Discard(Vec<Cursor>),
}

/// What a client wants stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToStore {
    /// Whose mailbox.
    pub recipient: IdentityKey,
    /// The envelope.
    pub envelope: Vec<u8>,
    /// Random, and the same for each try.
    pub message_id: MessageId,
    /// How long, seconds.
    pub ttl: u32,
    /// Where one has one's own mailbox, if not here.
    pub reply_relay: Option<ReplyRelay>,
    /// From a card of the recipient.
    pub intro: Option<IntroToken>,
}

/// What a relay's message means. `req_id` is that of the request which it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields that are named as in the messages")]
pub enum RelayEvent {
    /// The registration is granted.
    Granted(Granted),
    /// How many prekeys the relay has; unasked when they run short.
    Counts(PrekeyCounts),
    /// A bundle, not verified yet.
    Bundle {
        req_id: u32,
        recipient: IdentityKey,
        bundle: Vec<u8>,
    },
    /// A SENDERS_SET or a DISCARD is done.
    Done { req_id: u32 },
    /// A message is stored; the receipt holds.
    Stored {
        req_id: u32,
        claim: ReceiptClaim,
        receipt: Vec<u8>,
    },
    /// A request is refused. `code` may be one that is not known here.
    Refused {
        req_id: u32,
        code: u16,
        retry_after_s: u32,
    },
    /// An item of one's mailbox, pushed.
    Item(StoredMessage),
    /// A page of one's mailbox.
    Batch { req_id: u32, batch: MessageBatch },
    /// Confirmations were taken, but for those at these places.
    Confirmed { req_id: u32, refused: Vec<u16> },
    /// Recipients have one's messages: signed by whoever each says to be of, and yet to be answered
    /// with [`RelayClient::taken`] once this is committed. That it is the one to whom the message of
    /// this id went, and of the same bytes, is the caller's to check: a relay can sign as somebody.
    Confirmations {
        req_id: u32,
        confirmations: Vec<Confirmation>,
        /// Places of those that are not signed so, or not for this sender.
        refused: Vec<u16>,
    },
    /// Another connection reads the mailbox now.
    Superseded,
}

impl RelayClient {
    /// A connection of `own` to `relay`, with nothing asked yet.
    pub fn new(own: ContactId, relay: ContactId) -> Self {
        Self {
            own,
            relay,
            open: OpenRequests::default(),
            subscribed: None,
        }
    }

    /// The relay.
    pub const fn relay(&self) -> &ContactId {
        &self.relay
    }

    /// Requests that wait for their answer.
    pub fn open_requests(&self) -> usize {
        self.open.len()
    }

    fn ask(&mut self, asked: Asked, message: &RelayMessage) -> Result<Message, TooManyRequests> {
        let req_id = self.open.open(asked)?;
        Ok(message.to_message(req_id))
    }

    /// RELAY_REGISTER on the connection with this handshake hash.
    ///
    /// # Errors
    /// [`TooManyRequests`], as of every command.
    pub fn register(
        &mut self,
        own: &SecretIdentity,
        h: &HandshakeHash,
        role: Role,
        capabilities: Capabilities,
        invite: Option<Vec<u8>>,
    ) -> Result<Message, TooManyRequests> {
        let register = Register {
            identity: self.own.into(),
            auth_signature: proof::sign_auth(own, &self.relay, h, role),
            capabilities,
            role,
            invite: invite.map(ByteBuf::from),
        };
        self.ask(Asked::Register, &RelayMessage::Register(register))
    }

    /// PREKEYS_PUT; with nothing to put it asks for the counts.
    ///
    /// # Errors
    /// [`TooManyRequests`].
    pub fn prekeys_put(
        &mut self,
        bundle: Option<Vec<u8>>,
        otps: Vec<Vec<u8>>,
    ) -> Result<Message, TooManyRequests> {
        let put = PrekeysPut {
            bundle: bundle.map(ByteBuf::from),
            otps: otps.into_iter().map(ByteBuf::from).collect(),
        };
        self.ask(Asked::Prekeys, &RelayMessage::PrekeysPut(put))
    }

    /// PREKEY_GET.
    ///
    /// # Errors
    /// [`TooManyRequests`].
    pub fn prekey_get(
        &mut self,
        recipient: IdentityKey,
        intro: Option<IntroToken>,
    ) -> Result<Message, TooManyRequests> {
        let get = PrekeyGet { recipient, intro };
        self.ask(Asked::Bundle(recipient), &RelayMessage::PrekeyGet(get))
    }

    /// SENDERS_SET.
    ///
    /// # Errors
    /// [`TooManyRequests`].
    pub fn senders_set(&mut self, set: SendersSet) -> Result<Message, TooManyRequests> {
        self.ask(Asked::Senders, &RelayMessage::SendersSet(set))
    }

    /// STORE_MESSAGE.
    ///
    /// # Errors
    /// [`TooManyRequests`].
    pub fn store(
        &mut self,
        own: &SecretIdentity,
        store: ToStore,
    ) -> Result<Message, TooManyRequests> {
        let claim = StoreClaim {
            relay: self.relay.into(),
            recipient: store.recipient,
            message_id: store.message_id,
            blob_hash: EnvelopeId::of(&store.envelope),
            ttl: store.ttl,
        };
        let message = StoreMessage {
            recipient: store.recipient,
            encrypted_blob: ByteBuf::from(store.envelope),
            sender_signature: claim.sign(own),
            message_id: store.message_id,
            ttl: store.ttl,
            reply_relay: store.reply_relay,
            intro: store.intro,
        };
        self.ask(Asked::Store(claim), &RelayMessage::Store(message))
    }

    /// SUBSCRIBE; a second one takes the place of the first.
    ///
    /// # Errors
    /// [`TooManyRequests`].
    pub fn subscribe(&mut self, subscribe: Subscribe) -> Result<Message, TooManyRequests> {
        self.unsubscribe();
        let message = self.ask(Asked::Subscribe, &RelayMessage::Subscribe(subscribe))?;
        self.subscribed = Some(Subscribed::new(message.req_id, &subscribe));
        Ok(message)
    }

    fn unsubscribe(&mut self) {
        if let Some(subscribed) = self.subscribed.take() {
            self.open.close(subscribed.req_id);
        }
    }

    /// RETRIEVE_MESSAGES.
    ///
    /// # Errors
    /// [`TooManyRequests`].
    pub fn retrieve(&mut self, retrieve: Retrieve) -> Result<Message, TooManyRequests> {
        self.ask(Asked::Retrieve(retrieve), &RelayMessage::Retrieve(retrieve))
    }

    /// DELIVERY_CONFIRMATION, for what is committed. It counts against the credit no more: the relay
    /// may push the next before its answer, and may have settled what it then refuses as a whole.
    ///
    /// # Errors
    /// [`TooManyRequests`].
    pub fn confirm(&mut self, list: Vec<Confirmation>) -> Result<Message, TooManyRequests> {
        let names: Vec<Name> = list.iter().map(name).collect();
        let asked = Asked::Confirm(names.clone());
        let message = self.ask(asked, &RelayMessage::DeliveryConfirmation(list))?;
        if let Some(subscribed) = &mut self.subscribed {
            subscribed.confirmed(names.into_iter());
        }
        Ok(message)
    }

    /// DISCARD; counts as [`confirm`](Self::confirm) does.
    ///
    /// # Errors
    /// [`TooManyRequests`].
    pub fn discard(&mut self, cursors: Vec<Cursor>) -> Result<Message, TooManyRequests> {
        let asked = Asked::Discard(cursors.clone());
        let message = self.ask(asked, &RelayMessage::Discard(cursors.clone()))?;
        if let Some(subscribed) = &mut self.subscribed {
            subscribed.discarded(&cursors);
        }
        Ok(message)
    }

    /// CONFIRMATION_PUSH to another relay (role 3).
    ///
    /// # Errors
    /// [`TooManyRequests`].
    pub fn hand_over(&mut self, list: Vec<Confirmation>) -> Result<Message, TooManyRequests> {
        let asked = Asked::Confirm(list.iter().map(name).collect());
        self.ask(asked, &RelayMessage::ConfirmationPush(list))
    }

    /// The answer to [`RelayEvent::Confirmations`], after the commit.
    pub fn taken(req_id: u32, refused: Vec<u16>) -> Message {
        RelayMessage::Confirmed { refused }.to_message(req_id)
    }

    /// Ends a request whose answer was looked at elsewhere, or is not awaited any more.
    pub fn forget(&mut self, req_id: u32) {
        self.open.close(req_id);
    }

    /// What a message of the relay means; `None` for an answer to nothing.
    ///
    /// # Errors
    /// The code to close the connection with.
    pub fn handle(&mut self, message: &Message) -> Result<Option<RelayEvent>, ErrorCode> {
        let decoded = match RelayMessage::decode(message) {
            Ok(decoded) => decoded,
            Err(RelayDecodeError::Malformed) => return Err(ErrorCode::ProtocolViolation),
            Err(RelayDecodeError::UnknownType) => return Ok(None),
        };
        let req_id = message.req_id;
        match decoded {
            RelayMessage::StoredMessage(item) => self.pushed(req_id, item),
            RelayMessage::ConfirmationPush(list) => Ok(Some(self.confirmations(req_id, list))),
            RelayMessage::Superseded => {
                self.unsubscribe();
                Ok(Some(RelayEvent::Superseded))
            }
            RelayMessage::PrekeyCounts(counts) if req_id == 0 => {
                Ok(Some(RelayEvent::Counts(counts)))
            }
            answer => match self.open.close(req_id) {
                Some(asked) => self.answered(req_id, asked, answer),
                None => Ok(None),
            },
        }
    }

    fn pushed(
        &mut self,
        req_id: u32,
        item: StoredMessage,
    ) -> Result<Option<RelayEvent>, ErrorCode> {
        match &mut self.subscribed {
            Some(subscribed) if subscribed.req_id == req_id => match subscribed.takes(&item) {
                true => Ok(Some(RelayEvent::Item(item))),
                false => Err(ErrorCode::ProtocolViolation),
            },
            // of a subscription that another one has replaced
            _ => Ok(None),
        }
    }

    fn confirmations(&self, req_id: u32, list: Vec<Confirmation>) -> RelayEvent {
        let own = self.own.into();
        let (mut confirmations, mut refused) = (Vec::new(), Vec::new());
        for (place, confirmation) in (0..).zip(list) {
            if confirmation.sender == own && confirmation.verify_any().is_ok() {
                confirmations.push(confirmation);
            } else {
                refused.push(place);
            }
        }
        RelayEvent::Confirmations {
            req_id,
            confirmations,
            refused,
        }
    }

    fn answered(
        &mut self,
        req_id: u32,
        asked: Asked,
        answer: RelayMessage,
    ) -> Result<Option<RelayEvent>, ErrorCode> {
        let event = match (asked, answer) {
            (asked, RelayMessage::Error(error)) => {
                if matches!(asked, Asked::Subscribe) {
                    self.subscribed = None;
                }
                RelayEvent::Refused {
                    req_id,
                    code: error.code,
                    retry_after_s: error.retry_after_s,
                }
            }
            (Asked::Register, RelayMessage::Granted(granted)) => RelayEvent::Granted(granted),
            (Asked::Prekeys, RelayMessage::PrekeyCounts(counts)) => RelayEvent::Counts(counts),
            (Asked::Bundle(recipient), RelayMessage::PrekeyBundle(bundle)) => RelayEvent::Bundle {
                req_id,
                recipient,
                bundle,
            },
            (Asked::Senders, RelayMessage::Ok) => RelayEvent::Done { req_id },
            (Asked::Discard(cursors), RelayMessage::Ok) => {
                // one that was pushed again after it was named counts no more either
                if let Some(subscribed) = &mut self.subscribed {
                    subscribed.discarded(&cursors);
                }
                RelayEvent::Done { req_id }
            }
            (Asked::Store(claim), RelayMessage::StoreResponse(response)) => {
                self.stored(req_id, &claim, &response)?
            }
            (Asked::Retrieve(retrieve), RelayMessage::MessageBatch(batch)) => {
                if !is_page_of(&batch, &retrieve) {
                    return Err(ErrorCode::ProtocolViolation);
                }
                RelayEvent::Batch { req_id, batch }
            }
            (Asked::Confirm(names), RelayMessage::Confirmed { refused }) => {
                let beyond = |place: &u16| usize::from(*place) >= names.len();
                if refused.last().is_some_and(beyond) {
                    return Err(ErrorCode::ProtocolViolation);
                }
                if let Some(subscribed) = &mut self.subscribed {
                    let taken = (0u16..).zip(names);
                    let taken = taken.filter(|(place, _)| refused.binary_search(place).is_err());
                    subscribed.confirmed(taken.map(|(_, name)| name));
                }
                RelayEvent::Confirmed { req_id, refused }
            }
            _ => return Err(ErrorCode::ProtocolViolation),
        };
        Ok(Some(event))
    }

    /// A store counts only with a receipt that holds.
    fn stored(
        &self,
        req_id: u32,
        asked: &StoreClaim,
        response: &StoreResponse,
    ) -> Result<RelayEvent, ErrorCode> {
        if response.message_id != asked.message_id {
            return Err(ErrorCode::ProtocolViolation);
        }
        if let Some(code) = response.error {
            return Ok(RelayEvent::Refused {
                req_id,
                code,
                retry_after_s: 0,
            });
        }
        let claim = ReceiptClaim {
            sender: self.own.into(),
            recipient: asked.recipient,
            message_id: asked.message_id,
            blob_hash: asked.blob_hash,
            stored_at: response.stored_at,
            expires_at: response.expires_at,
        };
        let holds = Receipt::from_bytes(&response.receipt_signature)
            .is_some_and(|receipt| receipt.verify(&self.relay, &claim).is_ok());
        match holds {
            true => Ok(RelayEvent::Stored {
                req_id,
                claim,
                receipt: response.receipt_signature.to_vec(),
            }),
            false => Ok(RelayEvent::Refused {
                req_id,
                code: ErrorCode::BadProof.to_u16(),
                retry_after_s: 0,
            }),
        }
    }
}

/// Whether a page is one that was asked for: in order, behind `after`, not longer, and with more to
/// come only if it leads on, so that no relay keeps a client asking for the same page.
fn is_page_of(batch: &MessageBatch, retrieve: &Retrieve) -> bool {
    let mut last = retrieve.after;
    let mut in_order = batch.messages.iter().map(|item| {
        let next = item.cursor > last;
        last = item.cursor;
        next
    });
    let since = |at: UnixMillis| retrieve.since.is_none_or(|since| at >= since);
    in_order.all(|next| next)
        && batch.messages.iter().all(|item| since(item.timestamp))
        && is_short_enough(&batch.messages, retrieve)
        && batch.next >= last
        && (batch.next > retrieve.after || !batch.has_more)
}

/// A single item may be larger than what was asked for: it could never be read otherwise.
fn is_short_enough(messages: &[StoredMessage], retrieve: &Retrieve) -> bool {
    let bytes: usize = messages.iter().map(|item| item.encrypted_blob.len()).sum();
    let max_bytes = usize::try_from(retrieve.max_bytes).unwrap_or(usize::MAX);
    messages.len() <= usize::from(retrieve.max_items) && (bytes <= max_bytes || messages.len() == 1)
}
