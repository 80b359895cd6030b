//! Bytes: the SMP1 codec, frames and chunks (chapters 0 and 1).

pub mod bytes;
pub mod codec;
