//! Domains of the settings, whose servers DNS names (7.5).

use std::time::Duration;

use sremp_core::contact_card::Endpoint;
use sremp_net::bootstrap::{DomainServer, LookupError};

use super::{
    super::{Engine, Output, Step},
    Phase, Server,
    connection::BACKOFF,
};

/// Names of a domain that has answered are asked for again after this time.
const DOMAIN_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

impl Engine {
    pub(super) fn resolve_domains(&mut self, step: &mut Step<'_, '_>) {
        let now = step.now.tick;
        for domain in &mut self.servers.domains {
            if domain.due.is_some_and(|due| due <= now) {
                domain.due = None;
                step.outputs.push(Output::Resolve(domain.name.clone()));
            }
        }
    }

    /// DNS has named the servers of a domain, or not.
    pub(in super::super) fn handle_resolved(
        &mut self,
        step: &mut Step<'_, '_>,
        name: &str,
        answer: Result<Vec<DomainServer>, LookupError>,
    ) {
        let now = step.now.tick;
        let servers = &mut self.servers;
        let Some(domain) = servers.domains.iter_mut().find(|d| d.name == name) else {
            return;
        };
        match answer {
            Ok(found) => {
                domain.failures = 0;
                domain.last_error = None;
                domain.due = Some(now.plus(DOMAIN_PAUSE));
                let named: Vec<Endpoint> = found.iter().map(|s| s.endpoint.clone()).collect();
                for server in found {
                    let endpoint = server.endpoint.clone();
                    self.take_named(step, server);
                    self.search_at(&endpoint, now);
                }
                // those that the domain names no longer are not one's own any more
                for (endpoint, server) in &mut self.servers.known {
                    if server.tls_name.as_deref() == Some(name) && !named.contains(endpoint) {
                        server.own = false;
                    }
                }
            }
            Err(cause) => {
                let pause = BACKOFF.pause(domain.failures, step.rng);
                domain.failures = domain.failures.saturating_add(1);
                domain.last_error = Some(cause.to_string());
                domain.due = Some(now.plus(pause));
            }
        }
    }

    /// A server that DNS names is one's own. What is configured by a link is not replaced; what only a
    /// card named is.
    fn take_named(&mut self, step: &mut Step<'_, '_>, named: DomainServer) {
        let known = self.servers.known.get(&named.endpoint);
        let same = |s: &Server| s.tls_name.as_deref() == Some(named.tls_name.as_str());
        if known.is_some_and(|s| s.own && !same(s)) {
            return;
        }
        let kept = known.is_some_and(|s| same(s) && s.pin == named.spki);
        if kept && let Some(server) = self.servers.known.get_mut(&named.endpoint) {
            server.own = true;
            return;
        }
        // what it was asked as another is asked anew
        self.searches_forget(&named.endpoint);
        let mut server = Server::new(named.spki, true);
        server.tls_name = Some(named.tls_name);
        let before = self.servers.known.insert(named.endpoint, server);
        match before.map(|s| s.phase) {
            Some(Phase::Up(session)) => {
                self.servers.links.remove(&session.link);
                step.outputs.push(Output::Disconnect(session.link));
            }
            Some(Phase::Connecting(link)) => {
                self.servers.links.remove(&link);
                step.outputs.push(Output::Disconnect(link));
            }
            Some(Phase::Down) | None => {}
        }
    }
}
