//! The user's state: engine, encrypted store, runtime, and the handle that faces use.

pub mod clock;
pub mod config;
pub mod engine;
pub mod home;
pub mod store;
pub mod view;
