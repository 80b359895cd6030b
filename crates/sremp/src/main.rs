//! A messenger in which a key is the identity: the faces of a client, in one binary.
//!
//! [`cli`] has a file for every verb, [`demo`] plays a conversation of two people on loopback. Both
//! ask the client through [`ask`] and decide nothing about the protocol.

mod ask;
mod cli;
mod demo;
mod server_process;

fn main() -> std::process::ExitCode {
    cli::main(std::env::args_os())
}
