//! Drives SREMP channels over TCP.
