//! What follows a commit, for each kind of change.

use std::sync::Arc;

use sremp_core::{
    error::ErrorCode,
    relay::{Confirmation, Cursor, Granted, PrekeyCounts, RelayMessage, Role},
    session::prekey::with_one_time_prekey,
};

use crate::{
    clock::Clock,
    invite::InviteId,
    mailbox::{
        self, ConfirmationId, Confirmed, MailboxReader, Op, Outcome, Purged, Route, TakenBundle,
    },
    seats::Seat,
    service::Inner,
};

/// Confirmations that wait now, for whom.
pub(crate) type Routed = Vec<(ConfirmationId, Route, Confirmation)>;

/// Whom to answer, and how.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Nobody waits.
    None,
    /// RELAY_GRANTED; with the invite that is given back if it is not.
    Granted(To, Granted, Option<InviteId>),
    /// PREKEY_COUNTS.
    Counts(To),
    /// PREKEY_BUNDLE, and the owner is told when its prekeys run short.
    Bundle(To, sremp_core::id::IdentityKey),
    /// OK.
    Ok(To),
    /// OK, and there is room for more.
    Discarded(To, Vec<Cursor>),
    /// CONFIRMED: with the places of the request, and those that were refused before.
    Confirmed(To, Vec<(u16, Confirmation)>, Vec<u16>),
    /// CONFIRMED, once the last of several is done.
    HandedOver(Arc<HandOver>, u16, Box<Confirmation>),
    /// More may be left to purge.
    Purged,
}

/// Why a confirmation is dropped, in the metrics: too many of its sender's wait.
const SENDERS_CONFIRMATIONS: &str = "confirmations of one sender";

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct To {
    pub(crate) seat: Arc<Seat>,
    pub(crate) req_id: u32,
}

impl To {
    fn send(&self, message: &RelayMessage) {
        self.seat.send(message, self.req_id);
    }
}

/// A request of another relay, whose confirmations are committed one by one.
#[derive(Debug)]
pub(crate) struct HandOver {
    pub(crate) to: To,
    pub(crate) refused: std::sync::Mutex<Vec<u16>>,
    pub(crate) left: std::sync::atomic::AtomicUsize,
    /// Not all could be queued: it is refused as a whole, and comes again.
    pub(crate) busy: std::sync::atomic::AtomicBool,
}

impl HandOver {
    /// One of it could not be queued.
    pub(crate) fn busy(&self) {
        self.busy.store(true, std::sync::atomic::Ordering::Relaxed);
        self.done(None);
    }

    fn done(&self, refused: Option<u16>) {
        use std::sync::{PoisonError, atomic::Ordering};
        let mut places = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        places.extend(refused);
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            if self.busy.load(Ordering::Relaxed) {
                return self
                    .to
                    .seat
                    .refuse(self.to.req_id, ErrorCode::RateLimited, 1);
            }
            places.sort_unstable();
            let refused = std::mem::take(&mut *places);
            self.to.send(&RelayMessage::Confirmed { refused });
        }
    }
}

impl Answer {
    /// What an owner confirms, as a change.
    pub(crate) fn confirm(to: To, list: Vec<(u16, Confirmation)>, refused: Vec<u16>) -> (Op, Self) {
        let op = Op::Confirm {
            owner: to.seat.key(),
            confirmations: list.iter().map(|(_, c)| c.clone()).collect(),
        };
        (op, Self::Confirmed(to, list, refused))
    }

    /// The change is committed, or refused by the store. Returns the confirmations that wait now.
    pub(crate) fn done<R: MailboxReader>(self, inner: &Arc<Inner<R>>, outcome: Outcome) -> Routed {
        match (self, outcome) {
            (answer, Outcome::Refused(code)) => {
                inner.metrics.refuse(code.name());
                answer.refused(inner, code);
            }
            (Self::Granted(to, granted, _), Outcome::Opened { .. }) => {
                granted_owner(inner, &to, granted)
            }
            (Self::Counts(to), Outcome::Prekeys(counts)) => {
                to.send(&RelayMessage::PrekeyCounts(counts_message(counts)));
            }
            (Self::Bundle(to, owner), Outcome::Bundle(bundle)) => give(inner, &to, &owner, bundle),
            (Self::Ok(to), _) => to.send(&RelayMessage::Ok),
            (Self::Discarded(to, cursors), outcome) => {
                if let Outcome::Discarded(count) = outcome {
                    inner.metrics.discarded.inc_by(count.into());
                }
                to.send(&RelayMessage::Ok);
                if to.seat.feed.discarded(&cursors, inner.clock.tick()) {
                    inner.read_feed(&to.seat);
                }
            }
            (Self::Confirmed(to, list, refused), Outcome::Confirmed(outcomes)) => {
                return confirmed(inner, &to, list, refused, outcomes);
            }
            (Self::HandedOver(request, _, confirmation), Outcome::Queued(waits)) => {
                request.done(None);
                return vec![(waits.id, waits.route, *confirmation)];
            }
            (Self::Purged, Outcome::Purged(purged)) => went(inner, purged),
            (Self::None, Outcome::Dropped(count)) => {
                (0..count).for_each(|_| inner.metrics.refuse(SENDERS_CONFIRMATIONS));
            }
            (Self::None, _) => {}
            // an outcome that is not of its op: the request is refused, and its sender tries again
            (answer, _) => answer.refused(inner, ErrorCode::Full),
        }
        Vec::new()
    }

    /// The change was not made.
    pub(crate) fn refused<R: MailboxReader>(self, inner: &Inner<R>, code: ErrorCode) {
        match self {
            Self::None | Self::Purged => {}
            Self::Granted(to, _, invite) => {
                inner.not_registered(&to.seat, invite);
                to.seat.refuse(to.req_id, code, 0);
            }
            Self::HandedOver(request, place, _) => request.done(Some(place)),
            Self::Counts(to)
            | Self::Bundle(to, _)
            | Self::Ok(to)
            | Self::Discarded(to, _)
            | Self::Confirmed(to, ..) => to.seat.refuse(to.req_id, code, 0),
        }
    }
}

fn counts_message(counts: mailbox::PrekeyCounts) -> PrekeyCounts {
    PrekeyCounts {
        has_bundle: counts.bundle,
        otps: u16::try_from(counts.one_time).unwrap_or(u16::MAX),
    }
}

fn granted_owner<R: MailboxReader>(inner: &Arc<Inner<R>>, to: &To, mut granted: Granted) {
    granted.server_time = Clock::wall();
    to.seat.registered(Some(Role::Owner));
    to.send(&RelayMessage::Granted(granted));
    to.seat.lane.start();
    inner.seats.register(&to.seat);
    inner.read_confirmations(&to.seat);
}

/// A bundle with the one-time prekey that was taken for it.
fn give<R: MailboxReader>(
    inner: &Arc<Inner<R>>,
    to: &To,
    owner: &sremp_core::id::IdentityKey,
    taken: TakenBundle,
) {
    let bundle = match &taken.one_time {
        Some(otp) => with_one_time_prekey(&taken.bundle, otp),
        None => Some(taken.bundle),
    };
    match bundle {
        Some(bundle) => to.send(&RelayMessage::PrekeyBundle(bundle)),
        None => to.seat.refuse(to.req_id, ErrorCode::NoPrekey, 0),
    }
    let low = u32::from(sremp_core::constants::LOW_OTPS);
    if taken.one_time.is_some()
        && taken.left < low
        && let Some(owner) = inner.seats.sender(owner)
    {
        let counts = counts_message(mailbox::PrekeyCounts {
            bundle: true,
            one_time: taken.left,
        });
        owner.send(&RelayMessage::PrekeyCounts(counts), 0);
    }
}

fn confirmed<R: MailboxReader>(
    inner: &Arc<Inner<R>>,
    to: &To,
    list: Vec<(u16, Confirmation)>,
    mut refused: Vec<u16>,
    outcomes: Vec<Confirmed>,
) -> Routed {
    let mut routed = Vec::new();
    let mut settled = Vec::new();
    for ((place, confirmation), outcome) in list.into_iter().zip(outcomes) {
        if outcome == Confirmed::Refused {
            refused.push(place);
            continue;
        }
        settled.push((confirmation.sender, confirmation.message_id));
        match outcome {
            Confirmed::Now(waits) => {
                inner.metrics.confirmed.inc();
                routed.push((waits.id, waits.route, confirmation));
            }
            Confirmed::Dropped => {
                inner.metrics.confirmed.inc();
                inner.metrics.refuse(SENDERS_CONFIRMATIONS);
            }
            Confirmed::Before | Confirmed::Refused => {}
        }
    }
    refused.sort_unstable();
    to.send(&RelayMessage::Confirmed { refused });
    if to
        .seat
        .feed
        .confirmed(settled.into_iter(), inner.clock.tick())
    {
        inner.read_feed(&to.seat);
    }
    routed
}

fn went<R: MailboxReader>(inner: &Arc<Inner<R>>, purged: Purged) {
    inner.metrics.expired.inc_by(purged.expired);
    if purged.more {
        inner.purge();
    }
}

/// The op of a request of another relay.
pub(crate) fn add_confirmation(
    confirmation: Confirmation,
    expires: sremp_core::time::UnixMillis,
) -> Op {
    Op::AddConfirmation {
        confirmation: Box::new(confirmation),
        expires,
    }
}
