//! A rendezvous server and its clients (chapter 5): finding somebody by their key.
//!
//! ```text
//! owner ── REGISTER (record, proof for this connection) ──▶ server ──▶ directory
//! asker ── LOOKUP key ──▶ server ── PeerInfo, word for word as it was signed ──▶ asker
//! ```
//!
//! A server can withhold, it cannot forge: a [`Record`] exists only with its owner's signature.
//! [`RendezvousMessage`] is what goes over the wire in [frames](frame), [`ServerConnection`] and
//! [`RendezvousClient`] are the two sides of one connection, [`Directory`] what a server keeps by
//! which rules, [`Gossip`] with whom it exchanges lists of servers, [`Candidates`] what is heard of
//! such, [`address`] what nobody dials because a stranger said so.

pub mod address;
mod candidates;
mod client;
mod directory;
pub mod frame;
mod gossip;
mod link;
mod message;
mod pages;
pub mod proof;
mod record;
mod server;
mod server_record;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

pub use candidates::{Candidates, NotKept, Source};
pub use client::{Found, RendezvousClient, RendezvousEvent, renew_after};
pub use directory::{Directory, Entry, Verdict};
pub use gossip::{Gossip, OtherServer, Told};
pub use link::{RendezvousLink, RendezvousLinkError};
pub use message::{
    ListServers, Lookup, LookupResponse, PeerInfo, Register, RegisterResponse,
    RendezvousDecodeError, RendezvousMessage, Servers, SignedServer,
};
pub use pages::{Page, PageCursor, Place};
pub use proof::ExporterValue;
pub use record::{Record, RecordDraft, RecordError};
pub use server::{Refusal, Registration, Request, ServerConnection, dialled_back};
pub use server_record::{ServerRecord, ServerRecordDraft};

use crate::wire::bytes::public_bytes;

public_bytes! {
    /// `spki`: SHA-256 of a certificate's SubjectPublicKeyInfo (DER), 32 bytes.
    SpkiHash, 32
}

/// `seq` of a RECORD: which of two of one key is newer. Chosen by its owner as Unix milliseconds, so
/// that it goes on rising after a loss of state.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Seq(u64);

impl Seq {
    /// The value of this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// Who may find a registration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Visibility {
    /// Whoever knows the key.
    #[default]
    Unlisted = 0,
    /// Also whoever browses.
    Listed = 1,
}

impl Visibility {
    /// The number on the wire; 2 is reserved for *private*.
    pub const fn to_u8(self) -> u8 {
        self as u8
    }
}

impl Serialize for Visibility {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u8(self.to_u8())
    }
}

impl<'de> Deserialize<'de> for Visibility {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match u8::deserialize(d)? {
            0 => Ok(Self::Unlisted),
            1 => Ok(Self::Listed),
            _ => Err(D::Error::custom("not a visibility")),
        }
    }
}
