//! What a relay does with its connections: decide in core, then one call of the store.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
    mpsc::Sender,
};

use sremp_core::{
    channel::{Admission, Message, Service as ServiceKind},
    constants::{MAX_CREDIT_ITEMS, MAX_RELAY_INVITE},
    contact_card::RelayHint,
    error::ErrorCode,
    id::{ContactId, IntroToken},
    identity::{Identity, SecretIdentity},
    relay::{
        Capabilities, CheckedPrekeys, Cursor, Granted, Refusal, Register, RelayMessage, ReplyRelay,
        Request, Retrieve, Role, SendersSet, ServerConnection, Subscribe, Subscription,
        UncheckedStore,
    },
    time::UnixMillis,
};
use sremp_net::{Arrival, Guest, Serve};
use tokio::sync::Notify;

use crate::{
    answer::{Answer, HandOver, To, add_confirmation},
    checker,
    clock::Clock,
    config::{Config, Policy},
    desk::{self, Job},
    intake::{Intake, Work},
    invite::{InviteKey, UsedInvites},
    limits::{AddressBucket, Limits},
    mailbox::{IntroHash, IntroRule, MailboxReader, Op},
    metrics::Metrics,
    seats::{Seat, Seats},
};

/// What all connections of a relay share.
pub(crate) struct Inner<R> {
    pub(crate) identity: SecretIdentity,
    pub(crate) config: Config,
    pub(crate) limits: Limits,
    pub(crate) invites: InviteKey,
    pub(crate) used_invites: UsedInvites,
    pub(crate) metrics: Metrics,
    pub(crate) seats: Seats,
    pub(crate) intake: Intake,
    pub(crate) desk: Sender<Job>,
    pub(crate) reader: R,
    pub(crate) clock: Clock,
    /// Wakes whoever hands confirmations to other relays.
    pub(crate) forward: Notify,
    /// Set when nothing new is taken any more.
    pub(crate) draining: AtomicBool,
}

/// Beyond a day and an hour nobody's clock is wrong for long: what has expired stays as long, so
/// that a relay whose clock ran ahead for a while has lost nothing.
const PURGE_GRACE: std::time::Duration = std::time::Duration::from_secs(26 * 60 * 60);

impl<R: MailboxReader> Inner<R> {
    pub(crate) fn desk(&self, job: Job) {
        // the desk has ended: so does the relay
        let _ = self.desk.send(job);
    }

    /// Another relay, as the store names it; `None` for this one.
    pub(crate) fn other_relay(&self, reply: &ReplyRelay) -> Option<RelayHint> {
        if reply.relay == self.identity.id().into() {
            return None;
        }
        Some(RelayHint {
            relay: ContactId::parse(reply.relay.as_bytes()).ok()?,
            endpoint: reply.endpoint()?,
            priority: 0,
        })
    }

    /// Has one step of what is over removed.
    pub(crate) fn purge(&self) {
        let now = Clock::wall();
        let unused = std::time::Duration::from_secs(self.config.mailbox.purge_unused.into());
        let op = Op::Purge {
            before: now.minus(PURGE_GRACE),
            unused_since: now.minus(unused).minus(PURGE_GRACE),
        };
        self.intake.insist(Work::Change {
            op: Box::new(op),
            answer: Answer::Purged,
        });
    }

    /// Asks the desk to read for a seat's feed.
    pub(crate) fn read_feed(&self, seat: &Arc<Seat>) {
        self.desk(Job::Feed(seat.clone()));
    }

    /// Asks the desk to read for a seat's confirmations.
    pub(crate) fn read_confirmations(&self, seat: &Arc<Seat>) {
        self.desk(Job::Confirmations(seat.clone()));
    }

    fn granted(&self, wished: &Capabilities) -> Granted {
        let limits = &self.config.mailbox;
        Granted {
            capabilities: Capabilities {
                max_message_size: wished.max_message_size.min(limits.max_message_size),
                max_storage_duration: wished.max_storage_duration.min(limits.max_retention),
            },
            max_items: limits.max_items,
            max_bytes: limits.max_bytes,
            server_time: Clock::wall(),
        }
    }

    /// Whether `peer` may have a mailbox.
    fn may_own(&self, peer: &ContactId, invite: Option<&[u8]>) -> Result<(), ErrorCode> {
        if self.reader.mailbox(&(*peer).into()).is_some() {
            return Ok(());
        }
        match self.config.policy {
            Policy::Open => Ok(()),
            Policy::AllowList if self.config.allow.contains(peer) => Ok(()),
            Policy::AllowList => Err(ErrorCode::InviteRequired),
            Policy::Invite => {
                let invite = invite.filter(|invite| invite.len() <= MAX_RELAY_INVITE);
                let invite = invite.ok_or(ErrorCode::InviteRequired)?;
                let invite = self.invites.check(invite, Clock::wall());
                let invite = invite.map_err(|_| ErrorCode::InviteRequired)?;
                match self.used_invites.take(&invite, peer) {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(ErrorCode::InviteRequired),
                    Err(error) => {
                        tracing::error!(%error, "an invite could not be noted as used");
                        Err(ErrorCode::Full)
                    }
                }
            }
        }
    }
}

/// The service, as the network knows it.
pub(crate) struct Service<R>(pub(crate) Arc<Inner<R>>);

impl<R: MailboxReader> Serve for Service<R> {
    type Guest = Connection<R>;
    const SERVICE: ServiceKind = ServiceKind::Relay;

    fn admit(&self, _: &Identity, _: Option<&IntroToken>) -> Admission {
        match self.0.draining.load(Ordering::Relaxed) {
            true => Admission::Close(ErrorCode::GoingAway),
            false => Admission::Accept,
        }
    }

    fn open(&self, arrival: Arrival) -> Result<Connection<R>, ErrorCode> {
        let inner = self.0.clone();
        if !inner.seats.enter(inner.config.connections.open) {
            return Err(ErrorCode::Busy);
        }
        inner.metrics.connections.inc();
        let peer = arrival.peer.id();
        let address = inner.limits.address(arrival.address);
        Ok(Connection {
            seat: Arc::new(Seat::new(peer, arrival.handle)),
            machine: ServerConnection::new(inner.identity.id(), peer, arrival.channel_binding),
            address,
            inner,
        })
    }
}

/// One connection.
pub(crate) struct Connection<R: MailboxReader> {
    inner: Arc<Inner<R>>,
    machine: ServerConnection,
    seat: Arc<Seat>,
    address: AddressBucket,
}

impl<R: MailboxReader> Drop for Connection<R> {
    fn drop(&mut self) {
        self.inner.seats.leave(&self.seat);
        self.inner.metrics.connections.dec();
    }
}

impl<R: MailboxReader> Guest for Connection<R> {
    fn handle(&mut self, message: Message) -> Result<(), ErrorCode> {
        let req_id = message.req_id;
        if let Err(wait) = self.inner.limits.request(self.address) {
            self.inner.metrics.refuse("requests of one address");
            self.seat.refuse(req_id, ErrorCode::RateLimited, wait);
            return Ok(());
        }
        match self.machine.handle(&message, Clock::wall()) {
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
}

fn cause(code: u16) -> &'static str {
    ErrorCode::from_u16(code).map_or("unknown", ErrorCode::name)
}

impl<R: MailboxReader> Connection<R> {
    fn to(&self, req_id: u32) -> To {
        To {
            seat: self.seat.clone(),
            req_id,
        }
    }

    fn change(&self, req_id: u32, op: Op, answer: Answer) {
        if self
            .inner
            .intake
            .submit(Work::Change {
                op: Box::new(op),
                answer,
            })
            .is_err()
        {
            self.refuse(req_id, ErrorCode::RateLimited, 1);
        }
    }

    fn refuse(&self, req_id: u32, code: ErrorCode, retry_after_s: u32) {
        self.inner.metrics.refuse(code.name());
        self.seat.refuse(req_id, code, retry_after_s);
    }

    fn serve(&mut self, req_id: u32, request: Request) {
        let owner = self.seat.key();
        match request {
            Request::Register(register) => self.register(req_id, &register),
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
                let op = Op::Confirm {
                    owner,
                    confirmations: confirmations.iter().map(|(_, c)| c.clone()).collect(),
                };
                let answer = Answer::Confirmed(self.to(req_id), confirmations, refused);
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

    fn register(&mut self, req_id: u32, register: &Register) {
        let granted = self.inner.granted(&register.capabilities);
        match register.role {
            Role::Owner => {
                let invite = register.invite.as_ref().map(|invite| invite.as_slice());
                if let Err(code) = self.inner.may_own(&self.seat.peer, invite) {
                    return self.refuse(req_id, code, 0);
                }
                self.machine.registered(Role::Owner);
                let op = Op::OpenMailbox {
                    owner: self.seat.key(),
                    first: Cursor::new(u64::from(rand::random::<u32>()).max(1)),
                };
                self.change(req_id, op, Answer::Granted(self.to(req_id), granted));
            }
            role @ (Role::Sender | Role::Relay) => {
                self.machine.registered(role);
                self.seat.send(&RelayMessage::Granted(granted), req_id);
                if role == Role::Sender {
                    self.seat.lane.start();
                    self.inner.seats.register(&self.seat);
                    self.inner.read_confirmations(&self.seat);
                }
            }
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
        let allowed = self
            .inner
            .limits
            .store(&self.seat.key(), &store.claim.recipient);
        if let Err(wait) = allowed {
            return self.refuse(req_id, ErrorCode::RateLimited, wait);
        }
        let checked = self.inner.intake.is_quiet();
        if checked && store.verify(&self.seat.peer).is_err() {
            return checker::refuse(&self.inner, &self.seat, req_id, &store);
        }
        let work = Work::Store {
            seat: self.seat.clone(),
            req_id,
            store,
            checked,
        };
        if self.inner.intake.submit(work).is_err() {
            self.refuse(req_id, ErrorCode::RateLimited, 1);
        }
    }

    fn subscribe(&self, req_id: u32, subscribe: &Subscribe) {
        if desk::is_beyond(&self.inner.reader, &self.seat, subscribe.after) {
            return self.refuse(req_id, ErrorCode::Cursor, 0);
        }
        debug_assert!(subscribe.credit_items <= MAX_CREDIT_ITEMS);
        let subscription = Subscription::new(subscribe, self.inner.clock.tick());
        self.seat.feed.start(req_id, subscription, subscribe.after);
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
                route: crate::mailbox::Route::Sender(self.seat.key()),
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

    fn hand_over(
        &self,
        req_id: u32,
        confirmations: Vec<(u16, sremp_core::relay::Confirmation)>,
        refused: Vec<u16>,
    ) {
        if confirmations.is_empty() {
            return self.seat.send(&RelayMessage::Confirmed { refused }, req_id);
        }
        let expires = self.waits_until();
        let request = Arc::new(HandOver {
            to: self.to(req_id),
            refused: refused.into(),
            left: AtomicUsize::new(confirmations.len()),
        });
        for (place, confirmation) in confirmations {
            let op = add_confirmation(confirmation.clone(), expires);
            let answer = Answer::HandedOver(request.clone(), place, Box::new(confirmation));
            self.change(req_id, op, answer);
        }
    }

    /// A confirmation from elsewhere does not say how long its item was kept: as long as any here.
    fn waits_until(&self) -> UnixMillis {
        let retention = self.inner.config.mailbox.max_retention;
        Clock::wall().plus(std::time::Duration::from_secs(retention.into()))
    }
}

fn set_senders(owner: sremp_core::id::IdentityKey, set: SendersSet) -> Op {
    let rule = |entry: sremp_core::relay::IntroEntry| IntroRule {
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
