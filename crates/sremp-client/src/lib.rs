//! The user's state: engine, encrypted store, runtime, and the handle that faces use.
//!
//! ```text
//! face ─▶ client::Face ─▶ runtime ─▶ engine ─▶ store      one step, one transaction
//!   ▲         │  socket      │  ▲       │
//!   └─────────┴── replies ───┘  └ links ┴─▶ outputs, once the transaction is durable
//!                               └ mailbox (the built-in relay's, if the user wants one)
//! ```

pub mod card;
pub mod client;
pub mod clock;
pub mod config;
mod control;
pub mod engine;
pub mod home;
pub mod mailbox;
mod runtime;
pub mod shell;
pub mod store;
pub mod view;

pub use sremp_core::text;
