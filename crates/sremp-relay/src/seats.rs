//! Who is connected: a seat for each registered connection, found by identity key.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
};

use sremp_core::{
    constants::MAX_OPEN_REQUESTS,
    error::ErrorCode,
    id::{ContactId, IdentityKey},
    relay::{RelayMessage, Role, StoreResponse},
    time::UnixMillis,
};
use sremp_net::{LinkCommand, LinkHandle, NotQueued};

use crate::{confirmations::Lane, feed::Feed, holds::Holds};

/// A connection that answers go to.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) peer: ContactId,
    handle: LinkHandle,
    /// What is pushed of the peer's mailbox, once it has subscribed.
    pub(crate) feed: Feed,
    /// What is pushed of the confirmations that wait for the peer.
    pub(crate) lane: Lane,
    /// Requests of the peer that are not answered yet.
    open: AtomicUsize,
    /// Messages of the peer whose signatures are being checked elsewhere.
    pub(crate) checking: AtomicUsize,
    /// It has signed something badly: its confirmations spoil no equation of a commit any more.
    mistrusted: AtomicBool,
    /// [`UNREGISTERED`], [`ASKED`], or a role.
    registration: AtomicU8,
    holds: Mutex<Holds>,
}

const UNREGISTERED: u8 = 0;
const ASKED: u8 = u8::MAX;

impl Seat {
    pub(crate) fn new(peer: ContactId, handle: LinkHandle) -> Self {
        Self {
            peer,
            handle,
            feed: Feed::default(),
            lane: Lane::default(),
            open: AtomicUsize::default(),
            checking: AtomicUsize::default(),
            mistrusted: AtomicBool::default(),
            registration: AtomicU8::new(UNREGISTERED),
            holds: Mutex::default(),
        }
    }

    /// What the peer may not store now.
    pub(crate) fn holds(&self) -> MutexGuard<'_, Holds> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn key(&self) -> IdentityKey {
        self.peer.into()
    }

    pub(crate) fn is_trusted(&self) -> bool {
        !self.mistrusted.load(Ordering::Relaxed)
    }

    pub(crate) fn mistrust(&self) {
        self.mistrusted.store(true, Ordering::Relaxed);
    }

    /// As what the peer is registered: not before what makes it so is committed.
    pub(crate) fn role(&self) -> Option<Role> {
        let role = self.registration.load(Ordering::Acquire);
        [Role::Owner, Role::Sender, Role::Relay]
            .into_iter()
            .find(|r| r.to_u8() == role)
    }

    /// The peer wants to be registered; `false` if it asked already.
    pub(crate) fn asks(&self) -> bool {
        let asked = self.registration.compare_exchange(
            UNREGISTERED,
            ASKED,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        asked.is_ok()
    }

    /// It is, or is not and may ask again.
    pub(crate) fn registered(&self, role: Option<Role>) {
        let role = role.map_or(UNREGISTERED, Role::to_u8);
        self.registration.store(role, Ordering::Release);
    }

    /// A request has come; `false` if too many are open. Each is ended by an answer that is sent,
    /// or by [`Self::settled`].
    pub(crate) fn begin(&self) -> bool {
        self.open.fetch_add(1, Ordering::Relaxed) < MAX_OPEN_REQUESTS
    }

    /// A request needs no answer.
    pub(crate) fn settled(&self) {
        let less = |open: usize| Some(open.saturating_sub(1));
        // the closure always gives a number
        let _ = self
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Sends a message. One that reads too slowly to take its answers is closed: what it was not
    /// told it will ask again.
    pub(crate) fn send(&self, message: &RelayMessage, req_id: u32) {
        if is_answer(message, req_id) {
            self.settled();
        }
        if self.try_send(message, req_id) == Err(NotQueued::Full) {
            self.close(ErrorCode::Busy);
        }
    }

    /// Sends a message if there is room for it.
    pub(crate) fn try_send(&self, message: &RelayMessage, req_id: u32) -> Result<(), NotQueued> {
        self.handle
            .try_send(LinkCommand::Send(message.to_message(req_id)))
    }

    /// Refuses a request.
    pub(crate) fn refuse(&self, req_id: u32, code: ErrorCode, retry_after_s: u32) {
        let error = sremp_core::channel::ErrorReply {
            retry_after_s,
            ..code.into()
        };
        self.send(&RelayMessage::Error(error), req_id);
    }

    /// Refuses a store.
    pub(crate) fn refuse_store(
        &self,
        req_id: u32,
        message_id: sremp_core::relay::MessageId,
        code: ErrorCode,
    ) {
        let response = StoreResponse {
            success: false,
            stored_at: UnixMillis::ZERO,
            message_id,
            expires_at: UnixMillis::ZERO,
            receipt_signature: serde_bytes::ByteBuf::new(),
            error: Some(code.to_u16()),
        };
        self.send(&RelayMessage::StoreResponse(response), req_id);
    }

    pub(crate) fn close(&self, code: ErrorCode) {
        let _ = self.handle.try_send(LinkCommand::Close(code));
    }
}

/// Whether a message ends the request of this id; the others are pushed unasked.
const fn is_answer(message: &RelayMessage, req_id: u32) -> bool {
    let pushed = matches!(
        message,
        RelayMessage::StoredMessage(_)
            | RelayMessage::Superseded
            | RelayMessage::ConfirmationPush(_)
    );
    req_id != 0 && !pushed
}

/// All seats.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    /// Those registered as owner or sender; confirmations go to the last.
    registered: RwLock<HashMap<IdentityKey, Vec<Arc<Seat>>>>,
    subscribers: RwLock<HashMap<IdentityKey, Arc<Seat>>>,
    open: AtomicUsize,
}

impl Seats {
    /// A connection has come; `false` if there are as many as may be.
    pub(crate) fn enter(&self, max: usize) -> bool {
        let admit = |open: usize| (open < max).then_some(open.saturating_add(1));
        self.open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, admit)
            .is_ok()
    }

    /// It will get the confirmations for its peer.
    pub(crate) fn register(&self, seat: &Arc<Seat>) {
        let mut registered = self
            .registered
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        registered.entry(seat.key()).or_default().push(seat.clone());
    }

    /// It reads its peer's mailbox from now on; who did so before is returned.
    pub(crate) fn subscribe(&self, seat: &Arc<Seat>) -> Option<Arc<Seat>> {
        let mut subscribers = self
            .subscribers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let before = subscribers.insert(seat.key(), seat.clone());
        before.filter(|before| !Arc::ptr_eq(before, seat))
    }

    pub(crate) fn subscriber(&self, owner: &IdentityKey) -> Option<Arc<Seat>> {
        let subscribers = self
            .subscribers
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        subscribers.get(owner).cloned()
    }

    /// Who gets the confirmations for a sender.
    pub(crate) fn sender(&self, sender: &IdentityKey) -> Option<Arc<Seat>> {
        let registered = self
            .registered
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        registered.get(sender)?.last().cloned()
    }

    /// A connection has ended.
    pub(crate) fn leave(&self, seat: &Arc<Seat>) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        let key = seat.key();
        let mut registered = self
            .registered
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(seats) = registered.get_mut(&key) {
            seats.retain(|other| !Arc::ptr_eq(other, seat));
            if seats.is_empty() {
                registered.remove(&key);
            }
        }
        drop(registered);
        let mut subscribers = self
            .subscribers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if subscribers
            .get(&key)
            .is_some_and(|other| Arc::ptr_eq(other, seat))
        {
            subscribers.remove(&key);
        }
    }
}
