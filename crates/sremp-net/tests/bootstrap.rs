//! Finding the servers of a domain by a name server on loopback.
#![allow(missing_docs)]

use std::{net::Ipv4Addr, str::FromStr as _, sync::Arc};

use hickory_server::{
    Server,
    net::runtime::TokioRuntimeProvider,
    proto::rr::{
        Name, RData, Record,
        rdata::{SOA, SRV, TXT},
    },
    store::in_memory::InMemoryZoneHandler,
    zone_handler::{AxfrPolicy, Catalog, ZoneType},
};
use rand::{SeedableRng as _, rngs::StdRng};
use sremp_net::{
    Endpoint,
    bootstrap::{DomainServer, LookupError, NameServer, lookup},
};
use tokio::net::{TcpListener, UdpSocket};

const AT: &str = "_sremp-rdv._tcp.example.org.";
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn name(text: &str) -> Name {
    Name::from_str(text).unwrap()
}

fn server(priority: u16, port: u16, target: &str) -> RData {
    RData::SRV(SRV::new(priority, 1, port, name(target)))
}

fn text(text: &str) -> RData {
    RData::TXT(TXT::new(vec![text.to_owned()]))
}

/// A name server for example.org that answers over UDP and TCP.
struct Dns {
    at: NameServer,
    _server: Server<Catalog>,
}

impl Dns {
    async fn with(records: Vec<RData>) -> Self {
        let zone = name("example.org.");
        let mut handler = InMemoryZoneHandler::<TokioRuntimeProvider>::empty(
            zone.clone(),
            ZoneType::Primary,
            AxfrPolicy::Deny,
        );
        let soa = SOA::new(zone.clone(), zone.clone(), 1, 60, 60, 60, 60);
        handler.upsert_mut(Record::from_rdata(zone.clone(), 60, RData::SOA(soa)), 0);
        for data in records {
            handler.upsert_mut(Record::from_rdata(name(AT), 60, data), 0);
        }
        let mut catalog = Catalog::new();
        catalog.upsert(zone.into(), vec![Arc::new(handler)]);
        let mut server = Server::new(catalog);
        let (udp, tcp) = sockets().await;
        let at = NameServer::At(udp.local_addr().unwrap());
        server.register_socket(udp);
        server.register_listener(tcp, std::time::Duration::from_secs(5), 4_096);
        Self {
            at,
            _server: server,
        }
    }

    async fn servers(&self, domain: &str) -> Result<Vec<DomainServer>, LookupError> {
        lookup(domain, self.at, &mut StdRng::seed_from_u64(1)).await
    }
}

/// The same free port of both kinds.
async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

#[tokio::test]
async fn a_domain_names_its_servers_by_priority_under_its_own_name() {
    let dns = Dns::with(vec![
        server(20, 443, "backup.example.net."),
        server(10, 4_433, "RDV.example.net."),
        text("v=something else"),
        text(&format!("spki={KEY}")),
    ])
    .await;
    let servers = dns.servers("Example.org").await.unwrap();
    let places: Vec<&Endpoint> = servers.iter().map(|s| &s.endpoint).collect();
    assert_eq!(
        places,
        [
            &Endpoint::new("rdv.example.net", 4_433).unwrap(),
            &Endpoint::new("backup.example.net", 443).unwrap()
        ]
    );
    for server in &servers {
        assert_eq!(server.tls_name, "example.org");
        assert_eq!(server.spki.unwrap().as_bytes()[31], 0x1f);
    }
}

#[tokio::test]
async fn a_long_answer_comes_over_tcp_and_eight_of_it_are_taken() {
    let records = (0..60_u16).map(|n| server(n, 443, &format!("server-{n}.rdv.example.net.")));
    let dns = Dns::with(records.collect()).await;
    let servers = dns.servers("example.org").await.unwrap();
    assert_eq!(servers.len(), 8);
    for (n, server) in servers.iter().enumerate() {
        assert_eq!(
            server.endpoint.host(),
            format!("server-{n}.rdv.example.net")
        );
        assert_eq!(server.spki, None);
    }
}

#[tokio::test]
async fn a_domain_without_servers_says_so_in_one_way_or_the_other() {
    let empty = Dns::with(vec![]).await;
    assert_eq!(
        empty.servers("example.org").await,
        Err(LookupError::NoServer)
    );
    let only_text = Dns::with(vec![text(&format!("spki={KEY}"))]).await;
    let found = only_text.servers("example.org").await;
    assert_eq!(found, Err(LookupError::NoServer));
    let declined = Dns::with(vec![server(0, 0, ".")]).await;
    let found = declined.servers("example.org").await;
    assert_eq!(found, Err(LookupError::NoServer));
}

#[tokio::test]
async fn a_key_that_is_malformed_is_not_left_out() {
    let short = &KEY[2..];
    for bad in [
        vec!["spki=".to_owned()],
        vec![format!("spki={short}")],
        vec![format!("spki={KEY}00")],
        vec![format!("spki={short}xx")],
        vec![format!("spki= {KEY}")],
        vec![
            format!("spki={KEY}"),
            format!("spki={}", KEY.replace('0', "1")),
        ],
    ] {
        let mut records = vec![server(0, 443, "rdv.example.net.")];
        records.extend(bad.iter().map(|t| text(t)));
        let found = Dns::with(records).await.servers("example.org").await;
        assert_eq!(found, Err(LookupError::BadRecord), "{bad:?}");
    }
}

#[tokio::test]
async fn a_server_is_not_looked_for_in_the_domain_of_this_machine_or_at_an_address() {
    let dns = Dns::with(vec![server(0, 443, "rdv.example.net.")]).await;
    for bad in ["192.0.2.1", "_x.example.org", "", "a b"] {
        assert_eq!(dns.servers(bad).await, Err(LookupError::BadDomain), "{bad}");
    }
    // refused: not a domain of this name server
    let found = dns.servers("example.com").await;
    assert_eq!(found, Err(LookupError::NoAnswer));
}

#[tokio::test]
async fn where_nobody_answers_that_is_told_in_time() {
    let (silent, _tcp) = sockets().await;
    let at = NameServer::At(silent.local_addr().unwrap());
    let began = std::time::Instant::now();
    let found = lookup("example.org", at, &mut StdRng::seed_from_u64(1)).await;
    assert_eq!(found, Err(LookupError::NoAnswer));
    assert!(began.elapsed() < std::time::Duration::from_secs(8));
}
