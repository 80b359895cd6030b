//! A relay: keeps what it cannot read until its reader comes, and loses nothing that it accepted
//! (chapter 6).
//!
//! ```text
//! connection ─▶ guest ─▶ committer ─▶ store      one thread, one transaction for all that waits
//!     ▲            │         │
//!     └── seat ◀───┴─────────┘ answers and pushes, after the commit
//! ```

pub mod config;
pub mod home;
pub mod invite;
pub mod mailbox;
pub mod metrics;
pub mod operations;
