//! A test world: clients with real engines and real stores on a simulated network, driven by one
//! seed. A step of a client can be cut off between any two of its outputs, as a crash does; a
//! connection can break at any time; what was committed stays.

mod alone;
pub mod commands;
mod connections;
mod node;
mod people;
mod relay;
mod relays;
mod rendezvous;
mod scripted;
mod world;

pub use alone::{Alone, closed, dials};
pub use node::Node;
pub use relay::{Malice, Relay};
pub use rendezvous::{Lie, Rendezvous};
pub use scripted::Scripted;
pub use world::{Faults, World};
