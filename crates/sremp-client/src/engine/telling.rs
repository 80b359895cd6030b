//! Events as they are told: what people wrote stands in the history alone, and comes from there as it
//! is by then, or not at all.

use sremp_core::id::ContactId;

use super::{Engine, Step, disappearing::is_over, views::quoted};
use crate::{
    clock::Rfc3339,
    store::{MessageRecord, MessageTarget, StoreError},
    view::{Event, EventKind},
};

impl Engine {
    /// A stored event, complete. `None`: one that this version does not know.
    pub(super) fn tell(
        &mut self,
        step: &mut Step<'_, '_>,
        seq: u64,
        json: &str,
    ) -> Result<Option<Event>, StoreError> {
        let Ok(mut event) = serde_json::from_str::<EventKind>(json) else {
            return Ok(None);
        };
        match &mut event {
            EventKind::Message {
                msg_id,
                from,
                text,
                quote,
                gone,
                disappears_at,
                ..
            } => match self.told_message(step, from, msg_id)? {
                Some(line) => {
                    if let Some(answers) = &line.answers {
                        *quote = quoted(step, line.contact, answers)?;
                    }
                    *text = line.text;
                    *disappears_at = line.expiry.and_then(|x| x.at).map(Rfc3339);
                }
                None => *gone = true,
            },
            EventKind::Edited {
                msg_id,
                from,
                text,
                gone,
                ..
            } => match self.told_message(step, from, msg_id)? {
                Some(line) => *text = line.text,
                None => *gone = true,
            },
            EventKind::Reaction {
                msg_id,
                from,
                reaction,
                gone,
                ..
            } => match told_reaction(step, from, msg_id)? {
                Some(text) => *reaction = text,
                // told nevertheless: a reader that gets nothing for a number asks again at once
                None => *gone = true,
            },
            EventKind::Request {
                from,
                text,
                received_at,
                ..
            } => {
                if let Ok(key) = from.parse::<ContactId>()
                    && let Some(line) = step.tx.first_received(&key)?
                    // a request may have no text, and the first line come after it
                    && line.received == Some(received_at.0)
                {
                    *text = line.text;
                }
            }
            _ => {}
        }
        Ok(Some(Event { seq, event }))
    }

    /// The received message of an event, whose time begins with that; `None` if it is gone.
    fn told_message(
        &mut self,
        step: &mut Step<'_, '_>,
        from: &str,
        msg_id: &str,
    ) -> Result<Option<MessageRecord>, StoreError> {
        let (Ok(key), Ok(msg_id)) = (from.parse::<ContactId>(), msg_id.parse()) else {
            return Ok(None);
        };
        let found = step.tx.received(&key, &msg_id)?;
        let Some(mut line) = found.filter(|line| !line.deleted && !is_over(line, step.now.wall))
        else {
            return Ok(None);
        };
        self.has_been_read(step, &mut line)?;
        Ok(Some(line))
    }
}

/// A contact's reaction to a message, empty if it was taken back; `None` if the message is gone.
fn told_reaction(
    step: &mut Step<'_, '_>,
    from: &str,
    msg_id: &str,
) -> Result<Option<String>, StoreError> {
    let (Ok(key), Ok(msg_id)) = (from.parse::<ContactId>(), msg_id.parse()) else {
        return Ok(None);
    };
    let Some(row) = step.tx.contact_row(&key)? else {
        return Ok(None);
    };
    let target = step.tx.target(row, &msg_id, None)?;
    let Some(target) = target.filter(MessageTarget::stands) else {
        return Ok(None);
    };
    let reaction = step.tx.reaction(target.id, false)?;
    Ok(reaction.map(|reaction| reaction.text))
}
