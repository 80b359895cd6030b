//! What a relay and a rendezvous server have in common: a [directory](home) with keys and settings,
//! token [buckets], and metrics and health over HTTP ([operations]). What they serve is their own.

pub mod buckets;
pub mod home;
pub mod operations;

/// How many processors this process may use; 1 if the system does not say.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
