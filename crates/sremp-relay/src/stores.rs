//! Checks the signatures of stores on their way to the disk, many at once (D6.5, decision 7).
//!
//! One task, so that work keeps its order; beside the committer, so that the next batch is checked
//! while the disk writes this one. A request that is alone is committed right here.

use std::sync::{Arc, OnceLock};

use sremp_core::{
    error::ErrorCode,
    id::ContactId,
    relay::{
        UncheckedStore,
        proof::{ReceiptClaim, StoreClaim, check_stores},
    },
    signature::{BadSignature, Signature},
    time::UnixMillis,
};
use tokio::{runtime::Handle, sync::mpsc::UnboundedReceiver};

use crate::{
    check::Check,
    committer::{Batch, Checked, Committing, Pending},
    intake::Work,
    mailbox::{MailboxReader, MailboxStore, Op, StoreOp},
    seats::Seat,
    service::Inner,
    writer::SharedWriter,
};

/// Most signatures of one equation: more save little, and hold up the thread that checks.
const MAX_CHECKED: usize = 256;

/// From two signatures on, and up to as many, half of them are checked on another processor. With more
/// under way there is work for every processor anyway, and one equation is cheaper than two.
const MAX_SHARED: usize = 64;

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
        let lone = may_wait && inner.intake.is_lone();
        if !lone {
            // who else has something to store now comes along in the same batch
            tokio::task::yield_now().await;
            while work.len() < MAX_CHECKED {
                match queue.try_recv() {
                    Ok(more) => work.push(more),
                    Err(_) => break,
                }
            }
        }
        let mut left = Some(check(&inner, &mut work));
        if lone {
            left = left.and_then(|batch| writer.commit_lone(batch, &committer));
        }
        if let Some(batch) = left
            && committer.send(batch, turn).is_err()
        {
            return;
        }
    }
}

/// The work whose signatures hold; the rest is refused here.
fn check<R: MailboxReader>(inner: &Inner<R>, work: &mut Vec<Work>) -> Batch {
    let signed = work.iter().filter_map(|work| match work {
        Work::Store { seat, store, .. } => Some((seat.peer, store.claim, *store.signature())),
        _ => None,
    });
    let mut verdicts = verdicts(inner, signed.collect()).into_iter();
    let mut batch = Batch::default();
    for work in work.drain(..) {
        let cost = work.cost();
        let checked = match work {
            Work::Store {
                seat,
                req_id,
                store,
            } => {
                if !matches!(verdicts.next(), Some(Ok(()))) {
                    refuse(inner, &seat, req_id, &store);
                    inner.intake.written(cost);
                    inner.intake.answered(1);
                    continue;
                }
                store_op(inner, seat, req_id, *store)
            }
            Work::Change { op, answer } => Checked::Change(op, answer),
            Work::Barrier(done) => Checked::Barrier(done),
            Work::Stop => Checked::Stop,
        };
        batch.push(checked, cost);
    }
    batch
}

fn verdicts<R>(inner: &Inner<R>, mut signed: Vec<Signed>) -> Vec<Verdict> {
    if !(2..=MAX_SHARED).contains(&signed.len()) {
        return check_stores(&signed);
    }
    let there = Arc::new(Share {
        signed: signed.split_off(signed.len() / 2),
        verdicts: OnceLock::new(),
    });
    // else all are checked here
    let _ = inner.checks.try_send(Check::Share(there.clone()));
    let mut verdicts = check_stores(&signed);
    verdicts.extend_from_slice(there.check());
    verdicts
}

type Signed = (ContactId, StoreClaim, Signature);
type Verdict = Result<(), BadSignature>;

/// Signatures that whoever comes first checks.
#[derive(Debug)]
pub(crate) struct Share {
    signed: Vec<Signed>,
    verdicts: OnceLock<Vec<Verdict>>,
}

impl Share {
    /// Checks them, unless somebody has begun to.
    pub(crate) fn check(&self) -> &[Verdict] {
        self.verdicts.get_or_init(|| check_stores(&self.signed))
    }
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
