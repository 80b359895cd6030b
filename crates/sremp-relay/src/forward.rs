//! Confirmations for senders whose mailbox is on another relay (D6.7, D6.11): handed over on a
//! connection of role 3, tried again with growing pauses until they expire.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use sremp_core::{
    channel::Message,
    contact_card::{Endpoint, RelayHint},
    error::ErrorCode,
    relay::{Capabilities, RelayClient, RelayEvent, Role},
    time::Tick,
};
use sremp_net::{
    Admission, DialTarget, HandshakeHash, LinkCommand, LinkEvent, LinkHandle, LinkId, Network,
    Service, is_public,
};
use tokio::{net::lookup_host, sync::mpsc, time::timeout};

use crate::{
    answer::Answer,
    intake::Work,
    mailbox::{ConfirmationId, MailboxReader, Op, Route},
    service::Inner,
};

/// A relay that is started anew, as after an upgrade, is back in a moment.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);
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
    /// Whether everything was handed over: its end is then no failure.
    done: bool,
}

/// When a relay may be dialled again.
struct Pause {
    until: Tick,
    length: Duration,
}

pub(crate) struct Forwarder<R> {
    inner: Arc<Inner<R>>,
    network: Arc<Network>,
    links: HashMap<LinkId, Handing>,
    pauses: HashMap<RelayHint, Pause>,
}

impl<R: MailboxReader> Forwarder<R> {
    pub(crate) fn new(inner: Arc<Inner<R>>, network: Arc<Network>) -> Self {
        Self {
            inner,
            network,
            links: HashMap::new(),
            pauses: HashMap::new(),
        }
    }

    /// Runs until the network is gone.
    pub(crate) async fn run(mut self, mut events: mpsc::Receiver<LinkEvent>) {
        let inner = self.inner.clone();
        // what was left when the process last ended
        self.look().await;
        loop {
            let next_look = self.next_look();
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.handle(event),
                    None => return,
                },
                () = inner.forward.notified() => self.look().await,
                () = tokio::time::sleep(next_look) => self.look().await,
            }
        }
    }

    /// Until the first pause is over.
    fn next_look(&self) -> Duration {
        let now = self.inner.clock.tick();
        let pauses = self.pauses.values().filter(|pause| pause.until > now);
        let first = pauses.map(|pause| pause.until.since(now)).min();
        first.map_or(LOOK, |first| first.min(LOOK))
    }

    /// Dials every relay that something waits for and whose pause is over.
    async fn look(&mut self) {
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
        let now = self.inner.clock.tick();
        for to in waiting {
            let busy = self.links.values().any(|handing| handing.to == to);
            let pauses = self.pauses.get(&to).is_some_and(|pause| pause.until > now);
            if busy || pauses || self.links.len() >= MAX_LINKS {
                continue;
            }
            self.dial(to).await;
        }
    }

    async fn dial(&mut self, to: RelayHint) {
        let endpoints = self.resolve(&to.endpoint).await;
        if endpoints.is_empty() {
            self.inner.metrics.refuse("address of another relay");
            return self.pause(&to);
        }
        let target = DialTarget {
            endpoints,
            expected: Some(to.relay),
            pinned_noise_key: None,
            intro: None,
            service: Service::Relay,
        };
        let (link, handle) = self.network.dial(target);
        let client = RelayClient::new(self.inner.identity.id(), to.relay);
        let sent = Vec::new();
        let handing = Handing {
            to,
            handle,
            client,
            sent,
            done: false,
        };
        self.links.insert(link, handing);
    }

    /// The addresses of another relay that may be dialled: a sender names it, and must not have
    /// this one knock at doors of its operator's network (D5.4). They are dialled as they were
    /// looked at, so that a name cannot mean something else the next time.
    async fn resolve(&self, endpoint: &Endpoint) -> Vec<Endpoint> {
        let lookup = lookup_host((endpoint.host(), endpoint.port()));
        let Ok(Ok(found)) = timeout(RESOLVE, lookup).await else {
            return Vec::new();
        };
        let private = self.inner.config.allow_private_addresses;
        let allowed = |address: &SocketAddr| private || is_public(address);
        found
            .filter(allowed)
            .filter_map(|address| Endpoint::new(&address.ip().to_string(), address.port()).ok())
            .collect()
    }

    fn pause(&mut self, to: &RelayHint) {
        if self.pauses.len() >= MAX_PAUSES {
            let now = self.inner.clock.tick();
            self.pauses.retain(|_, pause| pause.until > now);
        }
        let last = self.pauses.get(to).map(|pause| pause.length);
        let length = last.map_or(FIRST_PAUSE, |last| (last * 2).min(LONGEST_PAUSE));
        let jitter = rand::random_range(0.75..1.25);
        let until = self.inner.clock.tick().plus(length.mul_f64(jitter));
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
                match self.links.remove(&link) {
                    // what has come meanwhile goes over a connection of its own
                    Some(handing) if handing.done => self.inner.forward.notify_one(),
                    Some(handing) => self.pause(&handing.to),
                    None => {}
                }
            }
        }
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
            Ok(Some(RelayEvent::Confirmed { .. })) => self.handed_over(link),
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
        handing.sent = ids;
        handing.done = handing.sent.is_empty();
        let command = match handing.sent.is_empty() {
            true => None,
            false => handing.client.hand_over(list).ok().map(LinkCommand::Send),
        };
        self.inner.metrics.confirmations.inc_by(count);
        let command = command.unwrap_or(LinkCommand::Close(ErrorCode::GoingAway));
        let _ = handing.handle.try_send(command);
    }

    /// What the other relay has answered is forgotten here, also what it refused: it knows no such
    /// sender, and will not know it the next time.
    fn handed_over(&mut self, link: LinkId) {
        let Some(handing) = self.links.get_mut(&link) else {
            return;
        };
        let op = Op::ConfirmationsTaken {
            route: Route::Relay(Box::new(handing.to.clone())),
            ids: handing.sent.clone(),
        };
        self.pauses.remove(&handing.to);
        self.inner.intake.insist(Work::Change {
            op: Box::new(op),
            answer: Answer::None,
        });
        self.hand_over(link);
    }
}
