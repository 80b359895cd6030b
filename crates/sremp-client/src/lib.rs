//! The user's state: engine, encrypted store, runtime, and the handle that faces use.
//!
//! ```text
//! face ─▶ client::Face ─▶ runtime ─▶ engine ─▶ store      one step, one transaction
//!   ▲         │  socket      │  ▲       │
//!   └─────────┴── replies ───┘  └ links ┴─▶ outputs, once the transaction is durable
//! ```

pub mod card;
pub mod client;
pub mod clock;
pub mod config;
mod control;
pub mod engine;
pub mod home;
mod runtime;
pub mod store;
pub mod view;

pub use sremp_core::text;
