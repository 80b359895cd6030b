//! What each fuzz target does with its bytes.
//!
//! One function per target, used by `fuzz_targets/` and, through `#[path]`, by the test
//! `fuzz_corpus` of sremp-core, which replays the checked-in corpora. A target asserts more than the
//! absence of panics: what is accepted has one encoding, what is refused has left nothing behind.
//!
//! Another target: a function here, a row in [`TARGETS`], a file in `fuzz_targets/`, a `[[bin]]` in
//! Cargo.toml and a few files in `corpus/<name>/`; the test complains about what is missing.

mod channel;
mod documents;
mod input;
mod relay;
mod rendezvous;
mod session;
mod text;
mod wire;

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("identity", documents::identity),
    ("identity_signed", documents::identity_signed),
    ("card", documents::card),
    ("card_signed", documents::card_signed),
    ("content", documents::content),
    ("codec", documents::codec),
    ("text", text::text),
    ("framer", wire::framer),
    ("chunks", wire::chunks),
    ("plaintext", wire::plaintext),
    ("channel_stranger", channel::channel_stranger),
    ("channel_peer", channel::channel_peer),
    ("bundle", session::bundle),
    ("envelope_open", session::envelope_open),
    ("ratchet", session::ratchet),
    ("stored_state", session::stored_state),
    ("conversation", session::conversation),
    ("relay_message", relay::relay_message),
    ("relay_receipt", relay::relay_receipt),
    ("relay_server", relay::relay_server),
    ("relay_client", relay::relay_client),
    ("rendezvous_message", rendezvous::rendezvous_message),
    ("rendezvous_frame", rendezvous::rendezvous_frame),
    ("rendezvous_record", rendezvous::rendezvous_record),
    ("rendezvous_server", rendezvous::rendezvous_server),
    ("rendezvous_client", rendezvous::rendezvous_client),
];

/// Runs a target; `false` if there is none of this name.
pub fn run(name: &str, data: &[u8]) -> bool {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    if let Some((_, body)) = target {
        body(data);
    }
    target.is_some()
}
