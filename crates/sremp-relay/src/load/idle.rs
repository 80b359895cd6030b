//! Connections that are registered, and silent.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sremp_core::{
    channel::Message,
    contact_card::RelayLink,
    id::{EnvelopeId, IdentityKey},
    identity::{SecretIdentity, Username},
    relay::{
        Capabilities, Cursor, MessageId, RelayClient, RelayEvent, Role, Subscribe,
        proof::StoreClaim,
    },
};
use tokio::{net::TcpStream, sync::watch, task::JoinSet};

use super::{LoadError, raw::RawConnection};
use crate::clock::Clock;

/// Handshakes under way.
const AT_ONCE: usize = 16;

const MSG: u8 = 0x01;
const PING: u8 = 0x03;
const PONG: u8 = 0x04;

/// Connections of owners, each with a mailbox of its own. They answer PING, and nothing else
/// happens on them.
#[derive(Debug)]
pub struct Idle {
    lost: Arc<AtomicUsize>,
    subscribe: watch::Sender<bool>,
    _waiting: JoinSet<()>,
}

impl Idle {
    /// Connects and registers so many.
    ///
    /// # Errors
    /// [`LoadError`] when the relay cannot be reached, or does not want one of them.
    pub async fn connect(link: &RelayLink, count: usize) -> Result<Self, LoadError> {
        let mut idle = Self {
            lost: Arc::default(),
            subscribe: watch::Sender::new(false),
            _waiting: JoinSet::new(),
        };
        let mut connecting = JoinSet::new();
        for n in 0..count.saturating_add(AT_ONCE) {
            if n < count {
                connecting.spawn(Waiting::open(link.clone()));
            }
            if n >= AT_ONCE
                && let Some(opened) = connecting.join_next().await
            {
                idle.keep(opened.map_err(failed)?.map_err(failed)?);
            }
        }
        Ok(idle)
    }

    fn keep(&mut self, connection: Waiting) {
        let (lost, subscribe) = (self.lost.clone(), self.subscribe.subscribe());
        self._waiting.spawn(async move {
            // to be lost is what is counted
            let _ = connection.stay(subscribe).await;
            lost.fetch_add(1, Ordering::Relaxed);
        });
    }

    /// Lets all subscribe to their mailboxes, which are empty.
    pub fn subscribe(&self) {
        self.subscribe.send_replace(true);
    }

    /// How many are not there any more.
    pub fn lost(&self) -> usize {
        self.lost.load(Ordering::Relaxed)
    }
}

fn failed(error: impl std::fmt::Display) -> LoadError {
    LoadError(format!("the relay does not let us in: {error}"))
}

struct Waiting {
    raw: RawConnection,
    machine: RelayClient,
}

impl Waiting {
    async fn open(link: RelayLink) -> io::Result<Self> {
        let endpoint = link.endpoint();
        let stream = TcpStream::connect((endpoint.host(), endpoint.port())).await?;
        stream.set_nodelay(true)?;
        let own = somebody();
        let raw = RawConnection::open(stream, &own, link.relay()).await?;
        let machine = RelayClient::new(own.id(), link.relay());
        let mut waiting = Self { raw, machine };
        waiting.register(&own, &link).await?;
        Ok(waiting)
    }

    async fn register(&mut self, own: &SecretIdentity, link: &RelayLink) -> io::Result<()> {
        let wished = Capabilities {
            max_message_size: 61_440,
            max_storage_duration: 1_209_600,
        };
        let invite = link.invite().map(<[u8]>::to_vec);
        let h = self.raw.h;
        let register = self.machine.register(own, &h, Role::Owner, wished, invite);
        let register = register.map_err(io::Error::other)?;
        self.raw.say(MSG, &register.encode()).await?;
        match self.event().await? {
            Some(RelayEvent::Granted(_)) => Ok(()),
            other => Err(io::Error::other(format!("{other:?}"))),
        }
    }

    async fn event(&mut self) -> io::Result<Option<RelayEvent>> {
        let said = self.raw.hear().await?.unwrap_or_default();
        let Some((&MSG, body)) = said.split_first() else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let message = Message::decode(body).map_err(io::Error::other)?;
        let event = self.machine.handle(&message);
        event.map_err(|code| io::Error::other(code.name()))
    }

    /// Answers PING until the connection ends, and subscribes when it is time.
    async fn stay(mut self, mut subscribe: watch::Receiver<bool>) -> io::Result<()> {
        let mut subscribed = false;
        loop {
            // nothing is given up here that has read a part of a frame
            let due = tokio::select! {
                due = subscribe.wait_for(|due| *due), if !subscribed => due.is_ok(),
                comes = self.raw.stream.readable() => {
                    comes?;
                    false
                }
            };
            if due {
                self.subscribe().await?;
                subscribed = true;
            } else if !self.echo().await? {
                return Ok(());
            }
        }
    }

    /// `false` at the end.
    async fn echo(&mut self) -> io::Result<bool> {
        let Some(said) = self.raw.hear().await? else {
            return Ok(false);
        };
        if let Some((&PING, body)) = said.split_first() {
            self.raw.say(PONG, body).await?;
        }
        Ok(true)
    }

    async fn subscribe(&mut self) -> io::Result<()> {
        let subscribe = Subscribe {
            after: Cursor::START,
            credit_items: 256,
            credit_bytes: 1024 * 1024,
        };
        let message = self.machine.subscribe(subscribe);
        let message = message.map_err(io::Error::other)?;
        self.raw.say(MSG, &message.encode()).await
    }
}

fn somebody() -> SecretIdentity {
    #[allow(clippy::expect_used, reason = "a fixed name that is valid")]
    let name = Username::parse("idle").expect("a valid name");
    SecretIdentity::generate(&name, Clock::wall(), &mut rand::rng())
}

/// How long the check of one signature takes here and now: the middle of many.
pub fn signature_check() -> Duration {
    let own = somebody();
    let claim = StoreClaim {
        relay: IdentityKey::from(own.id()),
        recipient: IdentityKey::from(own.id()),
        message_id: MessageId::new(1),
        blob_hash: EnvelopeId::of(&[]),
        ttl: 1,
    };
    let signature = claim.sign(&own);
    let check = |_| {
        let began = Instant::now();
        let checked = claim.verify(&own.id(), &signature);
        checked.map(|()| began.elapsed()).unwrap_or_default()
    };
    let mut times: Vec<Duration> = (0..201).map(check).collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
