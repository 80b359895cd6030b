//! What a contact does to messages that were written before: edits, deletions, reactions (3.11). What
//! it may not do changes nothing and is counted; it is confirmed like everything that was read, so
//! that it cannot hold up what comes after.

use sremp_core::{
    session::content::{Body, Content},
    text,
};

use super::{Engine, Step, peers::Peer};
use crate::{
    clock::Rfc3339,
    store::{ChangeKind, Fate, MessageChange, MessageTarget, ReactionRecord, StoreError},
    view::{EventKind, MessageKind},
};

/// What the content of a contact does to a message, if it is of that sort.
fn change_of(content: &Content) -> Option<MessageChange> {
    let (msg_id, kind, text) = match &content.body {
        Body::Edit { msg_id, text } => (*msg_id, ChangeKind::Edit, text::clean(text)),
        Body::Delete { msg_id } => (*msg_id, ChangeKind::Delete, String::new()),
        Body::Reaction { msg_id, reaction } => {
            (*msg_id, ChangeKind::Reaction, text::clean_line(reaction))
        }
        _ => return None,
    };
    Some(MessageChange {
        msg_id,
        kind,
        seq: content.seq,
        at: content.sent,
        text,
    })
}

impl Engine {
    /// An edit, a deletion or a reaction of a contact.
    pub(super) fn handle_change(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        content: &Content,
    ) -> Result<(), StoreError> {
        match change_of(content) {
            Some(change) => self.change(step, peer, &change),
            None => Ok(()),
        }
    }

    /// A message has come: what was said about it before counts now.
    pub(super) fn change_late(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        content: &Content,
    ) -> Result<(), StoreError> {
        for change in step.tx.take_early(peer.record.row, &content.msg_id)? {
            self.change(step, peer, &change)?;
        }
        Ok(())
    }

    fn change(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        change: &MessageChange,
    ) -> Result<(), StoreError> {
        let row = peer.record.row;
        // people change their own messages, and react to any
        let whose = match change.kind {
            ChangeKind::Edit | ChangeKind::Delete => Some(MessageKind::Received),
            ChangeKind::Reaction => None,
        };
        let Some(target) = step.tx.target(row, &change.msg_id, whose)? else {
            if step.tx.target(row, &change.msg_id, None)?.is_some() {
                self.refusals.count("change-of-anothers-message");
                return Ok(());
            }
            return step.tx.keep_early(row, change);
        };
        let refused = match change.kind {
            ChangeKind::Edit => !target.stands() || target.fate == Some(Fate::Opaque),
            ChangeKind::Delete | ChangeKind::Reaction => !target.stands(),
        };
        if refused {
            self.refusals.count("change-of-what-is-gone");
            return Ok(());
        }
        match change.kind {
            ChangeKind::Edit => self.take_edit(step, peer, &target, change),
            ChangeKind::Delete => self.take_deletion(step, peer, &target, change),
            ChangeKind::Reaction => self.take_reaction(step, peer, &target, change),
        }
    }

    fn take_edit(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        target: &MessageTarget,
        change: &MessageChange,
    ) -> Result<(), StoreError> {
        // an older one that comes late, or the same again under another session
        if change.seq <= target.changed {
            return Ok(());
        }
        let event = EventKind::Edited {
            msg_id: change.msg_id.to_string(),
            from: peer.key().to_string(),
            alias: peer.name(),
            text: String::new(),
            gone: false,
            at: Rfc3339(step.now.wall),
        };
        let told = Some(self.emit_instead(step, target.event, &event)?);
        let text = &change.text;
        step.tx
            .edit_message(target.id, text, change.seq, change.at, told)
    }

    fn take_deletion(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        target: &MessageTarget,
        change: &MessageChange,
    ) -> Result<(), StoreError> {
        let event = EventKind::Deleted {
            msg_id: change.msg_id.to_string(),
            from: peer.key().to_string(),
            alias: peer.name(),
            at: Rfc3339(step.now.wall),
        };
        let told = Some(self.emit_instead(step, target.event, &event)?);
        step.tx.take_back(target.id, change.seq, change.at, told)
    }

    fn take_reaction(
        &mut self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
        target: &MessageTarget,
        change: &MessageChange,
    ) -> Result<(), StoreError> {
        let known = step.tx.reaction(target.id, false)?;
        if known.as_ref().is_some_and(|known| change.seq <= known.seq) {
            return Ok(());
        }
        // the same again after a restoration
        let same = |known: &ReactionRecord| known.at == change.at && known.text == change.text;
        if let Some(mut known) = known.clone().filter(same) {
            known.seq = change.seq;
            return step.tx.set_reaction(target.id, &known);
        }
        let event = EventKind::Reaction {
            msg_id: change.msg_id.to_string(),
            from: peer.key().to_string(),
            alias: peer.name(),
            reaction: String::new(),
            gone: false,
            at: Rfc3339(step.now.wall),
        };
        let before = known.and_then(|known| known.event);
        let told = self.emit_instead(step, before, &event)?;
        let reaction = ReactionRecord {
            own: false,
            seq: change.seq,
            at: change.at,
            event: Some(told),
            text: change.text.clone(),
        };
        step.tx.set_reaction(target.id, &reaction)
    }

    /// Appends an event in the place of an earlier one about the same thing, and tells its number: a
    /// million edits leave one event.
    pub(super) fn emit_instead(
        &mut self,
        step: &mut Step<'_, '_>,
        earlier: Option<u64>,
        event: &EventKind,
    ) -> Result<u64, StoreError> {
        if let Some(earlier) = earlier {
            step.tx.replace_event(earlier)?;
        }
        self.emit(step, event)?;
        Ok(self.last_event)
    }
}
