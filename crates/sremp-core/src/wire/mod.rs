//! Bytes: the SMP1 codec, frames and chunks (chapters 0 and 1).

pub mod bytes;
pub mod chunk;
pub mod codec;
pub mod frame;
