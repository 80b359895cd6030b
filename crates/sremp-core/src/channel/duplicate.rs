//! Two connections to the same peer: which one stays (D1.14).

use std::time::Duration;

use crate::{constants::DUPLICATE_PROBE_AGE, id::ContactId};

/// Who dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// This side dialled: it is the initiator.
    Outbound,
    /// The peer dialled.
    Inbound,
}

/// What to do with the older and the newer of two open connections to one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DuplicateVerdict {
    /// Close the new one with `DUPLICATE`, after flushing.
    KeepExisting,
    /// Close the existing one with `DUPLICATE`, after flushing.
    KeepNew,
    /// The existing one would be kept but may be dead: probe it. If the PONG does not come within
    /// [`DUPLICATE_PROBE_TIMEOUT`](crate::constants::DUPLICATE_PROBE_TIMEOUT), keep the new one,
    /// else the existing.
    ProbeExisting,
}

/// Decides between two open connections to `peer`, so that both ends decide the same whatever the
/// order in which each saw them open.
///
/// The one stays whose initiator has the bytewise smaller identity key. Of two that the same side
/// dialled the newer stays: whoever dials again has given the older up.
pub fn judge_duplicate(
    own: &ContactId,
    peer: &ContactId,
    existing: Direction,
    existing_age: Duration,
    new: Direction,
) -> DuplicateVerdict {
    if existing == new {
        return DuplicateVerdict::KeepNew;
    }
    let kept = if own < peer {
        Direction::Outbound
    } else {
        Direction::Inbound
    };
    if kept == new {
        DuplicateVerdict::KeepNew
    } else if existing_age > DUPLICATE_PROBE_AGE {
        DuplicateVerdict::ProbeExisting
    } else {
        DuplicateVerdict::KeepExisting
    }
}
