//! What faces are shown: plain data, peer text cleaned.

use sremp_core::{id::MsgId, route::Choice, text};

use super::{
    Engine, Step,
    disappearing::is_over,
    forks::newer_elsewhere,
    naming::likeness,
    peers::Peer,
    waiting::{LONG_WAIT, is_waiting},
};
use crate::{
    clock::Rfc3339,
    store::{ContactName, ContactRow, Fork, MessageRecord, StoreError},
    view::{
        CommandError, ContactView, MessageKind, MessageView, ReactionView, RegisterAs, Reply,
        Standing, StatusView, Trust, VerifiedVia,
    },
};

/// Characters of a message that are shown beside its answer.
const QUOTE: usize = 60;

impl Engine {
    pub(super) fn contact_view(
        &self,
        step: &mut Step<'_, '_>,
        peer: &Peer,
    ) -> Result<ContactView, StoreError> {
        let names = step.tx.contact_names()?;
        let record = &peer.record;
        let username = record.username().map(text::clean_line).unwrap_or_default();
        let request_text = match record.standing {
            Standing::Request => {
                let first = step.tx.history(record.row, None, 1)?;
                first.into_iter().next().map(|m| m.text)
            }
            Standing::Accepted => None,
        };
        let trusted_at = record.trusted_at.filter(|_| record.trust == Trust::Trusted);
        Ok(ContactView {
            id: record.key.to_string(),
            alias: peer.name(),
            warnings: warnings(peer, &username, &names),
            username,
            standing: record.standing,
            trust: record.trust,
            verified_via: match record.trust {
                Trust::Rejected => VerifiedVia::None,
                _ => record.verified_via,
            },
            trusted_at: trusted_at.map(Rfc3339),
            direct: record.direct,
            first_seen: Rfc3339(record.first_seen),
            last_seen: record.last_seen.map(Rfc3339),
            connected: self.links.active(&record.key).is_some(),
            queued: match self.is_screen() {
                true => step.tx.waiting_lines(Some(record.row))?.0,
                false => step.tx.waiting_messages(Some(record.row))?.0,
            },
            request_text,
            timer: step
                .tx
                .timer(record.row)?
                .map(|t| t.seconds)
                .filter(|s| *s > 0),
        })
    }

    pub(super) fn contact_views(
        &mut self,
        step: &mut Step<'_, '_>,
        requests: bool,
        declined: bool,
    ) -> Result<Reply, StoreError> {
        let requests = requests || declined;
        let mut contacts = Vec::new();
        for name in step.tx.contact_names()? {
            if (name.standing == Standing::Request) != requests {
                continue;
            }
            if let Some(peer) = self.peers.take(step.tx, &name.key)? {
                if !requests || peer.record.declined == declined {
                    contacts.push(self.contact_view(step, &peer)?);
                }
                self.peers.put(peer);
            }
        }
        Ok(Reply::Contacts { contacts })
    }

    pub(super) fn history(
        &mut self,
        step: &mut Step<'_, '_>,
        contact: &str,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Result<Reply, CommandError>, StoreError> {
        let peer = match self.find_contact(step, contact)? {
            Ok(peer) => peer,
            Err(error) => return Ok(Err(error)),
        };
        let mut before = before.and_then(|b| i64::try_from(b).ok());
        let mut messages = Vec::new();
        loop {
            let page = step.tx.history(peer.record.row, before, limit)?;
            before = page.first().map(|line| line.position);
            for line in page {
                messages.extend(self.message_view(step, line, &peer)?);
            }
            // a page of which all is about to be erased is not the end of the conversation
            if before.is_none() || !messages.is_empty() {
                break;
            }
        }
        self.peers.put(peer);
        Ok(Ok(Reply::Messages { messages }))
    }

    pub(super) fn search(
        &mut self,
        step: &mut Step<'_, '_>,
        words: &str,
        limit: u32,
    ) -> Result<Reply, StoreError> {
        let mut messages = Vec::new();
        for found in step.tx.search(words, limit)? {
            let Some(record) = step.tx.contact(found.contact)? else {
                continue;
            };
            if let Some(peer) = self.peers.take(step.tx, &record.key)? {
                messages.extend(self.message_view(step, found, &peer)?);
                self.peers.put(peer);
            }
        }
        Ok(Reply::Messages { messages })
    }

    /// A line as it is shown, with which its time begins, if it has one; `None` if that is over.
    fn message_view(
        &mut self,
        step: &mut Step<'_, '_>,
        mut line: MessageRecord,
        peer: &Peer,
    ) -> Result<Option<MessageView>, StoreError> {
        if is_over(&line, step.now.wall) {
            return Ok(None);
        }
        self.has_been_read(step, &mut line)?;
        let quote = match &line.answers {
            Some(answers) => quoted(step, line.contact, answers)?,
            None => None,
        };
        let reactions = match line.kind {
            MessageKind::Notice => Vec::new(),
            _ => step.tx.reactions(line.id)?,
        };
        let reactions = reactions.into_iter().map(|reaction| ReactionView {
            own: reaction.own,
            reaction: reaction.text,
            at: Rfc3339(reaction.at),
        });
        Ok(Some(MessageView {
            seq: u64::try_from(line.position).unwrap_or(0),
            msg_id: line.msg_id.map(|id| id.to_string()).unwrap_or_default(),
            contact: peer.key().to_string(),
            alias: peer.name(),
            kind: line.kind,
            text: line.text,
            sent_at: Rfc3339(line.sent),
            received_at: line.received.map(Rfc3339),
            status: line.status,
            path: line.path,
            edited_at: line.edited.map(Rfc3339),
            deleted: line.deleted,
            reply_to: line.answers.map(|id| id.to_string()),
            quote,
            reactions: reactions.collect(),
            disappears_at: line.expiry.and_then(|expiry| expiry.at).map(Rfc3339),
            late: line.late,
            overdue: is_waiting(line.status) && step.now.wall.since(line.sent) >= LONG_WAIT,
        }))
    }

    pub(super) fn status(&mut self, step: &mut Step<'_, '_>) -> Result<StatusView, StoreError> {
        let identity = self.own.identity.identity();
        let names = step.tx.contact_names()?;
        let connected = self.links.connected();
        let connected: Vec<_> = connected
            .filter_map(|key| names.iter().find(|n| n.key == *key))
            .map(ContactName::shown)
            .collect();
        let advertised = self.endpoints_for(step.tx, self.policy_for_strangers())?;
        let (direct_on, direct_off) = self.direct_choices(step, &names)?;
        let inside = self.dialling.inside();
        let inside = inside.filter_map(|key| names.iter().find(|n| n.key == *key));
        let mut warnings = self.relay_warnings(step.now);
        warnings.extend(inside.map(|name| inside_a_network(&name.shown())));
        warnings.extend(newer_elsewhere(&self.who_know_newer(step)?));
        warnings.extend(self.mapping_warning());
        warnings.extend(self.keeping_warning());
        warnings.extend(self.screen_state().map(|(_, words)| words));
        warnings.extend(self.not_found_because().map(str::to_owned));
        warnings.sort_unstable();
        let contacts = names.iter().filter(|n| n.standing == Standing::Accepted);
        // a screen has no outbox: what waits stands in the history
        let (queued, oldest_unsent) = match self.is_screen() {
            true => step.tx.waiting_lines(None)?,
            false => step.tx.waiting_messages(None)?,
        };
        Ok(StatusView {
            id: identity.id().to_string(),
            username: identity.username().as_str().to_owned(),
            listening: self.listening.map(|a| a.to_string()),
            advertised: advertised.first().map(ToString::to_string),
            connected,
            queued,
            oldest_unsent: oldest_unsent.map(Rfc3339),
            relays: self.relay_views(step.now),
            visibility: RegisterAs::from(self.servers.visibility()),
            rendezvous: self.server_views(step.now, false),
            mapped: self.mapped().map(ToString::to_string),
            allow_private_addresses: self.config.allow_private_addresses,
            prefers_async: self.config.prefers_async,
            direct_on,
            direct_off,
            warnings,
            requests: step.tx.pending_requests()?,
            contacts: contacts.count() as u64,
            last_event: self.last_event,
            acknowledged: step.tx.acknowledged()?,
            screens: self.screens.count(),
            refused: self.refusals.to_map(),
            uptime: step.now.tick.since(self.started).as_secs(),
        })
    }
}

impl Engine {
    /// Contacts with whom direct connections are made whatever the setting says, and those with whom
    /// none are.
    pub(super) fn direct_choices(
        &self,
        step: &mut Step<'_, '_>,
        names: &[ContactName],
    ) -> Result<(Vec<String>, Vec<String>), StoreError> {
        let (mut on, mut off) = (Vec::new(), Vec::new());
        for (key, choice) in step.tx.direct_choices()? {
            let name = names.iter().find(|n| n.key == key).map(ContactName::shown);
            match choice {
                Choice::On => on.extend(name),
                Choice::Off => off.extend(name),
                Choice::Default => {}
            }
        }
        Ok((on, off))
    }
}

fn inside_a_network(name: &str) -> String {
    format!(
        "{name} claims to be at an address of a private network and is not dialled there: if that is \
         so, add a newer card of {name}, or set `allow_private_addresses`"
    )
}

fn warnings(peer: &Peer, username: &str, names: &[ContactName]) -> Vec<String> {
    let mut warnings = Vec::new();
    let record = &peer.record;
    match record.fork {
        Fork::None => {}
        Fork::Open => warnings.push(super::forks::go_on(&peer.name())),
        Fork::Settled => warnings.push(
            "two different identities carried this key and version, and you went on".to_owned(),
        ),
    }
    if record.is_withdrawn() {
        warnings.push("the owner has withdrawn this identity for good".to_owned());
    }
    let others = names
        .iter()
        .filter(|other| other.key != record.key && other.standing == Standing::Accepted);
    let likeness = others
        .filter(|_| !username.is_empty())
        .find_map(|other| Some((likeness(other, username)?, other.shown())));
    if let Some((what, other)) = likeness {
        warnings.push(format!(
            "the name looks like {what} your contact {other}, whose key is another"
        ));
    }
    warnings
}

/// The beginning of an answered message, if it is known here and still there.
pub(super) fn quoted(
    step: &mut Step<'_, '_>,
    contact: ContactRow,
    answered: &MsgId,
) -> Result<Option<String>, StoreError> {
    let found = step.tx.message(Some(contact), answered)?;
    let found = found.filter(|line| {
        line.kind != MessageKind::Notice && !line.deleted && !is_over(line, step.now.wall)
    });
    Ok(found.map(|line| {
        let whole = text::clean_line(&line.text);
        match whole.char_indices().nth(QUOTE) {
            Some((end, _)) => format!("{}…", &whole[..end]),
            None => whole,
        }
    }))
}
