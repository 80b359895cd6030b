//! Where one is: as servers see it, and as a router maps it.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use sremp_core::{contact_card::Endpoint, rendezvous::address::may_be_public, time::Tick};
use sremp_net::mapping::{Mapping, MappingFailure};

use super::{
    super::{Engine, Step},
    Server,
};
use crate::store::{StoreError, Tx};

/// The places where one was last found, `HOST:PORT`, apart by spaces.
pub(in super::super) const LEARNT: &str = "learnt";
/// Most of them.
const MAX_LEARNT: usize = 2;
/// Contacts are told of another place at most once in this time.
const LEARNT_PAUSE: Duration = Duration::from_secs(10 * 60);

/// What is known of it now.
#[derive(Default)]
pub(in super::super) struct Places {
    /// Where a router leads to this client.
    mapped: Option<Endpoint>,
    /// Why none does, if one was asked.
    mapping_failure: Option<MappingFailure>,
    /// Addresses of this very machine under which servers see it.
    seen: BTreeMap<Endpoint, IpAddr>,
    /// When contacts were last told of such a place.
    kept_at: Option<Tick>,
}

impl Places {
    /// A server is gone, and with it what it saw.
    pub(super) fn unsee(&mut self, server: &Endpoint) {
        self.seen.remove(server);
    }
}

impl Engine {
    /// Where one is found now beside the place where one listens: by a router's mapping, or under the
    /// address that a server sees if that is this machine's own.
    pub(in super::super) fn learnt_endpoints(&self) -> Vec<Endpoint> {
        let places = &self.servers.places;
        if let Some(mapped) = &places.mapped {
            return vec![mapped.clone()];
        }
        let Some(listening) = self.listening else {
            return Vec::new();
        };
        let anywhere = self.config.allow_private_addresses;
        let mut addresses: Vec<IpAddr> = places.seen.values().copied().collect();
        addresses.sort_unstable();
        addresses.dedup();
        // who listens at one address is not reached at another
        addresses.retain(|ip| listening.ip().is_unspecified() || listening.ip() == *ip);
        let found = addresses
            .into_iter()
            .map(|ip| (ip, listening.port()).into());
        let found = found.filter_map(|at: std::net::SocketAddr| Endpoint::try_from(at).ok());
        // a server behind the same router, or one that guesses, sees an address that is none outside
        let found = found.filter(|at| anywhere || may_be_public(at));
        found.take(MAX_LEARNT).collect()
    }

    /// The last of those, which is told to contacts: they look elsewhere if it is not true any more.
    pub(in super::super) fn kept_endpoints(
        &self,
        tx: &mut Tx<'_>,
    ) -> Result<Vec<Endpoint>, StoreError> {
        let kept = tx.setting(LEARNT)?.unwrap_or_default();
        let kept = String::from_utf8(kept).map_err(|_| StoreError::Damaged)?;
        let parsed = kept.split_whitespace().map(|text| text.parse());
        let parsed: Result<Vec<Endpoint>, _> = parsed.collect();
        parsed.map_err(|_| StoreError::Damaged)
    }

    /// Contacts are told where one is now, if that is somewhere, and not all the time: whoever sends
    /// this client from place to place does not make it write to everybody.
    fn keep_learnt(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        let learnt = self.learnt_endpoints();
        if learnt.is_empty() || learnt == self.kept_endpoints(step.tx)? {
            return Ok(());
        }
        let places = &mut self.servers.places;
        let now = step.now.tick;
        if places
            .kept_at
            .is_some_and(|at| now.since(at) < LEARNT_PAUSE)
        {
            return Ok(());
        }
        places.kept_at = Some(now);
        let texts: Vec<String> = learnt.iter().map(ToString::to_string).collect();
        step.tx.set_setting(LEARNT, texts.join(" ").as_bytes())?;
        self.refresh_profile(step)
    }

    /// A server says from where it sees this connection come. That is where one is, if this machine
    /// knows the address as its own; else there is a router between.
    pub(super) fn told_address(
        &mut self,
        step: &mut Step<'_, '_>,
        endpoint: &Endpoint,
        host: &str,
    ) -> Result<(), StoreError> {
        let server = self.servers.known.get_mut(endpoint);
        let Some(session) = server.and_then(Server::session_mut) else {
            return Ok(());
        };
        session.addressed = true;
        let said = host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
        let local = session.local.map(|ip| ip.to_canonical());
        let seen = &mut self.servers.places.seen;
        let before = match said.filter(|_| said == local) {
            Some(ip) => seen.insert(endpoint.clone(), ip),
            None => seen.remove(endpoint),
        };
        match before == seen.get(endpoint).copied() {
            true => Ok(()),
            false => self.keep_learnt(step),
        }
    }

    /// Why no router leads to this client, if one was asked to.
    pub(in super::super) fn mapping_warning(&self) -> Option<String> {
        let failure = self.servers.places.mapping_failure.as_ref()?;
        Some(format!("no port is mapped: {failure}"))
    }

    /// To where a router leads to this client from outside.
    pub(in super::super) const fn mapped(&self) -> Option<&Endpoint> {
        self.servers.places.mapped.as_ref()
    }

    /// A router leads to this client from here, or does no longer.
    pub(in super::super) fn handle_mapped(
        &mut self,
        step: &mut Step<'_, '_>,
        mapping: Mapping,
    ) -> Result<(), StoreError> {
        let (mapped, failure) = match mapping {
            Mapping::External { address, .. } => (Endpoint::try_from(address).ok(), None),
            Mapping::Failed(failure) => (None, Some(failure)),
            Mapping::None => (None, None),
        };
        self.servers.places.mapping_failure = failure;
        if self.servers.places.mapped == mapped {
            return Ok(());
        }
        self.servers.places.mapped = mapped;
        self.keep_learnt(step)
    }
}
