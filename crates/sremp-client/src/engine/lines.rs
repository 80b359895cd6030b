//! Lines of a conversation as they come in: texts in their place, what is missing between them, and
//! grey lines; and the events that tell of them.

use sremp_core::{
    id::MsgId,
    session::content::{Body, Content, ContentHash},
    time::UnixMillis,
};

use super::{Engine, Step, peers::Peer, relays::Arrival};
use crate::{
    clock::Rfc3339,
    store::{ContactRow, NewMessage, StoreError},
    view::{EventKind, MessageKind},
};

/// Missing messages that get a line each; a longer gap gets one line.
const MAX_GAP_LINES: u64 = 16;
/// A contact that jumps so far has lost no messages: it was restored, and counts from the time (3.10).
const RENUMBERED: u64 = 1 << 20;

/// What a line told as missing has come.
pub(super) fn close_gap(
    step: &mut Step<'_, '_>,
    contact: ContactRow,
    seq: u64,
) -> Result<(), StoreError> {
    // a message of this id is the contact's own making
    match step.tx.notice(contact, &gap_id(contact.0, seq))? {
        Some(gap) => step.tx.erase_message(gap).map(drop),
        None => Ok(()),
    }
}

impl Engine {
    /// Puts a received text into the history and tells the faces, unless it came before under
    /// another session. An id of one's own would name two messages, and is shown as a grey line.
    pub(super) fn show(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        content: &Content,
        text: String,
        arrival: Arrival,
    ) -> Result<(), StoreError> {
        let now = step.now.wall;
        let path = arrival.path();
        let row = peer.record.row;
        if step.tx.is_own(row, &content.msg_id)? {
            let text = "[a message that bears the id of one of yours is not shown]".to_owned();
            return self.note(step, peer, text, now);
        }
        if step
            .tx
            .bears_a_number_again(row, content.seq, &content.msg_id)?
        {
            let text = "[the next message bears the number of one that came before]".to_owned();
            self.note(step, peer, text, now)?;
        }
        let shown = step.tx.insert_message(&NewMessage {
            contact: row,
            msg_id: Some(content.msg_id),
            kind: MessageKind::Received,
            seq: content.seq,
            text: &text,
            sent: content.sent,
            received: Some(now),
            status: None,
            path: Some(path),
        })?;
        let Some(line) = shown else {
            return Ok(());
        };
        self.note_arrival(step, shown, arrival)?;
        self.time_line(step, row, line, MessageKind::Received)?;
        let mut reply_to = None;
        match &content.body {
            Body::Reply { msg_id, .. } => {
                step.tx.set_answers(line, msg_id)?;
                reply_to = Some(msg_id.to_string());
            }
            Body::Unknown(_) => step.tx.mark_opaque(line)?,
            _ => {}
        }
        let late = step.tx.is_late(line)?;
        // the text is added when the event is told, if it is still there
        self.emit(
            step,
            &EventKind::Message {
                msg_id: content.msg_id.to_string(),
                from: peer.key().to_string(),
                alias: peer.name(),
                text: String::new(),
                reply_to,
                quote: None,
                gone: false,
                disappears_at: None,
                sent_at: Rfc3339(content.sent),
                received_at: Rfc3339(now),
                path,
                late,
            },
        )?;
        self.change_late(step, peer, content)
    }

    /// Remembers by which relay a line came.
    pub(super) fn note_arrival(
        &self,
        step: &mut Step<'_, '_>,
        line: Option<i64>,
        arrival: Arrival,
    ) -> Result<(), StoreError> {
        match (line, arrival) {
            (Some(line), Arrival::Mailbox { relay, stored }) => {
                step.tx.set_message_relay(line, relay, stored)
            }
            _ => Ok(()),
        }
    }

    /// Follows the sender's sequence and hash chain (D3.10): what is missing gets a line in its
    /// place, which goes when the message comes after all.
    pub(super) fn note_order(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        content: &Content,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let last = peer.record.peer_seq;
        let row = peer.record.row;
        if content.seq <= last {
            return close_gap(step, row, content.seq);
        }
        let missing = content.seq - last - 1;
        if missing >= RENUMBERED {
            // the word that it was restored is still to come
        } else if missing == 0 && last > 0 && *content.prev.as_bytes() != peer.record.peer_prev {
            let text = "[the message before this one is not the one that was received]".to_owned();
            self.note(step, peer, text, step.now.wall)?;
        } else if missing > MAX_GAP_LINES {
            let text = format!("[{missing} messages before the next had not come when it came]");
            self.note(step, peer, text, step.now.wall)?;
        } else {
            for seq in last + 1..content.seq {
                step.tx.insert_message(&NewMessage {
                    contact: row,
                    msg_id: Some(gap_id(row.0, seq)),
                    kind: MessageKind::Notice,
                    seq,
                    text: "[a message is missing here]",
                    sent: content.sent,
                    received: Some(step.now.wall),
                    status: None,
                    path: None,
                })?;
            }
        }
        follow_from(peer, content, bytes);
        Ok(())
    }

    /// A grey line in the conversation and an event.
    pub(super) fn note(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        text: String,
        at: UnixMillis,
    ) -> Result<(), StoreError> {
        grey_line(step, peer.record.row, &text, at)?;
        self.emit(
            step,
            &EventKind::Notice {
                from: peer.key().to_string(),
                alias: peer.name(),
                text,
                at: Rfc3339(at),
            },
        )
    }

    /// Appends an event for the faces.
    pub(super) fn emit(
        &mut self,
        step: &mut Step<'_, '_>,
        event: &EventKind,
    ) -> Result<(), StoreError> {
        let json = serde_json::to_string(event).unwrap_or_default();
        self.last_event = step.tx.append_event(&json, step.now.wall)?;
        Ok(())
    }
}

/// The contact's next content follows this one.
pub(super) fn follow_from(peer: &mut Peer, content: &Content, bytes: &[u8]) {
    let record = peer.edit();
    record.peer_seq = content.seq;
    record.peer_prev = *ContentHash::of(bytes).as_bytes();
}

/// A line that no person wrote; its number.
pub(super) fn grey_line(
    step: &mut Step<'_, '_>,
    contact: ContactRow,
    text: &str,
    at: UnixMillis,
) -> Result<Option<i64>, StoreError> {
    step.tx.insert_message(&NewMessage {
        contact,
        msg_id: None,
        kind: MessageKind::Notice,
        seq: 0,
        text,
        sent: at,
        received: Some(at),
        status: None,
        path: None,
    })
}

/// The id of the line that stands for a message that has not come.
fn gap_id(contact: i64, seq: u64) -> MsgId {
    use sha2::{Digest as _, Sha256};
    let hash = Sha256::new()
        .chain_update(b"gap")
        .chain_update(contact.to_le_bytes())
        .chain_update(seq.to_le_bytes())
        .finalize();
    let mut id = [0; MsgId::LEN];
    id.copy_from_slice(&hash[..MsgId::LEN]);
    MsgId::new(id)
}
