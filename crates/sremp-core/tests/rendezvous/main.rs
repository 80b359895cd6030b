//! A rendezvous server's machine and directory and its clients' machines against each other, over
//! the bytes of frames. The cases of the threat list as far as messages show them.

mod candidates;
mod dialogue;
mod directory;
mod gossip;
mod hostile_client;
mod hostile_server;
mod world;
