//! A server over real TLS sockets: who keeps to the rules, and who does not.
#![allow(missing_docs)]

#[cfg(feature = "acme")]
mod acme;
#[cfg(feature = "acme")]
mod authority;
#[cfg(feature = "acme")]
mod challenge;
mod flood;
mod gossip;
mod hostile;
mod operation;
mod stories;
mod world;
