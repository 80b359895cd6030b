//! Servers, and who was found, as faces are shown them.

use sremp_core::{
    contact_card::Endpoint,
    identity::confusable,
    rendezvous::{Found, RendezvousLink, Visibility},
    text,
    time::Tick,
};

use super::{
    super::{Engine, Now, Step, relays::calendar},
    Ask, Phase, Server,
};
use crate::{
    clock::Rfc3339,
    store::StoreError,
    view::{CandidateView, FoundView, RegisterAs, RelayState, ServerView, ServersView, Standing},
};

/// What is missing when nobody can be looked for.
pub(super) const NO_SERVER: &str = "no rendezvous server is set: put the link of one, or a domain that \
                                    names one, into `rendezvous` in the home's config.toml";

impl Server {
    fn state(&self) -> RelayState {
        match &self.phase {
            Phase::Up(_) => RelayState::Connected,
            Phase::Connecting(_) => RelayState::Connecting,
            Phase::Down if self.due.is_some() => RelayState::Waiting,
            Phase::Down => RelayState::Idle,
        }
    }
}

impl Engine {
    fn server_view(&self, endpoint: &Endpoint, server: &Server, now: Now) -> ServerView {
        let account = &server.account;
        let told = account.told.is_some();
        let error = match told && !account.reduced {
            true => &server.last_error,
            false => &account.refusal,
        };
        let error = error.as_ref().or(server.last_error.as_ref());
        ServerView {
            server: endpoint.to_string(),
            own: server.own,
            pinned: server.pin.is_some(),
            state: match self.online {
                true => server.state(),
                false => RelayState::Idle,
            },
            registered_until: account.until.filter(|_| told).map(Rfc3339),
            relays_only: told && account.reduced,
            last_error: error.cloned(),
            next_try: server
                .due
                .filter(|_| self.online && server.is_down())
                .map(|due| Rfc3339(calendar(due, now))),
        }
    }

    /// Servers in use; one's own first, or one's own only.
    pub(in super::super) fn server_views(&self, now: Now, own_only: bool) -> Vec<ServerView> {
        let known = &self.servers.known;
        let own = known.iter().filter(|(_, server)| server.own);
        // of those on cards, whoever was asked
        let used = |s: &Server| !s.is_down() || s.last_error.is_some();
        let named = known.iter().filter(|(_, s)| !s.own && !own_only && used(s));
        let mut views: Vec<ServerView> = own
            .chain(named)
            .map(|(endpoint, server)| self.server_view(endpoint, server, now))
            .collect();
        let unknown = self
            .servers
            .domains
            .iter()
            .filter(|d| d.last_error.is_some());
        views.extend(unknown.map(|domain| ServerView {
            server: domain.name.clone(),
            own: true,
            pinned: false,
            state: RelayState::Waiting,
            registered_until: None,
            relays_only: false,
            last_error: domain.last_error.clone(),
            next_try: domain.due.map(|due| Rfc3339(calendar(due, now))),
        }));
        views
    }

    /// One's own servers, to be asked something now whatever their pauses; with the failures in a row.
    pub(in super::super) fn hurry_own_servers(&mut self, now: Tick) -> Vec<(Endpoint, u32)> {
        let own = self.servers.known.iter_mut().filter(|(_, s)| s.own);
        own.map(|(endpoint, server)| {
            if server.is_down() {
                server.due = Some(now);
            }
            if !server.queue.iter().any(|ask| matches!(ask, Ask::Address)) {
                server.queue.push_back(Ask::Address);
            }
            (endpoint.clone(), server.failures)
        })
        .collect()
    }

    /// Whether a server is being asked from where it sees one come, and the failures in a row.
    pub(in super::super) fn server_state(&self, endpoint: &Endpoint) -> (bool, u32) {
        let server = self.servers.known.get(endpoint);
        let asked = server.and_then(Server::session).is_some_and(|s| {
            let mut asked = s.asked.values();
            asked.any(|ask| matches!(ask, Ask::Address))
        });
        (asked, server.map_or(0, |server| server.failures))
    }

    /// Where one's own servers are told that one is, how many took that, and how many did not.
    pub(in super::super) fn reached_by_servers(&self) -> (Vec<Endpoint>, usize, usize) {
        let accounts = || self.servers.own().map(|(_, s)| &s.account);
        let current = self.servers.registering.current.as_ref();
        let places = current.map(|c| c.whole.endpoints().to_vec());
        let whole = accounts().filter(|a| a.told.is_some() && !a.reduced);
        let reduced = accounts().filter(|a| a.reduced);
        (places.unwrap_or_default(), whole.count(), reduced.count())
    }

    /// `servers`: those in use, and those of which they told.
    pub(in super::super) fn servers_view(&self, now: Now) -> ServersView {
        let candidates = self.servers.offered(now.wall).map(|record| CandidateView {
            server: record.endpoint().to_string(),
            link: RendezvousLink {
                server: record.server(),
                endpoint: record.endpoint().clone(),
                spki: record.spki().copied(),
            }
            .to_string(),
            pinned: record.spki().is_some(),
            until: Rfc3339(record.expires()),
        });
        ServersView {
            visibility: RegisterAs::from(self.servers.visibility()),
            candidates: candidates.collect(),
            servers: self.server_views(now, false),
        }
    }

    /// Whether there is anybody to ask where people are.
    ///
    /// # Errors
    /// What to do about it, in words.
    pub(in super::super) fn can_look_for_people(&self) -> Result<(), &'static str> {
        match self.servers.any() {
            true => Ok(()),
            false => Err(NO_SERVER),
        }
    }

    /// The servers that one's card names: those that are believed by their names, for a card has no
    /// room for keys.
    pub(in super::super) fn servers_for_card(&self) -> Vec<Endpoint> {
        if self.servers.visibility().is_none() {
            return Vec::new();
        }
        let own = self.servers.own();
        let named = own.filter(|(_, s)| s.pin.is_none() && s.tls_name.is_none());
        named
            .map(|(endpoint, _)| endpoint.clone())
            .take(2)
            .collect()
    }

    /// Why nobody knows where a contact is.
    pub(in super::super) fn why_nowhere(&self, name: &str) -> String {
        if !self.servers.any() {
            return format!(
                "no address of {name} is known: ask for a newer card, wait for a connection, or set a \
                 rendezvous server that may know it"
            );
        }
        let failed = self.servers.own().find_map(|(endpoint, server)| {
            let cause = server.last_error.as_ref()?;
            Some(format!("; {endpoint}: {cause}"))
        });
        format!(
            "no address of {name} is known, and no rendezvous server has told one yet{}",
            failed.unwrap_or_default()
        )
    }

    pub(super) fn found_view(
        &self,
        step: &mut Step<'_, '_>,
        found: &Found,
        by: &[String],
    ) -> Result<FoundView, StoreError> {
        let (identity, record) = (&found.identity, &found.record);
        let key = identity.id();
        let username = text::clean_line(identity.username().as_str());
        let names = step.tx.contact_names()?;
        let known = names.iter().find(|n| n.key == key);
        let mut warnings: Vec<String> = Vec::new();
        warnings.extend(self.judge_found(step, found)?.map(str::to_owned));
        let looks_like = names.iter().find(|other| {
            let called = || other.alias.iter().chain(&other.username);
            other.key != key
                && other.standing == Standing::Accepted
                && called().any(|n| confusable(n, &username))
        });
        warnings.extend(looks_like.map(|other| {
            format!(
                "the name looks like that of your contact {}, whose key is another",
                other.shown()
            )
        }));
        Ok(FoundView {
            id: key.to_string(),
            username,
            alias: known
                .filter(|n| n.standing == Standing::Accepted)
                .map(crate::store::ContactName::shown),
            version: identity.version(),
            endpoints: record.endpoints().iter().map(ToString::to_string).collect(),
            relays: record
                .relays()
                .iter()
                .map(|hint| hint.endpoint.to_string())
                .collect(),
            listed: record.visibility() == Visibility::Listed,
            issued: Rfc3339(record.issued()),
            expires: Rfc3339(record.expires()),
            last_seen: found.last_seen.map(Rfc3339),
            online: found.online,
            servers: by.to_vec(),
            warnings,
        })
    }
}
