//! Clients in a world of seeded networks, clocks, crashes and hostile peers.

mod addresses;
mod built_in_relay;
mod clocks;
mod contacts;
mod contents;
mod cuts;
mod doctor;
mod malicious_relay;
mod paths;
mod relay;
mod relay_trust;
mod rendezvous;
mod resets;
mod restoring;
mod screens;
mod silence;
mod strangers;
mod troubles;
mod two_people;
mod why;
