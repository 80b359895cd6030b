//! A relay's machine and its clients' machines against each other, over the bytes of messages, with
//! a toy store between them. The cases of the threat list as far as messages show them.

mod dialogue;
mod hostile_client;
mod hostile_relay;
mod malformed;
#[path = "../session_support/mod.rs"]
mod session_support;
mod world;
