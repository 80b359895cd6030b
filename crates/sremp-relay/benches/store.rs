//! The store alone: how fast, how many bytes.
fn main() {}
