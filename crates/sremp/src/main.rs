//! A messenger in which a key is the identity.
fn main() {}
