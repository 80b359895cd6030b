//! The binary from outside: arguments in, lines and exit codes out. What is asserted here is the
//! scripting contract.

mod built_in;
mod contacts;
mod contents;
mod conversation;
mod crash;
mod demo;
mod direct;
mod doctor;
mod export;
mod found;
mod identity;
mod invited;
mod killed;
mod passphrase;
mod recv;
mod relay;
mod relay_crash;
mod relay_load;
mod relay_secrets;
mod relay_trace;
mod relayed;
mod rendezvous;
mod rendezvous_load;
mod restored;
mod rpc;
mod screens;
mod support;
mod up;
mod usage;
