//! What the user does to messages that are there, and to the conversation: edit, delete, react, set
//! the timer. Each is done here and queued for the contact in one step.

use sremp_core::{
    constants::{MAX_REACTION, MIN_TIMER},
    id::MsgId,
    session::content::Body,
    text,
    time::UnixMillis,
};

use super::{
    Engine, Step, Ticket,
    contacts::{Answer, refuse},
    peers::Peer,
    sending::{MAX_TEXT, may_write},
    why::only_one,
};
use crate::{
    clock::period,
    store::{ContactRow, MessageRecord, ReactionRecord, StoreError},
    view::{Action, CommandError, ErrorKind, MessageKind, Reply, Wait},
};

/// Messages that are looked at for one that begins with some digits.
const CANDIDATES: u32 = 8;

impl Engine {
    /// Does something and answers when it is durable, or has come as far as asked.
    pub(super) fn act(
        &mut self,
        step: &mut Step<'_, '_>,
        ticket: Ticket,
        action: &Action,
        wait: Wait,
        timeout_ms: u64,
    ) -> Result<(), StoreError> {
        let (mut peer, message) = match self.acted_on(step, action)? {
            Ok(found) => found,
            Err(error) => {
                step.reply(ticket, Err(error));
                return Ok(());
            }
        };
        let done = self.do_it(step, &mut peer, message.as_ref(), action);
        let (row, key) = (peer.record.row, peer.key());
        self.peers.put(peer);
        match done? {
            Ok(msg_id) => {
                return self.see_off(step, ticket, row, key, msg_id, (wait, timeout_ms));
            }
            Err(error) => step.reply(ticket, Err(error)),
        }
        Ok(())
    }

    /// With whom something is done, and to which message.
    fn acted_on(
        &mut self,
        step: &mut Step<'_, '_>,
        action: &Action,
    ) -> Answer<(Box<Peer>, Option<MessageRecord>)> {
        let (msg_id, whose) = match action {
            Action::Timer { contact, .. } => {
                let found = self.find_contact(step, contact)?;
                return Ok(found.map(|peer| (peer, None)));
            }
            Action::Edit { msg_id, .. } | Action::Delete { msg_id } => {
                (msg_id, Some(MessageKind::Sent))
            }
            Action::React { msg_id, .. } => (msg_id, None),
        };
        let message = match self.named_message(step, msg_id, whose, None)? {
            Ok(message) => message,
            Err(error) => return Ok(Err(error)),
        };
        let record = step.tx.contact(message.contact)?;
        let key = record.ok_or(StoreError::Damaged)?.key;
        let peer = self.peers.take(step.tx, &key)?.ok_or(StoreError::Damaged)?;
        Ok(Ok((peer, Some(message))))
    }

    /// The message that the user names by its id or some of its first digits; if there are several, that
    /// of the conversation in which it is named.
    pub(super) fn named_message(
        &mut self,
        step: &mut Step<'_, '_>,
        typed: &str,
        whose: Option<MessageKind>,
        within: Option<ContactRow>,
    ) -> Answer<MessageRecord> {
        let (lowest, highest, contact) = match self.ids_meant(step, typed)? {
            Ok(meant) => meant,
            Err(error) => return Ok(Err(error)),
        };
        let mut found =
            step.tx
                .messages_between(&lowest, &highest, contact.or(within), CANDIDATES)?;
        if found.is_empty() && contact.is_none() {
            found = step
                .tx
                .messages_between(&lowest, &highest, None, CANDIDATES)?;
        }
        let others = found.len();
        found.retain(|message| whose.is_none_or(|kind| message.kind == kind));
        if found.is_empty() && others > 0 {
            let text = format!(
                "the message {typed} is not yours: only its author edits it or takes it back; \
                 `sremp delete --here` erases it on this side"
            );
            return refuse(ErrorKind::Usage, text);
        }
        match only_one(&found, typed) {
            Ok(one) if one.deleted => {
                let text =
                    format!("the message {typed} was taken back; there is nothing left of it");
                refuse(ErrorKind::Usage, text)
            }
            found => Ok(found),
        }
    }

    /// The message of this conversation that the user answers.
    pub(super) fn answered(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        typed: &str,
    ) -> Answer<MsgId> {
        let message = match self.named_message(step, typed, None, Some(peer.record.row))? {
            Ok(message) => message,
            Err(error) => return Ok(Err(error)),
        };
        match message.msg_id {
            Some(msg_id) if message.contact == peer.record.row => Ok(Ok(msg_id)),
            _ => {
                let text = format!(
                    "the message {typed} is not of the conversation with {}",
                    peer.name()
                );
                refuse(ErrorKind::Usage, text)
            }
        }
    }

    /// `delete --here`: erases a message on this side alone.
    pub(super) fn erase_here(&mut self, step: &mut Step<'_, '_>, typed: &str) -> Answer<Reply> {
        let message = match self.named_message(step, typed, None, None)? {
            Ok(message) => message,
            Err(error) => return Ok(Err(error)),
        };
        step.tx.erase_message(message.id)?;
        Ok(Ok(Reply::Done {}))
    }

    /// Queues a content that is no line of the conversation but has a status of its own; its id and
    /// `seq`.
    fn queue_action(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        body: Body,
        sent: UnixMillis,
    ) -> Result<(MsgId, u64), StoreError> {
        self.introduce(step, peer)?;
        let msg_id = self.fresh_msg_id(step);
        let mut content = self.next_content(step, peer, msg_id, body);
        content.sent = sent;
        let Ok(bytes) = content.encode() else {
            return Err(StoreError::Other("an action could not be encoded".into()));
        };
        self.enqueue(step, peer, &content, &bytes)?;
        step.tx
            .insert_action(peer.record.row, &msg_id, step.now.wall)?;
        Ok((msg_id, content.seq))
    }

    /// Queues it for the contact and does it here.
    fn do_it(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &mut Peer,
        message: Option<&MessageRecord>,
        action: &Action,
    ) -> Answer<MsgId> {
        if let Err(error) = may_write(peer).and_then(|()| is_possible(action)) {
            return Ok(Err(error));
        }
        let body = body_of(action, message.and_then(|m| m.msg_id)).ok_or(StoreError::Damaged)?;
        let sent = match action {
            Action::Timer { .. } => self.timer_time(step, peer.record.row)?,
            _ => step.now.wall,
        };
        let (msg_id, seq) = self.queue_action(step, peer, body, sent)?;
        match (action, message) {
            (Action::Timer { seconds, .. }, _) => {
                self.settle_timer(step, peer, (*seconds, sent), None)?;
            }
            (_, Some(message)) => do_here(step, message.id, seq, action)?,
            (_, None) => {}
        }
        Ok(Ok(msg_id))
    }
}

/// What the contact is told; `None` if it is about a message and there is none.
fn body_of(action: &Action, target: Option<MsgId>) -> Option<Body> {
    Some(match action {
        Action::Edit { text, .. } => Body::Edit {
            msg_id: target?,
            text: text.clone(),
        },
        Action::Delete { .. } => Body::Delete { msg_id: target? },
        Action::React { reaction, .. } => Body::Reaction {
            msg_id: target?,
            reaction: reaction.clone(),
        },
        Action::Timer { seconds, .. } => Body::Timer { seconds: *seconds },
    })
}

/// The same on this side.
fn do_here(
    step: &mut Step<'_, '_>,
    line: i64,
    seq: u64,
    action: &Action,
) -> Result<(), StoreError> {
    let now = step.now.wall;
    match action {
        Action::Edit { text, .. } => step.tx.edit_message(line, text, seq, now, None),
        Action::Delete { .. } => step.tx.take_back(line, seq, now, None),
        Action::React { reaction, .. } => {
            let reaction = ReactionRecord {
                own: true,
                seq,
                at: now,
                event: None,
                text: reaction.clone(),
            };
            step.tx.set_reaction(line, &reaction)
        }
        Action::Timer { .. } => Ok(()),
    }
}

/// Whether something can be said at all.
fn is_possible(action: &Action) -> Result<(), CommandError> {
    let refusal = match action {
        Action::Edit { text, .. } if text.is_empty() => {
            "there is no text; to take the message back: `sremp delete`".to_owned()
        }
        Action::Edit { text, .. } if text.len() > MAX_TEXT => {
            "the text is longer than 58 KiB with its header; shorten it".to_owned()
        }
        Action::React { reaction, .. } if reaction.len() > MAX_REACTION => {
            format!("a reaction has at most {MAX_REACTION} bytes; give one emoji or a word")
        }
        // as others show it: nothing of it is white space or is taken away
        Action::React { reaction, .. }
            if text::clean_line(reaction) != *reaction || reaction.contains(' ') =>
        {
            "a reaction is one emoji or a word, without spaces and control characters".to_owned()
        }
        Action::Timer { seconds, .. } if (1..MIN_TIMER).contains(seconds) => format!(
            "messages stay for {} at least; give a longer time, or off",
            period(MIN_TIMER)
        ),
        _ => return Ok(()),
    };
    Err(CommandError::new(ErrorKind::Usage, refusal))
}
