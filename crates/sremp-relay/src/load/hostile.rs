//! What hostile clients do to a relay, all at once and for as long as it is wanted: everybody else
//! should hardly notice.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use sremp_core::{
    channel::{Message, VersionHeader},
    constants::MAX_ENVELOPE,
    contact_card::RelayLink,
    id::{ContactId, IdentityKey},
    identity::{SecretIdentity, Username},
    relay::{Capabilities, MessageId, RelayClient, Role, ToStore},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::oneshot,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::raw::{RawConnection, first_flight};
use crate::clock::Clock;

/// Connections of each kind of attack that lasts.
const EACH: u8 = 12;
/// Rest of an attacker that was sent away: it has a machine to share, too.
const REST: Duration = Duration::from_millis(2);
/// Between two bytes of somebody who drips.
const DRIP: Duration = Duration::from_secs(2);

/// An attack that goes on until it is stopped.
#[derive(Debug)]
pub struct Attack {
    tally: Arc<Tally>,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

/// How often each thing was done.
#[derive(Debug, Default)]
pub struct Tally {
    /// Connections that dripped or stopped within the handshake.
    pub halves: AtomicU64,
    /// Connections that were closed at once.
    pub floods: AtomicU64,
    /// Requests to the one mailbox.
    pub requests: AtomicU64,
    /// Messages that are too large, or none.
    pub violations: AtomicU64,
}

/// What all attackers know.
#[derive(Clone)]
struct Target {
    address: SocketAddr,
    relay: ContactId,
    mailbox: IdentityKey,
    tally: Arc<Tally>,
}

/// Attacks a relay, and the mailbox of `victim` in it, from a thread of its own.
///
/// # Errors
/// What the system said, or that the relay's link has no address but a name.
pub fn start(link: &RelayLink, victim: IdentityKey) -> io::Result<Attack> {
    let endpoint = link.endpoint();
    let ip = endpoint.host().parse().map_err(io::Error::other)?;
    let tally = Arc::<Tally>::default();
    let target = Target {
        address: SocketAddr::new(ip, endpoint.port()),
        relay: link.relay(),
        mailbox: victim,
        tally: tally.clone(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (stop, stopped) = oneshot::channel();
    let named = thread::Builder::new().name("hostile".to_owned());
    let thread = named.spawn(move || {
        runtime.block_on(async move {
            let _attackers = attackers(&target);
            let _ = stopped.await;
        });
    })?;
    Ok(Attack {
        tally,
        stop,
        thread,
    })
}

impl Attack {
    /// Ends it; what it has done.
    pub fn stop(self) -> Arc<Tally> {
        let _ = self.stop.send(());
        let _ = self.thread.join();
        self.tally
    }
}

/// Each kind comes from an address of its own.
fn attackers(target: &Target) -> JoinSet<()> {
    let mut attackers = JoinSet::new();
    for _ in 0..EACH {
        attackers.spawn(again(target.clone(), 1, drip));
        attackers.spawn(again(target.clone(), 1, stop_half_way));
        attackers.spawn(again(target.clone(), 2, ask));
    }
    attackers.spawn(again(target.clone(), 3, flood));
    attackers.spawn(again(target.clone(), 4, say_too_much));
    attackers.spawn(again(target.clone(), 5, say_garbage));
    attackers
}

async fn again<F>(target: Target, from: u8, attack: impl Fn(TcpStream, Target) -> F)
where
    F: Future<Output = io::Result<()>>,
{
    loop {
        if let Ok(stream) = connect(target.address, from).await {
            // to be sent away is what an attacker is used to
            let _ = attack(stream, target.clone()).await;
        }
        sleep(REST).await;
    }
}

/// On loopback every attacker has an address of its own.
async fn connect(to: SocketAddr, from: u8) -> io::Result<TcpStream> {
    let SocketAddr::V4(v4) = to else {
        return TcpStream::connect(to).await;
    };
    let socket = TcpSocket::new_v4()?;
    if v4.ip().is_loopback() {
        socket.bind((Ipv4Addr::new(127, 66, 0, from), 0).into())?;
    }
    socket.connect(to).await
}

/// A byte now and then, until the relay has enough of it.
async fn drip(mut stream: TcpStream, target: Target) -> io::Result<()> {
    target.tally.halves.fetch_add(1, Ordering::Relaxed);
    for byte in VersionHeader::OWN.to_bytes() {
        stream.write_all(&[byte]).await?;
        if timeout(DRIP, stream.read_u8()).await.is_ok() {
            return Ok(());
        }
    }
    Ok(())
}

/// Has the relay make a Noise message, and says nothing more.
async fn stop_half_way(mut stream: TcpStream, target: Target) -> io::Result<()> {
    target.tally.halves.fetch_add(1, Ordering::Relaxed);
    let (flight, _) = first_flight(someone().noise_key())?;
    stream.write_all(&flight).await?;
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.map(drop)
}

async fn flood(stream: TcpStream, target: Target) -> io::Result<()> {
    target.tally.floods.fetch_add(1, Ordering::Relaxed);
    drop(stream);
    Ok(())
}

/// Stores into the one mailbox as fast as it is refused.
async fn ask(stream: TcpStream, target: Target) -> io::Result<()> {
    let own = someone();
    let mut raw = RawConnection::open(stream, &own, target.relay).await?;
    let mut machine = RelayClient::new(own.id(), target.relay);
    let wished = Capabilities {
        max_message_size: 0,
        max_storage_duration: 0,
    };
    let register = machine.register(&own, &raw.h, Role::Sender, wished, None);
    let register = register.map_err(io::Error::other)?;
    raw.say(MSG, &register.encode()).await?;
    let store = ToStore {
        recipient: target.mailbox,
        envelope: vec![0x66; 1_024],
        message_id: MessageId::new(rand::random()),
        ttl: 60,
        reply_relay: None,
        intro: None,
    };
    let store = machine.store(&own, store).map_err(io::Error::other)?;
    for req_id in 2.. {
        let store = Message {
            req_id,
            ..store.clone()
        };
        raw.say(MSG, &store.encode()).await?;
        target.tally.requests.fetch_add(1, Ordering::Relaxed);
        // as many as may be open, and some
        if req_id % 80 == 0 {
            for _ in 0..80 {
                if raw.hear().await?.is_none() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// A request that is longer than any.
async fn say_too_much(stream: TcpStream, target: Target) -> io::Result<()> {
    let own = someone();
    let mut raw = RawConnection::open(stream, &own, target.relay).await?;
    let message = Message {
        msg_type: STORE,
        req_id: 1,
        body: vec![0x97; MAX_ENVELOPE],
    };
    target.tally.violations.fetch_add(1, Ordering::Relaxed);
    raw.say(MSG, &message.encode()).await?;
    while raw.hear().await?.is_some() {}
    Ok(())
}

/// Bytes that are no frame.
async fn say_garbage(stream: TcpStream, target: Target) -> io::Result<()> {
    let own = someone();
    let mut raw = RawConnection::open(stream, &own, target.relay).await?;
    let garbage: [u8; 32] = rand::random();
    target.tally.violations.fetch_add(1, Ordering::Relaxed);
    raw.stream.write_all(&[garbage; 2_000].concat()).await?;
    while raw.hear().await?.is_some() {}
    Ok(())
}

const MSG: u8 = 0x01;
const STORE: u16 = 0x0110;

fn someone() -> SecretIdentity {
    #[allow(clippy::expect_used, reason = "a fixed name that is valid")]
    let name = Username::parse("hostile").expect("a valid name");
    SecretIdentity::generate(&name, Clock::wall(), &mut rand::rng())
}
