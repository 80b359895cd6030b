//! What a relay and a rendezvous server have in common: a [directory](home) with keys and settings,
//! token [buckets], and metrics and health over HTTP ([operations]). What they serve is their own.

pub mod buckets;
pub mod home;
pub mod operations;
