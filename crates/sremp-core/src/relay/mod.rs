//! A relay and its clients (chapter 6): what they say, what they sign, and what each side decides.
//!
//! ```text
//! sender ── STORE ──▶ relay ── push ──▶ owner
//!    ▲   ◀─ receipt ──  │  ◀─ signed confirmation ── after its commit
//!    └─── confirmation ─┘
//! ```
//!
//! [`RelayMessage`] is what goes over the wire, [`proof`] what is signed, [`ServerConnection`] and
//! [`RelayClient`] the two sides of one connection, and [`Subscription`] how much may be pushed.

mod client;
mod message;
pub mod proof;
mod push;
mod server;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

pub use client::{RelayClient, RelayEvent, ToStore};
pub use message::{
    Capabilities, Granted, IntroEntry, IntroHash, MessageBatch, PrekeyCounts, PrekeyGet,
    PrekeysPut, Register, RelayDecodeError, RelayMessage, ReplyRelay, Retrieve, SendersSet,
    StoreMessage, StoreResponse, StoredMessage, Subscribe,
};
pub use proof::{Confirmation, Receipt};
pub use push::{Room, Subscription};
pub use server::{
    CheckedPrekeys, Refusal, Request, ServerConnection, UncheckedConfirmations, UncheckedStore,
    is_answer, is_store, most_signatures,
};

/// `message_id`: the sender's id of one envelope, random; with sender and recipient it names an
/// item (D6.4). Not the content's [`MsgId`](crate::id::MsgId), which no relay sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageId(u64);

/// `cursor`: the relay's number of an item in its mailbox, strictly increasing and never used
/// again. Zero is before every item.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Cursor(u64);

macro_rules! number {
    ($name:ident) => {
        impl $name {
            /// The value of this number.
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// The number.
            pub const fn get(self) -> u64 {
                self.0
            }
        }
    };
}
number!(MessageId);
number!(Cursor);

impl Cursor {
    /// Before every item.
    pub const START: Self = Self(0);
}

/// As what a connection registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Role {
    /// Has a mailbox here.
    Owner = 1,
    /// Stores for others.
    Sender = 2,
    /// A relay that hands over confirmations.
    Relay = 3,
}

impl Role {
    /// The number on the wire.
    pub const fn to_u8(self) -> u8 {
        self as u8
    }
}

impl Serialize for Role {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u8(self.to_u8())
    }
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match u8::deserialize(d)? {
            1 => Ok(Self::Owner),
            2 => Ok(Self::Sender),
            3 => Ok(Self::Relay),
            _ => Err(D::Error::custom("not a role")),
        }
    }
}
