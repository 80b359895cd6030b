//! Drives [`Channel`](sremp_core::channel::Channel)s over TCP: one task per connection, every
//! timeout and limit of chapter 1, and the only clock and entropy below the faces.
//!
//! ```text
//! Network ── dial ───▶ race of attempts ─┐
//!    │                                   ├─▶ link task ── LinkEvent ──▶ owner
//!    └──── listen ───▶ gate ─▶ accept ───┘       ▲
//!                                   LinkCommand ─┴─ LinkHandle ◀─────── owner
//! ```
//!
//! A link says `Shown` when the peer has proved who it is, waits for the owner's
//! [`Admission`], says `Opened`, then `Message`s, and at last `Closed`, exactly once for every link
//! that was dialled or shown.
//!
//! Beside the links stand [`mapping`], a port of the router for the one that is listened on, and
//! [`bootstrap`], the rendezvous servers that a domain names.
//!
//! A server of many has no owner with events: [`Network::serve`] makes a [`Guest`] for each
//! connection, which answers in the connection's own task.

mod accept;
mod bans;
pub mod bootstrap;
mod changes;
pub mod clock;
mod dial;
mod dial_back;
mod event;
mod gate;
mod link;
pub mod mapping;
mod network;
mod pump;
mod serve;
mod socket;
mod task;
#[cfg(test)]
mod tests;
pub mod tls;

pub use accept::Listening;
pub use bans::BanRule;
pub use changes::NetworkChanges;
pub use dial::DialTarget;
pub use dial_back::dial_back;
pub use event::{CloseReason, LinkEvent};
pub use gate::{AddressKey, AdmissionLimits};
pub use link::{LinkCommand, LinkHandle, LinkId, NotQueued};
pub use network::Network;
pub use serve::{Arrival, Guest, Serve};
pub use sremp_core::{
    channel::{Admission, Direction, HandshakeHash, LocalIdentity, Message, PeerClose, Service},
    contact_card::Endpoint,
    rendezvous::address::is_public,
};
