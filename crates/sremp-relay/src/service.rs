//! What a relay does with its connections: decide in core, then one call of the store.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
    mpsc::{Sender, SyncSender},
};

use sremp_core::{
    channel::{Admission, Service as ServiceKind},
    constants::MAX_RELAY_INVITE,
    contact_card::RelayHint,
    error::ErrorCode,
    id::{ContactId, IntroToken},
    identity::{Identity, SecretIdentity},
    relay::{Capabilities, Granted, ReplyRelay},
};
use sremp_net::{Arrival, Serve};
use tokio::sync::Notify;

use crate::{
    answer::Answer,
    check::Check,
    clock::Clock,
    config::{Config, Policy},
    connection::Connection,
    desk::Job,
    intake::{Intake, Work},
    invite::{InviteId, InviteKey, Taken, UsedInvites},
    limits::Limits,
    mailbox::{MailboxReader, Op},
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
    pub(crate) checks: SyncSender<Check>,
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

    pub(crate) fn granted(&self, wished: &Capabilities) -> Granted {
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

    /// Whether `peer` may have a mailbox; with the invite that this uses up.
    pub(crate) fn may_own(
        &self,
        peer: &ContactId,
        invite: Option<&[u8]>,
    ) -> Result<Option<InviteId>, ErrorCode> {
        if self.reader.mailbox(&(*peer).into()).is_some() {
            return Ok(None);
        }
        match self.config.policy {
            Policy::Open => Ok(None),
            Policy::AllowList if self.config.allow.contains(peer) => Ok(None),
            Policy::AllowList => Err(ErrorCode::InviteRequired),
            Policy::Invite => self.use_invite(peer, invite),
        }
    }

    fn use_invite(
        &self,
        peer: &ContactId,
        invite: Option<&[u8]>,
    ) -> Result<Option<InviteId>, ErrorCode> {
        let invite = invite.filter(|invite| invite.len() <= MAX_RELAY_INVITE);
        let invite = invite.ok_or(ErrorCode::InviteRequired)?;
        let invite = self.invites.check(invite, Clock::wall());
        let invite = invite.map_err(|_| ErrorCode::InviteRequired)?;
        match self.used_invites.take(&invite, peer) {
            Ok(Taken::Now(id)) => Ok(Some(id)),
            Ok(Taken::Before) => Ok(None),
            Ok(Taken::BySomebodyElse) => Err(ErrorCode::InviteRequired),
            Err(error) => {
                tracing::error!(%error, "an invite could not be noted as used");
                Err(ErrorCode::Full)
            }
        }
    }

    /// No mailbox was made: whoever asked may ask again, and the invite is good for another.
    pub(crate) fn not_registered(&self, seat: &Seat, invite: Option<InviteId>) {
        seat.registered(None);
        if let Some(id) = invite {
            self.used_invites.give_back(id);
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
        Ok(Connection::new(inner, arrival))
    }
}
