//! A text that a face wants sent, and the name by which it is sent once.

use sha2::{Digest as _, Sha256};
use sremp_core::id::MsgId;

use super::{Engine, peers::Peer};
use crate::view::{CommandError, ErrorKind};

/// Longest key of a sending, in bytes.
const MAX_KEY: usize = 128;

/// A text that a face wants sent.
pub(super) struct Outgoing<'a> {
    pub(super) text: String,
    /// The message that it answers.
    pub(super) reply_to: Option<&'a str>,
    /// What the face calls this sending.
    pub(super) key: Option<&'a str>,
}

impl Engine {
    /// The id of the one message to a contact that a face calls so.
    pub(super) fn keyed_msg_id(&self, peer: &Peer, key: &str) -> Result<MsgId, CommandError> {
        if key.is_empty() || key.len() > MAX_KEY {
            let message = format!("the key of a sending has 1 to {MAX_KEY} bytes");
            return Err(CommandError::new(ErrorKind::Usage, message));
        }
        let hash = Sha256::new()
            .chain_update(b"sremp sending")
            .chain_update(self.own.identity.id().as_bytes())
            .chain_update(peer.key().as_bytes())
            .chain_update(key.as_bytes())
            .finalize();
        let mut id = [0; MsgId::LEN];
        id.copy_from_slice(&hash[..MsgId::LEN]);
        Ok(MsgId::new(id))
    }
}
