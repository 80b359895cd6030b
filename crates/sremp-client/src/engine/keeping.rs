//! With the built-in relay on: an envelope of a direct connection is kept in its mailbox first, then
//! read, and deleted there when what came of it is durable (D6.13).

use std::{fmt, sync::Arc};

use sremp_core::id::ContactId;
use sremp_net::LinkId;

use super::{Engine, Keep, Kept, Output, Step, Unkept};
use crate::store::StoreError;

/// What is remembered of the mailbox.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    /// Why the last envelope is not in it.
    trouble: Option<Unkept>,
}

impl Unkept {
    /// The word under which it is counted.
    const fn cause(&self) -> &'static str {
        match self {
            Self::Quota => "mailbox-quota",
            Self::Room => "mailbox-room",
            Self::Failed(_) => "mailbox-failed",
        }
    }
}

impl fmt::Display for Unkept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quota => f.write_str("as much of one sender waits there as may"),
            Self::Room => f.write_str("its disk is short of room"),
            Self::Failed(cause) => f.write_str(cause),
        }
    }
}

impl Engine {
    /// An envelope over a direct connection.
    pub(super) fn take_envelope(
        &mut self,
        step: &mut Step<'_, '_>,
        request: (LinkId, u32),
        key: &ContactId,
        envelope: Vec<u8>,
    ) -> Result<(), StoreError> {
        if !self.config.built_in_relay {
            return self.receive_envelope(step, Some(request), key, &envelope);
        }
        let peer = self.peers.take(step.tx, key)?;
        let (known, accepted) = (
            peer.is_some(),
            peer.as_ref().is_some_and(|p| p.is_accepted()),
        );
        self.peers.put_back(peer);
        if known && !accepted {
            // nothing more of a stranger is to be kept; that the request is renewed, to be read
            return self.receive_envelope(step, Some(request), key, &envelope);
        }
        step.outputs.push(Output::Keep(Box::new(Keep {
            from: *key,
            accepted,
            envelope: Arc::from(envelope),
            request,
        })));
        Ok(())
    }

    /// An envelope is in the mailbox: it is read, and is not needed there once this step is durable,
    /// whatever came of it.
    pub(super) fn read_kept(
        &mut self,
        step: &mut Step<'_, '_>,
        kept: &Kept,
    ) -> Result<(), StoreError> {
        self.keeping.trouble = None;
        // the answer is for the connection over which it came
        let asked = |(link, _): &(LinkId, u32)| {
            let link = self.links.get(*link);
            link.is_some_and(|link| link.peer == kept.from)
        };
        let request = kept.request.filter(asked);
        self.receive_envelope(step, request, &kept.from, &kept.envelope)?;
        step.outputs.push(Output::Discard(kept.cursor));
        Ok(())
    }

    /// An envelope is not in the mailbox, so it is neither read nor confirmed: its sender keeps it.
    pub(super) fn not_kept(&mut self, unkept: Unkept) {
        self.refusals.count(unkept.cause());
        self.keeping.trouble = Some(unkept);
    }

    /// What `status` says while the mailbox takes nothing.
    pub(super) fn keeping_warning(&self) -> Option<String> {
        let trouble = self.keeping.trouble.as_ref()?;
        Some(format!(
            "the mailbox of the built-in relay does not take what contacts send directly ({trouble}); \
             they keep it and try again: make room on the disk and start the client again, or set \
             `built_in_relay` to false"
        ))
    }
}
