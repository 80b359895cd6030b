//! A rendezvous server: tells where somebody is who wants to be found, in their own signed words
//! (chapter 5).
//!
//! ```text
//! connection ─▶ service ── lookup, page ──▶ directory (memory)
//!                  │                            ▲
//!                  └─ register ─▶ keeper ───────┘ after the commit
//!                     proof,        one thread, one transaction for all that waits
//!                     dial-back
//! ```

#[cfg(feature = "acme")]
mod acme;
pub mod certificates;
pub mod config;
pub mod directory;
mod gossip;
pub mod home;
mod keeper;
mod limits;
pub mod load;
pub mod metrics;
pub mod operate;
pub mod run;
mod service;
