//! What faces are shown: plain data, peer text cleaned.

use sremp_core::{identity::confusable, text};

use super::{Engine, Step, peers::Peer};
use crate::{
    clock::Rfc3339,
    store::{ContactName, MessageRecord, StoreError},
    view::{CommandError, ContactView, MessageView, RegisterAs, Reply, Standing, StatusView},
};

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
        Ok(ContactView {
            id: record.key.to_string(),
            alias: peer.name(),
            warnings: warnings(peer, &username, &names),
            username,
            standing: record.standing,
            trust: record.trust,
            verified_via: record.verified_via,
            trusted_at: record.trusted_at.map(Rfc3339),
            first_seen: Rfc3339(record.first_seen),
            last_seen: record.last_seen.map(Rfc3339),
            connected: self.links.active(&record.key).is_some(),
            queued: step.tx.outbox_count(record.row)?,
            request_text,
        })
    }

    pub(super) fn contact_views(
        &mut self,
        step: &mut Step<'_, '_>,
        requests: bool,
    ) -> Result<Reply, StoreError> {
        let mut contacts = Vec::new();
        for name in step.tx.contact_names()? {
            if (name.standing == Standing::Request) != requests {
                continue;
            }
            if let Some(peer) = self.peers.take(step.tx, &name.key)? {
                if !(requests && peer.record.declined) {
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
        let before = before.and_then(|b| i64::try_from(b).ok());
        let page = step.tx.history(peer.record.row, before, limit)?;
        let name = peer.name();
        let messages = page.into_iter().map(|m| message_view(m, &peer, &name));
        let messages = messages.collect();
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
                messages.push(message_view(found, &peer, &peer.name()));
                self.peers.put(peer);
            }
        }
        Ok(Reply::Messages { messages })
    }

    pub(super) fn status(&mut self, step: &mut Step<'_, '_>) -> Result<StatusView, StoreError> {
        let identity = self.own.identity.identity();
        let names = step.tx.contact_names()?;
        let connected = self.links.connected();
        let connected: Vec<_> = connected
            .filter_map(|key| names.iter().find(|n| n.key == *key))
            .map(ContactName::shown)
            .collect();
        let advertised = self.own_endpoints(step.tx)?;
        let inside = self.dialling.inside();
        let inside = inside.filter_map(|key| names.iter().find(|n| n.key == *key));
        let mut warnings = self.relay_warnings(step.now);
        warnings.extend(inside.map(|name| inside_a_network(&name.shown())));
        warnings.extend(self.mapping_warning());
        warnings.extend(self.not_found_because().map(str::to_owned));
        warnings.sort_unstable();
        let contacts = names.iter().filter(|n| n.standing == Standing::Accepted);
        Ok(StatusView {
            id: identity.id().to_string(),
            username: identity.username().as_str().to_owned(),
            listening: self.listening.map(|a| a.to_string()),
            advertised: advertised.first().map(ToString::to_string),
            connected,
            queued: step.tx.outbox_contacts()?.iter().map(|(_, n)| n).sum(),
            oldest_unsent: step.tx.oldest_waiting()?.map(Rfc3339),
            relays: self.relay_views(step.now),
            visibility: RegisterAs::from(self.servers.visibility()),
            rendezvous: self.server_views(step.now, false),
            mapped: self.mapped().map(ToString::to_string),
            allow_private_addresses: self.config.allow_private_addresses,
            warnings,
            requests: step.tx.pending_requests()?,
            contacts: contacts.count() as u64,
            last_event: self.last_event,
            acknowledged: step.tx.acknowledged()?,
            refused: self.refusals.to_map(),
            uptime: step.now.tick.since(self.started).as_secs(),
        })
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
    if record.forked {
        warnings.push("two different identities carry this key and version".to_owned());
    }
    if record.is_withdrawn() {
        warnings.push("the owner has withdrawn this identity for good".to_owned());
    }
    let looks_like = |other: &&ContactName| {
        let names = || other.alias.iter().chain(&other.username);
        other.key != record.key
            && other.standing == Standing::Accepted
            && names().any(|n| confusable(n, username))
    };
    if !username.is_empty()
        && let Some(other) = names.iter().find(looks_like)
    {
        warnings.push(format!(
            "the name looks like that of your contact {}, whose key is another",
            other.shown()
        ));
    }
    warnings
}

fn message_view(message: MessageRecord, peer: &Peer, name: &str) -> MessageView {
    MessageView {
        seq: u64::try_from(message.position).unwrap_or(0),
        msg_id: message.msg_id.map(|id| id.to_string()).unwrap_or_default(),
        contact: peer.key().to_string(),
        alias: name.to_owned(),
        kind: message.kind,
        text: message.text,
        sent_at: Rfc3339(message.sent),
        received_at: message.received.map(Rfc3339),
        status: message.status,
        path: message.path,
    }
}
