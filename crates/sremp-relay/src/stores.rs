//! Checks the signatures of stores, and of what owners confirm, on their way to the disk, many at once
//! (D6.5, decision 7).
//!
//! One task, so that work keeps its order. While the disk is quick it commits and answers right here:
//! what comes meanwhile is the next batch. Else the committer's thread does, so that nobody waits for
//! the disk who does not have to, and the next batch is checked beside.

use std::sync::Arc;

use sremp_core::{
    error::ErrorCode,
    relay::{
        UncheckedConfirmations, UncheckedStore,
        proof::{Claimed, ReceiptClaim, check_claims},
    },
    time::UnixMillis,
};
use tokio::{runtime::Handle, sync::mpsc::UnboundedReceiver};

use crate::{
    answer::{Answer, To},
    committer::{Batch, Checked, Committing, Pending},
    intake::Work,
    mailbox::{MailboxReader, MailboxStore, Op, StoreOp},
    seats::Seat,
    service::Inner,
    writer::SharedWriter,
};

/// Most work that is checked together, and most signatures of one equation: more save little, hold up
/// the thread that checks, and are all spoilt by a bad one.
const MAX_CHECKED: usize = 256;

/// Runs until the relay ends.
pub(crate) async fn run<S: MailboxStore>(
    inner: Arc<Inner<S::Reader>>,
    mut queue: UnboundedReceiver<Work>,
    writer: SharedWriter<S>,
    committer: Committing,
) {
    // where one thread does everything, nobody would be served while the disk writes
    let may_wait = Handle::current().metrics().num_workers() > 1;
    let mut work = Vec::new();
    loop {
        // while the committer has not taken the last batch, more work makes the next one cheaper
        let Ok(turn) = committer.turn().await else {
            return;
        };
        if queue.recv_many(&mut work, MAX_CHECKED).await == 0 {
            return;
        }
        // who else has something to store now comes along in the same batch
        tokio::task::yield_now().await;
        while work.len() < MAX_CHECKED {
            match queue.try_recv() {
                Ok(more) => work.push(more),
                Err(_) => break,
            }
        }
        let batch = check(&inner, &mut work);
        if batch.len() == 0 {
            continue;
        }
        let left = match may_wait {
            true => writer.commit_here(batch, &committer),
            false => Some(batch),
        };
        if let Some(batch) = left {
            inner.intake.handed_on(batch.len());
            if committer.send(batch, turn).is_err() {
                return;
            }
        }
    }
}

/// The work whose signatures hold; the rest is refused here.
fn check<R: MailboxReader>(inner: &Inner<R>, work: &mut Vec<Work>) -> Batch {
    let mut claims = Vec::with_capacity(work.len());
    for work in &*work {
        match work {
            Work::Store { seat, store, .. } => {
                claims.push(Claimed::store(seat.peer, &store.claim, *store.signature()));
            }
            Work::Confirm { to, confirms } => {
                let claimed = |(_, c): &_| Claimed::confirmation(to.seat.peer, c);
                claims.extend(confirms.list.iter().map(claimed));
            }
            _ => {}
        }
    }
    let mut verdicts = claims.chunks(MAX_CHECKED).flat_map(check_claims);
    let mut holds = || matches!(verdicts.next(), Some(Ok(())));
    let mut batch = Batch::default();
    for work in work.drain(..) {
        let cost = work.cost();
        let checked = match work {
            Work::Store {
                seat,
                req_id,
                store,
            } => {
                if !holds() {
                    refuse(inner, &seat, req_id, &store);
                    inner.intake.written(cost);
                    continue;
                }
                store_op(inner, seat, req_id, *store)
            }
            Work::Confirm { to, confirms } => confirm_op(to, confirms, &mut holds),
            Work::Change { op, answer } => Checked::Change(op, answer),
            Work::Barrier(done) => Checked::Barrier(done),
            Work::Stop => Checked::Stop,
        };
        batch.push(checked, cost);
    }
    batch
}

/// Takes out what is not signed by its owner.
fn confirm_op(
    to: To,
    confirms: UncheckedConfirmations,
    mut holds: impl FnMut() -> bool,
) -> Checked {
    let UncheckedConfirmations { list, mut refused } = confirms;
    let (list, bad): (Vec<_>, Vec<_>) = list.into_iter().partition(|_| holds());
    if !bad.is_empty() {
        to.seat.mistrust();
    }
    refused.extend(bad.into_iter().map(|(place, _)| place));
    let (op, answer) = Answer::confirm(to, list, refused);
    Checked::Change(Box::new(op), answer)
}

/// Answers a store whose signature does not hold.
fn refuse<R: MailboxReader>(inner: &Inner<R>, seat: &Seat, req_id: u32, store: &UncheckedStore) {
    inner.metrics.refuse(ErrorCode::BadProof.name());
    seat.refuse_store(req_id, store.claim.message_id, ErrorCode::BadProof);
    // an honest client never does this, and it costs its whole batch time
    seat.close(ErrorCode::ProtocolViolation);
}

fn store_op<R: MailboxReader>(
    inner: &Inner<R>,
    seat: Arc<Seat>,
    req_id: u32,
    store: UncheckedStore,
) -> Checked {
    let UncheckedStore { message, claim } = store;
    let blob: Arc<[u8]> = Arc::from(message.encrypted_blob.into_vec());
    let sender = seat.key();
    let op = StoreOp {
        sender,
        recipient: claim.recipient,
        message_id: claim.message_id,
        blob: blob.clone(),
        hash: claim.blob_hash,
        ttl: claim.ttl.min(inner.config.mailbox.max_retention),
        reply_relay: message
            .reply_relay
            .as_ref()
            .and_then(|reply| inner.other_relay(reply)),
        intro: message.intro,
    };
    let claim = ReceiptClaim {
        sender,
        recipient: claim.recipient,
        message_id: claim.message_id,
        blob_hash: claim.blob_hash,
        stored_at: UnixMillis::ZERO,
        expires_at: UnixMillis::ZERO,
    };
    let pending = Pending {
        seat,
        req_id,
        claim,
        blob,
        receipt: None,
    };
    Checked::Store(Box::new(Op::Store(Box::new(op))), pending)
}
