//! From a text to bytes on a connection: durable first (D3.14), then in order, as far as the window
//! allows.

use std::time::Duration;

use sremp_core::{
    constants::{MAX_CONTENT, MAX_REQUEST_TEXT},
    id::{ContactId, MsgId},
    session::content::{Body, Content, ContentHash},
};

use super::{Engine, Step, Ticket, outgoing::Outgoing, peers::Peer};
use crate::{
    store::{ContactRow, NewMessage, NewOutboxItem, StoreError},
    view::{CommandError, ErrorKind, EventKind, MessageKind, Path, Status, Wait},
};

/// A message that nobody took is given up after this time.
pub(super) const OUTBOX_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Longest text in bytes: a content less its header.
pub(super) const MAX_TEXT: usize = MAX_CONTENT - 128;

impl Engine {
    /// `send`: the message is durable in history and outbox with this step.
    pub(super) fn send_text(
        &mut self,
        step: &mut Step<'_, '_>,
        ticket: Ticket,
        contact: &str,
        text: Outgoing<'_>,
        patience: (Wait, u64),
    ) -> Result<(), StoreError> {
        let mut peer = match self.find_contact(step, contact)? {
            Ok(peer) => peer,
            Err(error) => {
                step.reply(ticket, Err(error));
                return Ok(());
            }
        };
        let result = self.queue_text(step, &mut peer, text)?;
        let row = peer.record.row;
        let key = peer.key();
        self.peers.put(peer);
        match result {
            Ok(msg_id) => return self.see_off(step, ticket, row, key, msg_id, patience),
            Err(error) => step.reply(ticket, Err(error)),
        }
        Ok(())
    }

    /// What was queued is to go out at once, and whoever wrote it to be answered.
    pub(super) fn see_off(
        &mut self,
        step: &mut Step<'_, '_>,
        ticket: Ticket,
        row: ContactRow,
        key: ContactId,
        msg_id: MsgId,
        (wait, timeout_ms): (Wait, u64),
    ) -> Result<(), StoreError> {
        self.wait_for_message(step, ticket, row, msg_id, wait, timeout_ms);
        self.release(step, &key)?;
        self.push_soon(&key);
        self.dialling.hurry(&key, step.now.tick);
        self.seek_soon(&key, step.now.tick);
        Ok(())
    }

    fn queue_text(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        outgoing: Outgoing<'_>,
    ) -> Result<Result<MsgId, CommandError>, StoreError> {
        let Outgoing {
            text,
            reply_to,
            key,
        } = outgoing;
        let msg_id = match key.map(|key| self.keyed_msg_id(peer, key)) {
            None => self.fresh_msg_id(step),
            Some(Err(error)) => return Ok(Err(error)),
            Some(Ok(keyed)) => {
                let sent = Some(MessageKind::Sent);
                // also when it has been erased since
                if step.tx.target(peer.record.row, &keyed, sent)?.is_some() {
                    return Ok(Ok(keyed));
                }
                keyed
            }
        };
        if let Err(error) = may_write(peer) {
            return Ok(Err(error));
        }
        if text.is_empty() {
            let error = CommandError::new(ErrorKind::Usage, "there is no text to send");
            return Ok(Err(error));
        }
        if text.len() > MAX_TEXT {
            let error = CommandError::new(
                ErrorKind::Usage,
                "the text is longer than 58 KiB with its header; send it in parts",
            );
            return Ok(Err(error));
        }
        let answers = match reply_to {
            None => None,
            Some(typed) => match self.answered(step, peer, typed)? {
                Ok(answers) => Some(answers),
                Err(error) => return Ok(Err(error)),
            },
        };
        if answers.is_some() || text.len() > MAX_REQUEST_TEXT {
            self.introduce(step, peer)?;
        }
        let body = match answers {
            Some(msg_id) => Body::Reply {
                msg_id,
                text: text.clone(),
            },
            None if peer.record.introduced => Body::Text(text.clone()),
            None => self.contact_request(step, peer, text.clone())?,
        };
        let content = self.next_content(step, peer, msg_id, body);
        let Ok(bytes) = content.encode() else {
            return Err(StoreError::Other("a text could not be encoded".into()));
        };
        let seq = content.seq;
        self.enqueue(step, peer, &content, &bytes)?;
        let line = step.tx.insert_message(&NewMessage {
            contact: peer.record.row,
            msg_id: Some(msg_id),
            kind: MessageKind::Sent,
            seq,
            text: &text,
            sent: step.now.wall,
            received: None,
            status: Some(Status::Queued),
            path: None,
        })?;
        if let Some(line) = line {
            self.time_line(step, peer.record.row, line, MessageKind::Sent)?;
            if let Some(answers) = &answers {
                step.tx.set_answers(line, answers)?;
            }
        }
        Ok(Ok(msg_id))
    }

    /// A contact that was never written to gets an empty request before anything else.
    pub(super) fn introduce(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
    ) -> Result<(), StoreError> {
        if peer.record.introduced {
            return Ok(());
        }
        let request_id = self.fresh_msg_id(step);
        let request = self.contact_request(step, peer, String::new())?;
        self.queue(step, peer, request_id, request)
    }

    pub(super) fn fresh_msg_id(&self, step: &mut Step<'_, '_>) -> MsgId {
        let mut id = [0; MsgId::LEN];
        step.rng.fill_bytes(&mut id);
        MsgId::new(id)
    }

    /// Queues a content of the client's own making.
    pub(super) fn queue(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        msg_id: MsgId,
        body: Body,
    ) -> Result<(), StoreError> {
        let content = self.next_content(step, peer, msg_id, body);
        match content.encode() {
            Ok(bytes) => self.enqueue(step, peer, &content, &bytes),
            // its parts are bounded by their types; should one ever not be, nothing is half done
            Err(_) => {
                self.refusals.count("content-too-large");
                Ok(())
            }
        }
    }

    pub(super) fn next_content(
        &self,
        step: &Step<'_, '_>,
        peer: &Peer,
        msg_id: MsgId,
        body: Body,
    ) -> Content {
        Content {
            msg_id,
            seq: peer.record.next_seq,
            prev: ContentHash::new(peer.record.prev),
            sent: step.now.wall,
            body,
        }
    }

    pub(super) fn enqueue(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        content: &Content,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let now = step.now.wall;
        let new = NewOutboxItem {
            contact: peer.record.row,
            msg_id: content.msg_id,
            content: bytes,
            created: now,
            expires: now.plus(OUTBOX_AGE),
        };
        self.append(step, peer, &new)
    }

    /// Appends the content of the next `seq`.
    pub(super) fn append(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        new: &NewOutboxItem<'_>,
    ) -> Result<(), StoreError> {
        let item = line_up(step, peer, new)?;
        self.seal(step, peer, item, new.content)?;
        Ok(())
    }

    /// Encrypts a queued content under the contact's session, if there is one to send on. The
    /// envelope is stored in the same transaction as the chain that made it, and is what every
    /// retry sends.
    pub(super) fn seal(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        item: i64,
        content: &[u8],
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let now = step.now.wall;
        if peer.book.needs_new_session(now) {
            return Ok(None);
        }
        let Some(key) = peer.sealing_key(now).copied() else {
            return Ok(None);
        };
        let identity = &self.own.identity;
        let Ok(out) = peer.book.encrypt(identity, &key, content, step.rng) else {
            return Ok(None);
        };
        step.tx.record_key_use(
            &out.key.session_id,
            out.key.epoch,
            out.key.n,
            &out.envelope_id,
        )?;
        step.tx
            .set_envelope(item, &out.key.session_id, &out.envelope, &out.envelope_id)?;
        Ok(Some(out.envelope))
    }

    /// Everything that a contact has not confirmed is encrypted again: it may have lost the session or
    /// the key to which it was sealed. Whatever it did receive it knows by its message id.
    pub(super) fn seal_anew(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
    ) -> Result<u64, StoreError> {
        let again = step.tx.clear_envelopes(peer.record.row)?;
        self.rewind_link(&peer.key());
        self.push_soon(&peer.key());
        Ok(again)
    }

    /// A contact's client has committed a message.
    pub(super) fn confirmed(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        item: i64,
        msg_id: MsgId,
        path: Path,
    ) -> Result<(), StoreError> {
        step.tx.remove_outbox(item)?;
        step.tx.attempts_over(peer.record.row)?;
        if !peer.record.confirmed {
            self.accepted_unsaid(step, peer, item)?;
        }
        self.message_status(step, peer, msg_id, Status::OnDevice, Some(path))
    }

    /// A contact who has never written has confirmed an item: it has accepted the user, and cannot tell so.
    /// What came before was ignored, as a stranger's.
    fn accepted_unsaid(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        item: i64,
    ) -> Result<(), StoreError> {
        let done = self.accepted_unsaid.entry(peer.key()).or_default();
        let items = *done + 1..item;
        *done = item.max(*done);
        if step.tx.forget_relay_storage(peer.record.row, items)? {
            self.rewind_link(&peer.key());
            self.push_soon(&peer.key());
        }
        Ok(())
    }

    pub(super) fn message_status(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        msg_id: MsgId,
        status: Status,
        path: Option<Path>,
    ) -> Result<(), StoreError> {
        let at = step.now.wall;
        let row = peer.record.row;
        if !step.tx.set_status(&msg_id, row, status, path, at)? {
            // a content that is no line of the conversation
            return Ok(());
        }
        self.tell_status(step, peer, msg_id, status, path)?;
        self.message_came(step, msg_id, status, path);
        Ok(())
    }

    pub(super) fn tell_status(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        msg_id: MsgId,
        status: Status,
        path: Option<Path>,
    ) -> Result<(), StoreError> {
        self.emit(
            step,
            &EventKind::Status {
                msg_id: msg_id.to_string(),
                alias: peer.name(),
                status,
                path,
                at: crate::clock::Rfc3339(step.now.wall),
            },
        )
    }

    /// Gives up what nobody took in 30 days, and says so.
    pub(super) fn expire_outbox(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        for item in step.tx.expired_outbox(step.now.wall, 1_000)? {
            let Some(record) = step.tx.contact(item.contact)? else {
                continue;
            };
            step.tx.remove_outbox(item.id)?;
            let Some(mut peer) = self.peers.take(step.tx, &record.key)? else {
                continue;
            };
            if !peer.record.confirmed {
                // the request may have been what expired: the next message makes another
                peer.edit().introduced = false;
            }
            let result = self.message_status(step, &peer, item.msg_id, Status::Failed, None);
            self.peers.put(peer);
            result?;
        }
        Ok(())
    }
}

/// Puts the content of the next `seq` behind what waits; it is encrypted when its turn comes.
pub(super) fn line_up(
    step: &mut Step<'_, '_>,
    peer: &mut Peer,
    new: &NewOutboxItem<'_>,
) -> Result<i64, StoreError> {
    peer.unanswered = 0;
    let record = peer.edit();
    record.next_seq += 1;
    record.prev = *ContentHash::of(new.content).as_bytes();
    step.tx.push_outbox(new)
}

pub(super) fn may_write(peer: &Peer) -> Result<(), CommandError> {
    use sremp_core::identity::Trust;
    let name = peer.name();
    let word = crate::shell::word(&name);
    let refusal = if peer.record.trust == Trust::Rejected {
        format!("{name} is rejected; undo that with `sremp trust {word}` before you write")
    } else if peer.record.is_withdrawn() {
        format!("{name} has withdrawn this identity for good; ask for a new card")
    } else if peer.record.is_held() {
        super::forks::go_on(&name)
    } else if !peer.is_accepted() {
        format!("{name} asks to be a contact; accept with `sremp add {word}` before you write")
    } else {
        return Ok(());
    };
    Err(CommandError::new(ErrorKind::Contact, refusal))
}
