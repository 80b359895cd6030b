//! One connection: what it may ask for at all, before it is known what it asks for.

use std::sync::{Arc, atomic::Ordering};

use sremp_core::{
    channel::Message,
    constants::MAX_OPEN_REQUESTS,
    error::ErrorCode,
    relay::{ServerConnection, is_answer, is_store, most_signatures},
};
use sremp_net::{Arrival, Guest};

use crate::{
    check::Check,
    clock::Clock,
    limits::{AddressBucket, price},
    mailbox::MailboxReader,
    requests::Requests,
    seats::Seat,
    service::Inner,
};

/// Signatures that are checked in the connection's own task, in half a millisecond. Others wait
/// there for their turn, so more are checked by a thread beside.
const CHECKED_HERE: usize = 8;

/// Confirmations of one message that are checked with the stores of the commit: of 64 such messages
/// no more than one equation has.
const CHECKED_TOGETHER: usize = 4;

/// Refusals beyond what was taken, after which a connection is closed: no more can have been under
/// way when it was told to wait, and to refuse costs as much as a small request.
const PATIENCE: usize = MAX_OPEN_REQUESTS;

/// One connection.
pub(crate) struct Connection<R: MailboxReader> {
    requests: Requests<R>,
    machine: ServerConnection,
    address: AddressBucket,
    /// Refused because it asks too much, less what was taken since.
    refused: usize,
}

impl<R: MailboxReader> Drop for Connection<R> {
    fn drop(&mut self) {
        let Requests { inner, seat } = &self.requests;
        inner.seats.leave(seat);
        inner.metrics.connections.dec();
    }
}

impl<R: MailboxReader> Connection<R> {
    pub(crate) fn new(inner: Arc<Inner<R>>, arrival: Arrival) -> Self {
        let peer = arrival.peer.id();
        let machine = ServerConnection::new(inner.identity.id(), peer, arrival.channel_binding);
        Self {
            machine,
            address: inner.limits.address(arrival.address),
            refused: 0,
            requests: Requests {
                seat: Arc::new(Seat::new(peer, arrival.handle)),
                inner,
            },
        }
    }

    /// Whether a message is within what one connection and one address may ask; else the cause, and
    /// when to ask again.
    fn is_within(&self, message: &Message, signatures: usize) -> Result<(), (&'static str, u32)> {
        let Requests { inner, seat } = &self.requests;
        // answers of the peer are paid for, but there is nothing to be counted as open
        if !is_answer(message) && !seat.begin() {
            return Err(("open requests of one connection", 1));
        }
        let paid = inner.limits.request(self.address, price(signatures));
        paid.map_err(|wait| ("requests of one address", wait))
    }

    /// Refuses a message unless it may be asked.
    ///
    /// # Errors
    /// The code to close the connection with, when it was told too often to wait.
    fn may_ask(&mut self, message: &Message, signatures: usize) -> Result<bool, ErrorCode> {
        let Err((cause, wait)) = self.is_within(message, signatures) else {
            self.refused = self.refused.saturating_sub(1);
            return Ok(true);
        };
        let Requests { inner, seat } = &self.requests;
        inner.metrics.refuse(cause);
        if !is_answer(message) {
            let wait = match is_store(message) {
                true => seat.holds().set(None, wait, inner.clock.tick()),
                false => wait,
            };
            seat.refuse(message.req_id, ErrorCode::RateLimited, wait);
        }
        self.refused = self.refused.saturating_add(1);
        match self.refused > PATIENCE {
            true => Err(ErrorCode::Busy),
            false => Ok(false),
        }
    }

    /// Has the signatures of a message checked elsewhere.
    fn check(&self, message: Message) {
        let Requests { inner, seat } = &self.requests;
        let req_id = message.req_id;
        seat.checking.fetch_add(1, Ordering::Relaxed);
        let check = Check::Message {
            seat: seat.clone(),
            machine: Box::new(self.machine.clone()),
            message,
        };
        if inner.checks.try_send(check).is_err() {
            seat.checking.fetch_sub(1, Ordering::Relaxed);
            inner.metrics.refuse("signatures to be checked");
            seat.refuse(req_id, ErrorCode::RateLimited, 1);
        }
    }
}

impl<R: MailboxReader> Guest for Connection<R> {
    fn handle(&mut self, message: Message) -> Result<(), ErrorCode> {
        let seat = &self.requests.seat;
        if self.machine.role().is_none()
            && let Some(role) = seat.role()
        {
            self.machine.registered(role);
        }
        let signatures = most_signatures(&message);
        if !self.may_ask(&message, signatures)? {
            return Ok(());
        }
        let seat = &self.requests.seat;
        // what comes behind such a message waits for it: a request may build on the one before
        let waits = seat.checking.load(Ordering::Relaxed) > 0;
        if self.machine.role().is_some() && (signatures > CHECKED_HERE || waits) {
            self.check(message);
            return Ok(());
        }
        if signatures <= CHECKED_TOGETHER
            && seat.is_trusted()
            && let Some(confirms) = self.machine.confirms(&message)
        {
            self.requests.confirm(message.req_id, confirms);
            return Ok(());
        }
        let handled = self.machine.handle(&message, Clock::wall());
        self.requests.take(message.req_id, handled)
    }
}
