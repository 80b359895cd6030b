//! Confirmations for senders whose mailbox is on another relay (D6.7, D6.11): handed over on a
//! connection of role 3, tried again with growing pauses until they expire.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use sremp_core::{
    channel::Message,
    contact_card::{Endpoint, RelayHint},
    error::ErrorCode,
    relay::{Capabilities, RelayClient, RelayEvent, Role},
};
use sremp_net::{
    Admission, DialTarget, HandshakeHash, LinkCommand, LinkEvent, LinkHandle, LinkId, Network,
    Service, is_public,
};
use tokio::{
    net::lookup_host,
    sync::mpsc,
    task::JoinSet,
    time::{Duration, Instant, timeout},
};

use crate::{
    answer::Answer,
    intake::Work,
    mailbox::{ConfirmationId, MailboxReader, Op, Route},
    service::Inner,
};

/// A relay that is started anew, as after an upgrade, is back in a moment.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);
/// After everything was handed over: what comes meanwhile goes together.
const SHORT_PAUSE: Duration = Duration::from_secs(1);
/// Connections to other relays at a time.
const MAX_LINKS: usize = 16;
/// Other relays whose pauses are remembered.
const MAX_PAUSES: usize = 10_000;
/// Confirmations of one message.
const MAX_LIST: usize = 128;
/// Time for a name to be resolved.
const RESOLVE: Duration = Duration::from_secs(5);
/// How often is looked whether something waits, at least.
const LOOK: Duration = Duration::from_secs(15);

/// One relay that something is handed to.
struct Handing {
    to: RelayHint,
    handle: LinkHandle,
    client: RelayClient,
    sent: Vec<ConfirmationId>,
    /// Nothing is left.
    done: bool,
}

/// When a relay may be dialled again.
struct Pause {
    until: Instant,
    length: Duration,
}

pub(crate) struct Forwarder<R> {
    inner: Arc<Inner<R>>,
    network: Arc<Network>,
    links: HashMap<LinkId, Handing>,
    pauses: HashMap<RelayHint, Pause>,
    /// Names that are being resolved: somebody may have named one that takes long.
    lookups: JoinSet<(RelayHint, Vec<Endpoint>)>,
    looked_up: Vec<RelayHint>,
}

impl<R: MailboxReader> Forwarder<R> {
    pub(crate) fn new(inner: Arc<Inner<R>>, network: Arc<Network>) -> Self {
        Self {
            inner,
            network,
            links: HashMap::new(),
            pauses: HashMap::new(),
            lookups: JoinSet::new(),
            looked_up: Vec::new(),
        }
    }

    /// Runs until the network is gone.
    pub(crate) async fn run(mut self, mut events: mpsc::Receiver<LinkEvent>) {
        let inner = self.inner.clone();
        // what was left when the process last ended
        self.look();
        loop {
            let next_look = self.next_look();
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.handle(event),
                    None => return,
                },
                Some(found) = self.lookups.join_next() => self.found(found.ok()),
                () = inner.forward.notified() => self.look(),
                () = tokio::time::sleep(next_look) => self.look(),
            }
        }
    }

    /// Until the first pause is over.
    fn next_look(&self) -> Duration {
        let now = Instant::now();
        let pauses = self.pauses.values().filter(|pause| pause.until > now);
        let first = pauses.map(|pause| pause.until - now).min();
        first.map_or(LOOK, |first| first.min(LOOK))
    }

    /// Looks up every relay that something waits for and whose pause is over.
    fn look(&mut self) {
        if self.inner.draining.load(Ordering::Relaxed) {
            return;
        }
        let waiting = match self.inner.reader.relays() {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::error!(%error, "the confirmations for other relays could not be read");
                return;
            }
        };
        let now = Instant::now();
        for to in waiting {
            let handing = self.links.values().any(|handing| handing.to == to);
            let pauses = self.pauses.get(&to).is_some_and(|pause| pause.until > now);
            let busy = self.links.len().saturating_add(self.looked_up.len()) >= MAX_LINKS;
            if handing || pauses || busy || self.looked_up.contains(&to) {
                continue;
            }
            self.looked_up.push(to.clone());
            let private = self.inner.config.allow_private_addresses;
            self.lookups.spawn(async move {
                let endpoints = resolve(&to.endpoint, private).await;
                (to, endpoints)
            });
        }
    }

    /// A name was resolved.
    fn found(&mut self, found: Option<(RelayHint, Vec<Endpoint>)>) {
        let Some((to, endpoints)) = found else {
            // its task has panicked: which it was is not known any more
            self.looked_up.clear();
            return;
        };
        self.looked_up.retain(|other| *other != to);
        if endpoints.is_empty() {
            self.inner.metrics.refuse("address of another relay");
            return self.pause(&to);
        }
        self.dial(to, endpoints);
    }

    fn dial(&mut self, to: RelayHint, endpoints: Vec<Endpoint>) {
        let target = DialTarget {
            endpoints,
            claimed: Vec::new(),
            expected: Some(to.relay),
            pinned_noise_key: None,
            intro: None,
            service: Service::Relay,
        };
        let (link, handle) = self.network.dial(target);
        let client = RelayClient::new(self.inner.identity.id(), to.relay);
        let handing = Handing {
            to,
            handle,
            client,
            sent: Vec::new(),
            done: false,
        };
        self.links.insert(link, handing);
    }

    fn pause(&mut self, to: &RelayHint) {
        if self.pauses.len() >= MAX_PAUSES {
            let now = Instant::now();
            self.pauses.retain(|_, pause| pause.until > now);
        }
        let last = self.pauses.get(to).map(|pause| pause.length);
        let length = last.map_or(FIRST_PAUSE, |last| {
            (last * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE)
        });
        let jitter = rand::random_range(0.75..1.25);
        let until = Instant::now() + length.mul_f64(jitter);
        self.pauses.insert(to.clone(), Pause { until, length });
    }

    fn handle(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Shown {
                identity, answer, ..
            } => {
                let admission = match identity.flags().is_relay_server {
                    true => Admission::Accept,
                    false => Admission::Close(ErrorCode::Refused),
                };
                let _ = answer.send(admission);
            }
            LinkEvent::Opened {
                link,
                channel_binding,
                ..
            } => self.register(link, &channel_binding),
            LinkEvent::Message { link, message } => self.message(link, &message),
            LinkEvent::Pong { .. } => {}
            LinkEvent::Closed { link, .. } => {
                let ended = self.links.remove(&link);
                if let Some(handing) = ended {
                    self.ended(handing);
                }
            }
        }
    }

    fn ended(&mut self, handing: Handing) {
        if !handing.done {
            self.inner.metrics.refuse("by another relay");
            return self.pause(&handing.to);
        }
        let pause = Pause {
            until: Instant::now() + SHORT_PAUSE,
            length: SHORT_PAUSE,
        };
        self.pauses.insert(handing.to, pause);
    }

    fn register(&mut self, link: LinkId, h: &HandshakeHash) {
        let Some(handing) = self.links.get_mut(&link) else {
            return;
        };
        let wished = Capabilities {
            max_message_size: 0,
            max_storage_duration: 0,
        };
        let own = &self.inner.identity;
        let register = handing.client.register(own, h, Role::Relay, wished, None);
        if let Ok(message) = register {
            let _ = handing.handle.try_send(LinkCommand::Send(message));
        }
    }

    fn message(&mut self, link: LinkId, message: &Message) {
        let Some(handing) = self.links.get_mut(&link) else {
            return;
        };
        match handing.client.handle(message) {
            Ok(Some(RelayEvent::Granted(_))) => self.hand_over(link),
            Ok(Some(RelayEvent::Confirmed { refused, .. })) => self.handed_over(link, &refused),
            Ok(Some(RelayEvent::Refused { .. })) | Err(_) => {
                let close = LinkCommand::Close(ErrorCode::GoingAway);
                let _ = handing.handle.try_send(close);
            }
            Ok(_) => {}
        }
    }

    /// Hands over what is next, or parts.
    fn hand_over(&mut self, link: LinkId) {
        let Some(handing) = self.links.get_mut(&link) else {
            return;
        };
        let route = Route::Relay(Box::new(handing.to.clone()));
        let after = handing.sent.last().copied().unwrap_or_default();
        let waiting = self.inner.reader.waiting(&route, after, MAX_LIST);
        let (ids, list): (Vec<_>, Vec<_>) = waiting
            .unwrap_or_default()
            .into_iter()
            .map(|waiting| (waiting.id, waiting.confirmation))
            .unzip();
        let count = u64::try_from(ids.len()).unwrap_or(u64::MAX);
        handing.done = ids.is_empty();
        handing.sent = ids;
        let command = match handing.sent.is_empty() {
            true => None,
            false => handing.client.hand_over(list).ok().map(LinkCommand::Send),
        };
        self.inner.metrics.confirmations.inc_by(count);
        let command = command.unwrap_or(LinkCommand::Close(ErrorCode::GoingAway));
        let _ = handing.handle.try_send(command);
    }

    /// What the other relay has taken is forgotten here. What it refused is not offered to it again, and
    /// waits for its sender alone: it may know no such sender any more.
    fn handed_over(&mut self, link: LinkId, refused: &[u16]) {
        let Some(handing) = self.links.get_mut(&link) else {
            return;
        };
        let relay = Box::new(handing.to.clone());
        let places = (0u16..).zip(handing.sent.iter().copied());
        let (not_taken, taken): (Vec<_>, Vec<_>) =
            places.partition(|(place, _)| refused.contains(place));
        let ids = |list: Vec<(u16, ConfirmationId)>| list.into_iter().map(|(_, id)| id).collect();
        self.pauses.remove(&handing.to);
        for _ in &not_taken {
            self.inner.metrics.refuse("confirmation at another relay");
        }
        let ops = [
            Op::ConfirmationsTaken {
                route: Route::Relay(relay.clone()),
                ids: ids(taken),
            },
            Op::ConfirmationsRefused {
                relay,
                ids: ids(not_taken),
            },
        ];
        for op in ops {
            self.inner.intake.insist(Work::Change {
                op: Box::new(op),
                answer: Answer::None,
            });
        }
        self.hand_over(link);
    }
}

/// The addresses of another relay that may be dialled.
async fn resolve(endpoint: &Endpoint, private: bool) -> Vec<Endpoint> {
    let lookup = lookup_host((endpoint.host(), endpoint.port()));
    match timeout(RESOLVE, lookup).await {
        Ok(Ok(found)) => allowed(found, private),
        _ => Vec::new(),
    }
}

/// A sender names the relay, and must not have this one knock at doors of its operator's network
/// (D5.4). Addresses are dialled as they were looked at: a name could mean something else the next
/// time.
fn allowed(found: impl Iterator<Item = SocketAddr>, private: bool) -> Vec<Endpoint> {
    found
        .filter(|address| private || is_public(address))
        .filter_map(|address| Endpoint::new(&address.ip().to_string(), address.port()).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn case_25_a_name_is_dialled_at_those_of_its_addresses_that_are_public_and_by_no_name_again() {
        let found = [
            "127.0.0.1:33399",
            "9.9.9.9:33399",
            "[::ffff:10.0.0.1]:33399",
            "[fe80::1]:33399",
        ];
        let found = || found.into_iter().map(|a| a.parse::<SocketAddr>().unwrap());
        let dialled = allowed(found(), false);
        assert_eq!(dialled, [Endpoint::new("9.9.9.9", 33_399).unwrap()]);
        let dialled = allowed(found(), true);
        assert_eq!(dialled.len(), 4);
        for endpoint in dialled {
            assert!(
                endpoint.host().parse::<IpAddr>().is_ok(),
                "nothing to resolve again"
            );
        }
        let mail = "9.9.9.9:25".parse().unwrap();
        assert_eq!(allowed(std::iter::once(mail), false), []);
    }
}
