//! The receipt of a lone store: signed on another processor while the disk writes, and sent only
//! when it has.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use sremp_core::{
    identity::SecretIdentity,
    relay::proof::{Receipt, ReceiptClaim, ReceiptTree},
    time::UnixMillis,
};

use crate::{check::Check, committer::Pending, mailbox::StoreOp, service::Inner};

/// What a receipt will say if the store is not a repetition.
#[derive(Debug)]
pub(crate) struct ReceiptAhead {
    claim: ReceiptClaim,
    receipt: OnceLock<Option<Receipt>>,
}

impl ReceiptAhead {
    /// Has it signed beside, unless too much waits there.
    pub(crate) fn begin<R>(
        inner: &Inner<R>,
        pending: &Pending,
        store: &StoreOp,
        now: UnixMillis,
    ) -> Arc<Self> {
        let ahead = Arc::new(Self {
            claim: ReceiptClaim {
                stored_at: now,
                expires_at: now.plus(Duration::from_secs(store.ttl.into())),
                ..pending.claim
            },
            receipt: OnceLock::new(),
        });
        // else it is signed when it is needed
        let _ = inner.checks.try_send(Check::Receipt(ahead.clone()));
        ahead
    }

    /// Signs it, unless somebody has begun to.
    pub(crate) fn sign(&self, relay: &SecretIdentity) -> Option<&Receipt> {
        let sign = || {
            let tree = ReceiptTree::sign(relay, [&self.claim])?;
            Some(tree.receipt(0))
        };
        self.receipt.get_or_init(sign).as_ref()
    }

    /// The receipt, if it says this.
    pub(crate) fn receipt(&self, relay: &SecretIdentity, claim: &ReceiptClaim) -> Option<&Receipt> {
        (self.claim == *claim).then(|| self.sign(relay))?
    }
}
