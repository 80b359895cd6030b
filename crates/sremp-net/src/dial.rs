//! Dialling: a race of attempts to every address of the peer (D7.2, RFC 8305).

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use sremp_core::{
    channel::{Channel, Direction, Event, Initiate, Service},
    constants::{
        DIAL_ATTEMPT_TIMEOUT, DIAL_BUDGET, DIAL_PARALLEL, DIAL_STAGGER, MAX_DIAL_ADDRESSES,
    },
    contact_card::Endpoint,
    error::ErrorCode,
    id::{ContactId, IntroToken},
    key::NoisePublicKey,
    rendezvous::address::is_public,
};
use tokio::{
    net::{TcpStream, lookup_host},
    sync::{Mutex, OwnedMutexGuard, watch},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    CloseReason, LinkCommand, LinkEvent, LinkHandle, LinkId,
    link::Commands,
    network::Shared,
    pump::Pump,
    socket,
    task::{LinkTask, asked_to_leave},
};

/// Whom to dial, and where.
#[derive(Clone, Debug)]
pub struct DialTarget {
    /// All places where the peer may be, the best first; they are tried in one race.
    pub endpoints: Vec<Endpoint>,
    /// Places that somebody else names. One of them is tried, after the others, only if every
    /// address that it has when it is looked up is one of the public internet (D5.4).
    pub claimed: Vec<Endpoint>,
    /// Who has to answer; `None` only when nothing but an address is known.
    pub expected: Option<ContactId>,
    /// The noise key of the expected identity as it is known. Another one ends the link with
    /// `STATIC_MISMATCH` before our own is shown; with this one, and a single address, messages
    /// that wait leave together with our HELLO.
    pub pinned_noise_key: Option<NoisePublicKey>,
    /// From a card of the expected identity.
    pub intro: Option<IntroToken>,
    /// What the link is for.
    pub service: Service,
}

impl DialTarget {
    /// A person's target with one endpoint and nothing known of who answers.
    pub fn at(endpoint: Endpoint) -> Self {
        Self {
            endpoints: vec![endpoint],
            claimed: Vec::new(),
            expected: None,
            pinned_noise_key: None,
            intro: None,
            service: Service::P2p,
        }
    }
}

/// A link that is being dialled.
pub(crate) struct Dialling {
    pub(crate) link: LinkId,
    pub(crate) target: DialTarget,
    pub(crate) handle: LinkHandle,
    pub(crate) commands: Commands,
    pub(crate) shared: Arc<Shared>,
    pub(crate) shutdown: watch::Receiver<Option<ErrorCode>>,
}

/// A connection whose peer has proved who it is, with the event that says so.
struct Won {
    pump: Pump<TcpStream>,
    shown: Event,
    /// Held until the other attempts are gone.
    _turn: Option<OwnedMutexGuard<()>>,
}

impl Dialling {
    pub(crate) async fn run(mut self) {
        let won = match timeout(DIAL_BUDGET, self.race()).await {
            Ok(won) => won,
            Err(_) => Err(CloseReason::Local(ErrorCode::Timeout)),
        };
        match won {
            Ok(won) => {
                let task = LinkTask {
                    link: self.link,
                    direction: Direction::Outbound,
                    pump: won.pump,
                    commands: self.commands,
                    handle: Some(self.handle),
                    shared: self.shared,
                    shutdown: self.shutdown,
                    permit: None,
                };
                task.run_from(won.shown).await;
            }
            Err(reason) => {
                let closed = LinkEvent::Closed {
                    link: self.link,
                    peer: None,
                    reason,
                };
                // nobody is left to be told if this fails
                let _ = self.shared.events.send(closed).await;
            }
        }
    }

    async fn race(&mut self) -> Result<Won, CloseReason> {
        let addresses = tokio::select! {
            addresses = find(&self.target) => addresses,
            code = self.commands.closed() => return Err(CloseReason::Own(code)),
            code = asked_to_leave(&mut self.shutdown) => return Err(CloseReason::Own(code)),
        };
        let addresses = addresses?;
        match addresses.as_slice() {
            [] => Err(CloseReason::NameNotFound),
            [only] => self.dial_only(*only).await,
            _ => self.dial_all(addresses).await,
        }
    }

    fn attempt(&self, address: SocketAddr, turn: Arc<Mutex<()>>) -> Attempt {
        Attempt {
            address,
            config: Initiate {
                local: self.shared.local(),
                service: self.target.service,
                expected: self.target.expected,
                pinned_noise_key: self.target.pinned_noise_key,
                intro: self.target.intro,
                reassembly: self.shared.reassembly.clone(),
            },
            shared: self.shared.clone(),
            turn,
        }
    }

    /// One address: what is queued goes into the channel at once, to leave with our HELLO.
    async fn dial_only(&mut self, address: SocketAddr) -> Result<Won, CloseReason> {
        let attempt = self.attempt(address, Arc::default());
        let dialled = attempt.run(Some(&mut self.commands));
        tokio::select! {
            won = timeout(DIAL_ATTEMPT_TIMEOUT, dialled) => {
                won.unwrap_or(Err(CloseReason::Local(ErrorCode::Timeout)))
            }
            code = asked_to_leave(&mut self.shutdown) => Err(CloseReason::Own(code)),
        }
    }

    async fn dial_all(&mut self, addresses: Vec<SocketAddr>) -> Result<Won, CloseReason> {
        let turn = Arc::<Mutex<()>>::default();
        let mut addresses = VecDeque::from(addresses);
        let mut attempts = JoinSet::new();
        let mut next_start = Instant::now();
        let mut failure = CloseReason::Local(ErrorCode::Timeout);
        loop {
            if addresses.is_empty() && attempts.is_empty() {
                return Err(failure);
            }
            let may_start = !addresses.is_empty() && attempts.len() < DIAL_PARALLEL;
            tokio::select! {
                () = sleep_until(next_start), if may_start => {
                    next_start = Instant::now() + DIAL_STAGGER;
                    if let Some(address) = addresses.pop_front() {
                        let attempt = self.attempt(address, turn.clone());
                        attempts.spawn(timeout(DIAL_ATTEMPT_TIMEOUT, attempt.run(None)));
                    }
                }
                Some(ended) = attempts.join_next() => match ended {
                    Ok(Ok(Ok(won))) => return Ok(won),
                    Ok(Ok(Err(reason))) => {
                        next_start = Instant::now();
                        if reason.progress() > failure.progress() {
                            failure = reason;
                        }
                    }
                    Ok(Err(_)) | Err(_) => next_start = Instant::now(),
                },
                code = self.commands.closed() => return Err(CloseReason::Own(code)),
                code = asked_to_leave(&mut self.shutdown) => return Err(CloseReason::Own(code)),
            }
        }
    }
}

/// One attempt of a race.
struct Attempt {
    address: SocketAddr,
    config: Initiate,
    shared: Arc<Shared>,
    /// Held from message 3 to the end of HELLO. Only one attempt at a time shows itself: the peer
    /// would take a second HELLO for a newer connection and close the first.
    turn: Arc<Mutex<()>>,
}

impl Attempt {
    /// Connects and turns the channel until the peer has proved who it is.
    async fn run(self, mut commands: Option<&mut Commands>) -> Result<Won, CloseReason> {
        let stream = TcpStream::connect(self.address).await;
        let stream = stream.map_err(|e| CloseReason::Io(e.kind()))?;
        socket::prepare(&stream);
        let clock = self.shared.clock;
        let channel = Channel::initiate(self.config, clock.now(), &mut rand::rng());
        let mut pump = Pump::new(stream, channel, clock);
        let mut turn: Option<OwnedMutexGuard<()>> = None;
        loop {
            if pump.channel.is_established() && turn.is_none() {
                turn = Some(self.turn.clone().lock_owned().await);
            }
            let done = pump.is_done();
            match pump.channel.poll_event() {
                Some(Event::Closed(reason)) => {
                    // a CLOSE may have to reach the peer; nobody waits for it here
                    tokio::spawn(async move { pump.finish(true).await });
                    return Err(reason.into());
                }
                Some(shown) => {
                    return Ok(Won {
                        pump,
                        shown,
                        _turn: turn,
                    });
                }
                None if done => return Err(CloseReason::Truncated),
                None => {}
            }
            tokio::select! {
                biased;
                command = next_of(&mut commands) => match command {
                    LinkCommand::Send(message) => {
                        // too full to take it: it waits no longer than this attempt
                        let _ = pump.channel.send(&message);
                    }
                    LinkCommand::Probe => {}
                    LinkCommand::Close(code) => pump.channel.close(clock.now(), code),
                },
                stepped = pump.step(true) => stepped.map_err(CloseReason::Io)?,
            }
        }
    }
}

async fn next_of(commands: &mut Option<&mut Commands>) -> LinkCommand {
    match commands {
        Some(commands) => commands.next().await,
        None => std::future::pending().await,
    }
}

/// Every address at which the peer may be dialled: IPv6 and IPv4 in turn, IPv6 first, in the order
/// of the endpoints otherwise.
async fn find(target: &DialTarget) -> Result<Vec<SocketAddr>, CloseReason> {
    let all: Vec<Endpoint> = [&*target.endpoints, &*target.claimed].concat();
    let mut found = resolve(all).await;
    let claimed = found.split_off(target.endpoints.len());
    let (public, inside): (Vec<_>, Vec<_>) = claimed
        .into_iter()
        .partition(|addresses| addresses.iter().all(is_public));
    found.extend(public);
    let addresses = alternate(found.into_iter().flatten());
    match addresses.is_empty() && !inside.is_empty() {
        true => Err(CloseReason::PrivateAddress),
        false => Ok(addresses),
    }
}

/// The addresses of each endpoint.
async fn resolve(endpoints: Vec<Endpoint>) -> Vec<Vec<SocketAddr>> {
    let mut found = vec![Vec::new(); endpoints.len()];
    let mut lookups = JoinSet::new();
    for (rank, endpoint) in endpoints.into_iter().enumerate() {
        lookups.spawn(async move {
            let found = lookup_host((endpoint.host(), endpoint.port())).await;
            (rank, found.map_or_else(|_| Vec::new(), Iterator::collect))
        });
    }
    for (rank, addresses) in lookups.join_all().await {
        if let Some(of_this_one) = found.get_mut(rank) {
            *of_this_one = addresses;
        }
    }
    found
}

fn alternate(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let (v6, v4): (Vec<_>, Vec<_>) = addresses.partition(SocketAddr::is_ipv6);
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    let mut in_turn = Vec::new();
    while in_turn.len() < MAX_DIAL_ADDRESSES {
        let pair = [v6.next(), v4.next()];
        if pair.iter().all(Option::is_none) {
            break;
        }
        for address in pair.into_iter().flatten() {
            if !in_turn.contains(&address) {
                in_turn.push(address);
            }
        }
    }
    in_turn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_take_turns_and_come_once() {
        let parse = |list: &[&str]| -> Vec<SocketAddr> {
            list.iter().map(|a| a.parse().unwrap()).collect()
        };
        let found = parse(&[
            "192.0.2.1:1",
            "192.0.2.2:1",
            "192.0.2.1:1",
            "[2001:db8::1]:1",
            "192.0.2.3:1",
        ]);
        assert_eq!(
            alternate(found.into_iter()),
            parse(&[
                "[2001:db8::1]:1",
                "192.0.2.1:1",
                "192.0.2.2:1",
                "192.0.2.3:1"
            ])
        );
        let many = (0..1000).map(|port| SocketAddr::from(([192, 0, 2, 1], port)));
        assert_eq!(alternate(many).len(), MAX_DIAL_ADDRESSES);
    }
}
