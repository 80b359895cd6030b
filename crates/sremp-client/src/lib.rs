//! The user's state: engine, encrypted store, runtime, and the handle that faces use.

pub mod clock;
pub mod view;
