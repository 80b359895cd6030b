//! Channels against each other, against a peer that breaks rules, and against noise.
#![allow(missing_docs, clippy::unwrap_used)]

mod chunks;
mod dialogue;
mod duplicates;
mod fuzz;
mod hello;
mod rules;
mod transcript;
mod vectors;
mod world;
