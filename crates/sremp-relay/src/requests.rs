//! What a relay does for a connection, once it is decided that it may ask: one call of the store.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize},
};

use sremp_core::{
    constants::MAX_CREDIT_ITEMS,
    error::ErrorCode,
    id::IdentityKey,
    relay::{
        CheckedPrekeys, Confirmation, IntroEntry, Refusal, Register, RelayMessage, Request,
        Retrieve, Role, SendersSet, Subscribe, Subscription, UncheckedConfirmations,
        UncheckedStore,
    },
    time::UnixMillis,
};

use crate::{
    answer::{Answer, HandOver, To, add_confirmation},
    clock::Clock,
    desk::{self, Job},
    intake::Work,
    mailbox::{IntroHash, IntroRule, MailboxReader, Op, Route},
    seats::Seat,
    service::Inner,
};

/// Carries out the requests of one connection.
pub(crate) struct Requests<R> {
    pub(crate) inner: Arc<Inner<R>>,
    pub(crate) seat: Arc<Seat>,
}

fn cause(code: u16) -> &'static str {
    ErrorCode::from_u16(code).map_or("unknown", ErrorCode::name)
}

impl<R: MailboxReader> Requests<R> {
    /// Carries out a request, or says why not.
    ///
    /// # Errors
    /// The code to close the connection with.
    pub(crate) fn take(
        &self,
        req_id: u32,
        handled: Result<Request, Refusal>,
    ) -> Result<(), ErrorCode> {
        match handled {
            Ok(Request::Register(register)) => return self.register(req_id, &register),
            Ok(request) => self.serve(req_id, request),
            Err(Refusal::Close(code)) => {
                self.inner.metrics.refuse(code.name());
                return Err(code);
            }
            Err(Refusal::Reply(error)) => {
                self.inner.metrics.refuse(cause(error.code));
                self.seat.send(&RelayMessage::Error(error), req_id);
            }
            Err(Refusal::Store(message_id, code)) => {
                self.inner.metrics.refuse(code.name());
                self.seat.refuse_store(req_id, message_id, code);
            }
            Err(Refusal::Ignore) => {}
        }
        Ok(())
    }

    fn to(&self, req_id: u32) -> To {
        To {
            seat: self.seat.clone(),
            req_id,
        }
    }

    /// Hands in a change, or refuses it because too much waits.
    fn change(&self, req_id: u32, op: Op, answer: Answer) {
        if !self.submit(op, answer) {
            self.refuse(req_id, ErrorCode::RateLimited, 1);
        }
    }

    fn submit(&self, op: Op, answer: Answer) -> bool {
        let op = Box::new(op);
        let submitted = self.inner.intake.submit(Work::Change { op, answer });
        submitted.is_ok()
    }

    fn refuse(&self, req_id: u32, code: ErrorCode, retry_after_s: u32) {
        self.inner.metrics.refuse(code.name());
        self.seat.refuse(req_id, code, retry_after_s);
    }

    fn serve(&self, req_id: u32, request: Request) {
        let owner = self.seat.key();
        match request {
            // its caller has done it
            Request::Register(_) => {}
            Request::Store(store) => self.store(req_id, store),
            Request::PrekeysPut(CheckedPrekeys { bundle, otps }) => {
                let op = Op::PutPrekeys {
                    owner,
                    bundle,
                    one_time: otps.into_iter().map(|(_, otp)| otp).collect(),
                };
                self.change(req_id, op, Answer::Counts(self.to(req_id)));
            }
            Request::PrekeyGet(get) => {
                let op = Op::TakePrekey {
                    asker: owner,
                    recipient: get.recipient,
                    intro: get.intro,
                };
                self.change(req_id, op, Answer::Bundle(self.to(req_id), get.recipient));
            }
            Request::SendersSet(set) => {
                let op = set_senders(owner, set);
                self.change(req_id, op, Answer::Ok(self.to(req_id)));
            }
            Request::Subscribe(subscribe) => self.subscribe(req_id, &subscribe),
            Request::Retrieve(retrieve) => self.retrieve(req_id, retrieve),
            Request::Confirm {
                confirmations,
                refused,
            } => {
                let (op, answer) = Answer::confirm(self.to(req_id), confirmations, refused);
                self.change(req_id, op, answer);
            }
            Request::Discard(cursors) => {
                let op = Op::Discard {
                    owner,
                    cursors: cursors.clone(),
                };
                self.change(req_id, op, Answer::Discarded(self.to(req_id), cursors));
            }
            Request::HandOver {
                confirmations,
                refused,
            } => self.hand_over(req_id, confirmations, refused),
            Request::Taken => self.taken(req_id),
        }
    }

    fn register(&self, req_id: u32, register: &Register) -> Result<(), ErrorCode> {
        if !self.seat.asks() {
            self.inner
                .metrics
                .refuse(ErrorCode::ProtocolViolation.name());
            return Err(ErrorCode::ProtocolViolation);
        }
        match register.role {
            Role::Owner => self.register_owner(req_id, register),
            role @ (Role::Sender | Role::Relay) => self.register_guest(req_id, register, role),
        }
        Ok(())
    }

    /// An owner is registered when its mailbox is committed.
    fn register_owner(&self, req_id: u32, register: &Register) {
        let invite = register.invite.as_ref().map(|invite| invite.as_slice());
        let invite = match self.inner.may_own(&self.seat.peer, invite) {
            Ok(invite) => invite,
            Err(code) => {
                self.inner.not_registered(&self.seat, None);
                return self.refuse(req_id, code, 0);
            }
        };
        let op = Op::OpenMailbox {
            owner: self.seat.key(),
        };
        let granted = self.inner.granted(&register.capabilities);
        if !self.submit(op, Answer::Granted(self.to(req_id), granted, invite)) {
            self.inner.not_registered(&self.seat, invite);
            self.refuse(req_id, ErrorCode::RateLimited, 1);
        }
    }

    /// Nothing is kept of the others.
    fn register_guest(&self, req_id: u32, register: &Register, role: Role) {
        self.seat.registered(Some(role));
        let granted = self.inner.granted(&register.capabilities);
        self.seat.send(&RelayMessage::Granted(granted), req_id);
        if role == Role::Sender {
            self.seat.lane.start();
            self.inner.seats.register(&self.seat);
            self.inner.read_confirmations(&self.seat);
        }
    }

    fn store(&self, req_id: u32, store: Box<UncheckedStore>) {
        let message_id = store.claim.message_id;
        let limits = &self.inner.config.mailbox;
        let size = u32::try_from(store.message.encrypted_blob.len()).unwrap_or(u32::MAX);
        if size > limits.max_message_size {
            self.inner.metrics.refuse(ErrorCode::TooLarge.name());
            return self
                .seat
                .refuse_store(req_id, message_id, ErrorCode::TooLarge);
        }
        if let Err(wait) = self.may_store(&store.claim.recipient) {
            return self.refuse(req_id, ErrorCode::RateLimited, wait);
        }
        let work = Work::Store {
            seat: self.seat.clone(),
            req_id,
            store,
        };
        if self.inner.intake.submit(work).is_err() {
            let wait = self.seat.holds().set(None, 1, self.inner.clock.tick());
            self.refuse(req_id, ErrorCode::RateLimited, wait);
        }
    }

    /// Hands in what an owner confirms, for its signatures to be checked.
    pub(crate) fn confirm(&self, req_id: u32, confirms: UncheckedConfirmations) {
        let to = self.to(req_id);
        let work = Work::Confirm { to, confirms };
        if self.inner.intake.submit(work).is_err() {
            self.refuse(req_id, ErrorCode::RateLimited, 1);
        }
    }

    /// Whether the peer stores no more than it may; else in how many seconds to ask again.
    fn may_store(&self, mailbox: &IdentityKey) -> Result<(), u32> {
        let (limits, now) = (&self.inner.limits, self.inner.clock.tick());
        let mut holds = self.seat.holds();
        if let Some(wait) = holds.wait(mailbox, now) {
            return Err(wait);
        }
        let sender = limits.sender(&self.seat.key());
        sender.map_err(|wait| holds.set(None, wait, now))?;
        let written = limits.mailbox(mailbox);
        written.map_err(|wait| holds.set(Some(*mailbox), wait, now))
    }

    fn subscribe(&self, req_id: u32, subscribe: &Subscribe) {
        if desk::is_beyond(&self.inner.reader, &self.seat, subscribe.after) {
            return self.refuse(req_id, ErrorCode::Cursor, 0);
        }
        debug_assert!(subscribe.credit_items <= MAX_CREDIT_ITEMS);
        let subscription = Subscription::new(subscribe, self.inner.clock.tick());
        self.seat.feed.start(req_id, subscription, subscribe.after);
        // its answers are pushes
        self.seat.settled();
        if let Some(before) = self.inner.seats.subscribe(&self.seat) {
            before.feed.stop();
            before.send(&RelayMessage::Superseded, 0);
        }
        self.inner.read_feed(&self.seat);
    }

    fn retrieve(&self, req_id: u32, retrieve: Retrieve) {
        if desk::is_beyond(&self.inner.reader, &self.seat, retrieve.after) {
            return self.refuse(req_id, ErrorCode::Cursor, 0);
        }
        self.inner.desk(Job::Page(self.to(req_id), retrieve));
    }

    fn taken(&self, req_id: u32) {
        let (ids, more) = self.seat.lane.taken(req_id);
        if !ids.is_empty() {
            let op = Op::ConfirmationsTaken {
                route: Route::Sender(self.seat.key()),
                ids,
            };
            self.inner.intake.insist(Work::Change {
                op: Box::new(op),
                answer: Answer::None,
            });
        }
        if more {
            self.inner.read_confirmations(&self.seat);
        }
    }

    fn hand_over(&self, req_id: u32, confirmations: Vec<(u16, Confirmation)>, refused: Vec<u16>) {
        if confirmations.is_empty() {
            return self.seat.send(&RelayMessage::Confirmed { refused }, req_id);
        }
        let expires = self.waits_until();
        let request = Arc::new(HandOver {
            to: self.to(req_id),
            refused: refused.into(),
            left: AtomicUsize::new(confirmations.len()),
            busy: AtomicBool::new(false),
        });
        for (place, confirmation) in confirmations {
            let op = add_confirmation(confirmation.clone(), expires);
            let answer = Answer::HandedOver(request.clone(), place, Box::new(confirmation));
            if !self.submit(op, answer) {
                request.busy();
            }
        }
    }

    /// A confirmation from elsewhere does not say how long its item was kept: as long as any here.
    fn waits_until(&self) -> UnixMillis {
        let retention = self.inner.config.mailbox.max_retention;
        Clock::wall().plus(std::time::Duration::from_secs(retention.into()))
    }
}

fn set_senders(owner: IdentityKey, set: SendersSet) -> Op {
    let rule = |entry: IntroEntry| IntroRule {
        hash: IntroHash::new(*entry.hash.as_bytes()),
        one_time: entry.one_time,
    };
    Op::SetSenders {
        owner,
        accept: set.accept,
        block: set.block,
        intro: set.intro.map(|list| list.into_iter().map(rule).collect()),
    }
}
