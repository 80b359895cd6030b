//! Servers that tell each other of servers.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use sremp_core::{
    channel::Message,
    id::ContactId,
    identity::SecretIdentity,
    rendezvous::{
        RendezvousEvent, RendezvousLink, RendezvousMessage, ServerRecord, ServerRecordDraft,
        Servers, SignedServer,
    },
};
use sremp_net::tls::{
    Certificate, TlsAnswer, TlsArrival, TlsGuest, TlsLimits, TlsListening, TlsServe, listen,
};
use sremp_rendezvous::run::{RunError, start};

use super::world::*;

const LAN: &str = "allow_private_addresses = true\npeers_every = 1\n";

async fn server_with_peers(peers: &[&RendezvousLink]) -> Server {
    let peers: Vec<String> = peers.iter().map(ToString::to_string).collect();
    Server::with(&format!("{LAN}peers = {peers:?}")).await
}

/// Whom a server names to a client, itself first.
async fn named(server: &Server) -> Vec<ServerRecord> {
    let mut client = server.client().await;
    let ask = client.machine.servers(None).unwrap();
    match client.ask(&ask).await {
        RendezvousEvent::Servers {
            servers,
            refused: 0,
            ..
        } => servers,
        other => panic!("{other:?}"),
    }
}

/// Waits until a server names these, in any order.
async fn names(server: &Server, wanted: &[ContactId]) {
    let wanted: BTreeSet<ContactId> = wanted.iter().copied().collect();
    let mut client = server.client().await;
    let mut last = BTreeSet::new();
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        while last != wanted {
            let ask = client.machine.servers(None).unwrap();
            let RendezvousEvent::Servers { servers, .. } = client.ask(&ask).await else {
                panic!("servers")
            };
            last = servers.iter().map(ServerRecord::server).collect();
        }
    });
    let waited = waited.await;
    assert!(waited.is_ok(), "{last:?} instead of {wanted:?}");
}

fn id(server: &Server) -> ContactId {
    server.running.link().server
}

#[tokio::test]
async fn a_client_that_knows_one_of_three_servers_learns_the_others_and_not_those_that_are_dead() {
    let last = Server::with(LAN).await;
    let middle = server_with_peers(&[last.running.link()]).await;
    let first = server_with_peers(&[middle.running.link()]).await;
    let all = [id(&first), id(&middle), id(&last)];
    names(&first, &all).await;
    names(&middle, &all).await;
    // it was told of by the one that asks it
    names(&last, &all[1..]).await;
    let records = named(&first).await;
    assert_eq!(records[0].server(), all[0]);
    // what it learns is enough to go there, also when nobody else is left
    let learnt = records.iter().find(|record| record.server() == all[2]);
    let learnt = learnt.unwrap();
    let there = RendezvousLink {
        server: learnt.server(),
        endpoint: learnt.endpoint().clone(),
        spki: learnt.spki().copied(),
    };
    let mut client = Client::of(&there).await;
    let alice = person(1);
    let done = client
        .register(&alice, &record(&alice, 5, &["127.0.0.1:33399"]))
        .await;
    assert!(is_registered(&done), "{done:?}");
    drop(client);

    last.running.shutdown().await;
    names(&middle, &all[..2]).await;
    names(&first, &all[..2]).await;
    assert!(middle.counted("sremp_rendezvous_exchanges_total{outcome=\"failed\"}") > 0);
    middle.running.shutdown().await;
    names(&first, &all[..1]).await;
}

/// A server that says what it likes.
struct Liar {
    own: SecretIdentity,
    certificate: Certificate,
    at: std::sync::OnceLock<std::net::SocketAddr>,
    lie: AtomicU8,
}

struct Door(Arc<Liar>);

struct LiarGuest(Arc<Liar>);

impl TlsServe for Door {
    type Guest = LiarGuest;

    fn arrived(&self, _: TlsArrival) -> LiarGuest {
        LiarGuest(self.0.clone())
    }
}

impl Liar {
    fn record_by(&self, seed: &SecretIdentity, port: u16) -> ServerRecord {
        let draft = ServerRecordDraft {
            endpoint: format!("127.0.0.1:{port}").parse().unwrap(),
            spki: self.certificate.spki(),
            issued: now(),
            ttl: HOUR,
        };
        ServerRecord::sign(seed, draft).unwrap()
    }

    fn own_record(&self) -> ServerRecord {
        self.record_by(&self.own, self.at.get().unwrap().port())
    }

    fn list(&self) -> Vec<SignedServer> {
        let own = SignedServer::from(&self.own_record());
        let of =
            |seed: u8| SignedServer::from(&self.record_by(&person(seed), 1_024 + u16::from(seed)));
        let mut list = vec![own];
        match self.lie.load(Ordering::Relaxed) {
            // a crowd
            0 => list.extend((100..163).map(of)),
            // more than an answer may have
            1 => list.extend((100..200).map(of)),
            // nobody has signed that
            2 => list.extend((100..110).map(|seed| SignedServer {
                signature: of(seed + 1).signature,
                ..of(seed)
            })),
            // somebody else in its own place
            _ => list[0] = of(100),
        }
        list
    }
}

impl TlsGuest for LiarGuest {
    async fn answer(&mut self, message: Message) -> TlsAnswer {
        let list = RendezvousMessage::Servers(Servers {
            servers: self.0.list(),
            timestamp: now(),
        });
        TlsAnswer::Reply(list.to_message(message.req_id))
    }
}

async fn liar() -> (Arc<Liar>, TlsListening, RendezvousLink) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate =
        Certificate::from_der(made.cert.der(), &made.signing_key.serialize_der()).unwrap();
    let liar = Arc::new(Liar {
        own: person(99),
        certificate,
        at: std::sync::OnceLock::new(),
        lie: AtomicU8::new(0),
    });
    let limits = TlsLimits {
        admission: sremp_net::AdmissionLimits {
            accepts_per_minute: 10_000,
            accepts_at_once: 10_000,
            ..sremp_net::AdmissionLimits::CLIENT
        },
        open: 100,
        open_per_prefix: 100,
    };
    let listening = listen(
        ([127, 0, 0, 1], 0).into(),
        &liar.certificate,
        limits,
        Arc::new(Door(liar.clone())),
    )
    .unwrap();
    liar.at.set(listening.local_addr()).unwrap();
    let link = RendezvousLink {
        server: liar.own.id(),
        endpoint: listening.local_addr().to_string().parse().unwrap(),
        spki: liar.certificate.spki(),
    };
    (liar, listening, link)
}

/// Waits until something has been counted so often.
async fn counts(server: &Server, line: &str, least: u64) {
    until(line, || server.counted(line) >= least).await;
}

const REFUSED: &str = "sremp_rendezvous_candidates_refused_total";

#[tokio::test]
async fn a_lying_peer_has_eight_lies_and_no_voice_when_it_breaks_the_rules() {
    let (liar, _listening, link) = liar().await;
    let server = server_with_peers(&[&link]).await;
    let outcome = |word| format!("sremp_rendezvous_exchanges_total{{outcome=\"{word}\"}}");
    counts(&server, &outcome("answered"), 1).await;
    assert_eq!(named(&server).await.len(), 1 + 1 + 8);
    assert!(server.counted(REFUSED) >= 55);
    liar.lie.store(2, Ordering::Relaxed);
    let before = server.counted(&outcome("answered"));
    counts(&server, &outcome("answered"), before + 2).await;
    assert_eq!(named(&server).await.len(), 1 + 1, "none of those is signed");
    liar.lie.store(1, Ordering::Relaxed);
    counts(&server, &outcome("failed"), 1).await;
    liar.lie.store(3, Ordering::Relaxed);
    counts(&server, &outcome("another server"), 1).await;
    names(&server, &[id(&server)]).await;
    // one that knows better is heard again
    liar.lie.store(2, Ordering::Relaxed);
    names(&server, &[id(&server), link.server]).await;
}

#[tokio::test]
async fn a_peer_at_a_private_address_is_refused_at_the_start_unless_such_are_allowed() {
    let peer = Server::new().await;
    let link = peer.running.link().to_string();
    let dir = tempfile::tempdir().unwrap();
    let home = sremp_rendezvous::home::RendezvousHome::at(dir.path().join("rendezvous"));
    let config = format!("listen = \"127.0.0.1:0\"\noperations = \"\"\npeers = [{link:?}]");
    sremp_rendezvous::operate::init(&home, &config).unwrap();
    let refused = start(&home, false).await.map(|_| ());
    assert!(
        matches!(refused, Err(RunError::PrivatePeer(_))),
        "{refused:?}"
    );
    assert!(start(&home, true).await.is_ok());
}
