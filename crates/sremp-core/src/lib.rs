//! The SREMP protocol without IO: what bytes mean and what may follow what.
//!
//! Everything here is a pure function of its arguments. Time ([`time`]), randomness
//! ([`rand_core::CryptoRng`]) and bytes come in as arguments; bytes and decisions go out.
//!
//! | module | chapter of `docs/protocol` |
//! |---|---|
//! | [`wire`] | 0 conventions, 1 transport |
//! | [`signature`], [`key`], [`id`] | 0 conventions |
//! | [`channel`] | 1 transport |
//! | [`identity`] | 2 identity |
//! | [`session`] | 3 sessions |
//! | [`rendezvous`] | 5 rendezvous |
//! | [`relay`] | 6 relay |
//! | [`route`] | 7 paths |
//! | [`contact_card`], [`safety_number`] | 8 contact exchange |
//! | [`error`] | 10 errors |
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod channel;
pub mod constants;
pub mod contact_card;
pub mod error;
pub mod id;
pub mod identity;
pub mod key;
pub mod relay;
pub mod rendezvous;
pub mod route;
pub mod safety_number;
pub mod session;
pub mod signature;
pub mod text;
pub mod time;
pub mod wire;

pub use rand_core;
