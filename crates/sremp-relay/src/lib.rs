//! A relay: keeps what it cannot read until its reader comes, and loses nothing that it accepted
//! (chapter 6).
//!
//! ```text
//! connection ─▶ requests ─▶ stores ─▶ writer ─▶ store
//!     ▲             │   signatures    one transaction for all that waits: in the same task while the
//!     │             │                     │   disk is quick, else in the committer's thread
//!     └─── seat ◀───┴──── answers ◀───────┘ receipts and pushes, after the commit
//! ```

mod answer;
mod answers;
mod check;
mod clock;
mod committer;
pub mod config;
mod confirmations;
mod connection;
mod desk;
mod feed;
mod forward;
mod holds;
pub mod home;
mod intake;
pub mod invite;
mod limits;
pub mod load;
pub mod mailbox;
pub mod metrics;
pub mod operate;
mod receipt;
mod requests;
pub mod run;
mod seats;
mod service;
mod stores;
mod writer;
