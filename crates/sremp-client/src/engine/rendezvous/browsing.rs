//! Browsing: those who want to be found by whoever looks (5.6).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use sremp_core::{
    contact_card::Endpoint,
    error::ErrorCode,
    id::ContactId,
    rendezvous::{Found, PageCursor},
    time::Tick,
};

use super::{
    super::{Engine, Step, Ticket, contacts::Answer, contacts::refuse},
    Ask,
};
use crate::{
    store::StoreError,
    view::{BrowseView, CommandError, ErrorKind, Reply},
};

/// How long the servers have for their pages.
const PATIENCE: Duration = Duration::from_secs(20);
/// Times that people browse at once; one more is refused.
const MAX_BROWSES: usize = 16;
/// Pages of one server for one `browse`: a minute's worth (5.6), less one for the next `browse`.
const PAGES: u32 = 5;

/// Pages are being asked for.
pub(super) struct Browse {
    /// Servers that have not given their last page, with the pages they gave.
    asked: BTreeMap<Endpoint, u32>,
    /// Only names that contain this, in lower case.
    name: Option<String>,
    limit: usize,
    people: BTreeMap<ContactId, Box<Found>>,
    by: BTreeMap<ContactId, BTreeSet<Endpoint>>,
    more: bool,
    /// Whether any server has told who is listed.
    told: bool,
    refused: u64,
    failures: Vec<String>,
    until: Tick,
}

impl Browse {
    pub(super) fn until(&self) -> Tick {
        self.until
    }
}

impl Engine {
    /// `browse`: those who are listed at one's own servers.
    pub(in super::super) fn browse(
        &mut self,
        step: &mut Step<'_, '_>,
        ticket: Ticket,
        name: Option<&str>,
        limit: u32,
    ) -> Result<(), StoreError> {
        let answer = self.begin_browse(step, ticket, name, limit)?;
        if let Err(error) = answer {
            step.reply(ticket, Err(error));
        }
        Ok(())
    }

    fn begin_browse(
        &mut self,
        step: &Step<'_, '_>,
        ticket: Ticket,
        name: Option<&str>,
        limit: u32,
    ) -> Answer<()> {
        if !self.servers.any() {
            return refuse(ErrorKind::Usage, super::views::NO_SERVER);
        }
        if !self.servers.registering.is_on() {
            let message = "only who is registered may browse: `sremp register`, and keep the client \
                           running with `sremp up`";
            return refuse(ErrorKind::Usage, message);
        }
        if self.servers.browses.len() >= MAX_BROWSES {
            self.refusals.count("too-many-searches");
            let message = "too many are browsing; let one of them end and try again";
            return refuse(ErrorKind::Failed, message);
        }
        let mut browse = Browse {
            asked: BTreeMap::new(),
            name: name.map(str::to_lowercase),
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            people: BTreeMap::new(),
            by: BTreeMap::new(),
            more: false,
            told: false,
            refused: 0,
            failures: Vec::new(),
            until: step.now.tick.plus(PATIENCE),
        };
        let nowhere = self.not_found_because();
        for (endpoint, server) in &mut self.servers.known {
            if !server.own {
                continue;
            }
            match (server.account.told, &server.account.refusal) {
                (Some(_), _) => {
                    server.queue.push_back(Ask::Page(ticket, None));
                    browse.asked.insert(endpoint.clone(), 0);
                }
                (None, cause) => {
                    let cause = cause.as_ref().or(server.last_error.as_ref());
                    let cause = cause.map(String::as_str).or(nowhere);
                    let cause = cause.unwrap_or("not registered there yet");
                    browse.failures.push(format!("{endpoint}: {cause}"));
                }
            }
        }
        self.servers.browses.insert(ticket, browse);
        Ok(Ok(()))
    }

    pub(super) fn browsed(
        &mut self,
        endpoint: &Endpoint,
        ticket: Ticket,
        peers: Vec<Found>,
        refused: usize,
        next: Option<PageCursor>,
    ) {
        let Some(browse) = self.servers.browses.get_mut(&ticket) else {
            return;
        };
        browse.told = true;
        browse.refused += refused as u64;
        for found in peers {
            let key = found.identity.id();
            let called = found.identity.username().as_str().to_lowercase();
            if browse
                .name
                .as_ref()
                .is_some_and(|name| !called.contains(name))
            {
                continue;
            }
            browse.by.entry(key).or_default().insert(endpoint.clone());
            let age = |found: &Found| (found.record.seq(), found.identity.version());
            let newest = browse.people.get(&key).map(|known| age(known));
            if newest < Some(age(&found)) {
                browse.people.insert(key, Box::new(found));
            }
        }
        let Some(pages) = browse.asked.get_mut(endpoint) else {
            return;
        };
        *pages += 1;
        let enough = browse.people.len() >= browse.limit || *pages >= PAGES;
        match next {
            Some(cursor) if !enough => {
                if let Some(server) = self.servers.known.get_mut(endpoint) {
                    server.queue.push_back(Ask::Page(ticket, Some(cursor)));
                }
            }
            next => {
                browse.more |= next.is_some();
                browse.asked.remove(endpoint);
            }
        }
    }

    pub(super) fn browse_refused(&mut self, endpoint: &Endpoint, ticket: Ticket, code: ErrorCode) {
        let Some(browse) = self.servers.browses.get_mut(&ticket) else {
            return;
        };
        let Some(pages) = browse.asked.remove(endpoint) else {
            return;
        };
        match code {
            // a minute's pages are given; what came is worth showing
            ErrorCode::RateLimited if pages > 0 => browse.more = true,
            code => browse
                .failures
                .push(format!("{endpoint}: {}", code.meaning())),
        }
    }

    pub(super) fn browses_left(&mut self, endpoint: &Endpoint, cause: &str) {
        for browse in self.servers.browses.values_mut() {
            if browse.asked.remove(endpoint).is_some() {
                browse.failures.push(format!("{endpoint}: {cause}"));
            }
        }
    }

    /// Answers those that have every page they want, or no more time.
    pub(super) fn end_browses(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        let now = step.now.tick;
        let over = |b: &Browse| b.asked.is_empty() || b.until <= now;
        let browses = self.servers.browses.iter();
        let over: Vec<Ticket> = browses.filter(|(_, b)| over(b)).map(|(t, _)| *t).collect();
        for ticket in over {
            let Some(browse) = self.servers.browses.remove(&ticket) else {
                continue;
            };
            let mut more = browse.more || browse.people.len() > browse.limit;
            more |= !browse.asked.is_empty();
            let mut failures = browse.failures;
            let late = browse.asked.keys();
            failures.extend(late.map(|e| format!("{e}: it did not answer in time")));
            if !browse.told {
                let message = format!("no server told who is listed; {}", failures.join("; "));
                step.reply(ticket, Err(CommandError::new(ErrorKind::Network, message)));
                continue;
            }
            let mut people = Vec::new();
            for (key, found) in browse.people.iter().take(browse.limit) {
                let by = browse.by.get(key).into_iter().flatten();
                let by: Vec<String> = by.map(ToString::to_string).collect();
                people.push(self.found_view(step, found, &by)?);
            }
            let view = BrowseView {
                people,
                more,
                refused: browse.refused,
                failures,
            };
            step.reply(ticket, Ok(Reply::Browse(view)));
        }
        Ok(())
    }
}
