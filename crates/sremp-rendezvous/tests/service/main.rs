//! A server over real TLS sockets: who keeps to the rules, and who does not.
#![allow(missing_docs)]

mod flood;
mod gossip;
mod hostile;
mod operation;
mod stories;
mod world;
