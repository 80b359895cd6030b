//! TLS between clients and a server over real sockets on loopback.
#![allow(missing_docs)]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use sremp_core::{
    channel::Message,
    error::ErrorCode,
    identity::{SecretIdentity, Username},
    key::NoiseSecret,
    rendezvous::{ExporterValue, RendezvousMessage, SpkiHash},
    time::UnixMillis,
};
use sremp_net::{
    AdmissionLimits, Endpoint, LocalIdentity, Network, dial_back,
    tls::{
        Certificate, CertificateError, ConnectError, NamedServer, TlsAnswer, TlsArrival, TlsGuest,
        TlsLimits, TlsListening, TlsServe, Trust, connect, connect_to, listen,
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
};

const LIMITS: TlsLimits = TlsLimits {
    admission: AdmissionLimits {
        half_open: 100,
        half_open_per_prefix: 4,
        accepts_per_minute: 10_000,
        accepts_at_once: 10_000,
        ..AdmissionLimits::CLIENT
    },
    open: 8,
    open_per_prefix: 8,
};
const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Echoes messages, remembers what each connection exported, ends at message type FFFF.
#[derive(Default)]
struct Echo(Mutex<Vec<ExporterValue>>);

struct Guest;

impl TlsServe for Echo {
    type Guest = Guest;

    fn arrived(&self, arrival: TlsArrival) -> Guest {
        self.0.lock().unwrap().push(arrival.exporter);
        Guest
    }
}

impl TlsGuest for Guest {
    async fn answer(&mut self, message: Message) -> TlsAnswer {
        match message.msg_type {
            0xffff => TlsAnswer::End(message),
            _ => TlsAnswer::Reply(message),
        }
    }
}

fn self_signed(name: &str) -> Certificate {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let key = made.signing_key.serialize_der();
    Certificate::from_der(made.cert.der(), &key).unwrap()
}

/// An authority, and certificates by it.
struct Authority {
    params: CertificateParams,
    key: KeyPair,
    der: Vec<u8>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { params, key, der }
    }

    fn certificate(&self, alter: impl FnOnce(&mut CertificateParams), name: &str) -> Certificate {
        let (certificate, key) = self.made(alter, name);
        Certificate::from_der(&certificate, &key).unwrap()
    }

    /// A certificate and its key, both DER.
    fn made(&self, alter: impl FnOnce(&mut CertificateParams), name: &str) -> (Vec<u8>, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        alter(&mut params);
        let issuer = Issuer::from_params(&self.params, &self.key);
        let made = params.signed_by(&key, &issuer).unwrap();
        (made.der().to_vec(), key.serialize_der())
    }

    fn trust(&self) -> Trust {
        Trust::Authorities(vec![self.der.clone()])
    }
}

fn serve(certificate: &Certificate) -> (TlsListening, Arc<Echo>) {
    let echo = Arc::new(Echo::default());
    let listening = listen(LOOPBACK, certificate, LIMITS, echo.clone()).unwrap();
    (listening, echo)
}

fn at(host: &str, listening: &TlsListening) -> Endpoint {
    Endpoint::new(host, listening.local_addr().port()).unwrap()
}

fn message(msg_type: u16) -> Message {
    let mut message = RendezvousMessage::AddressRequest.to_message(7);
    message.msg_type = msg_type;
    message
}

/// Waits until the listener has counted so many of a cause.
async fn counted(listening: &TlsListening, cause: &str, count: u64) {
    let counted = tokio::time::timeout(Duration::from_secs(20), async {
        while listening.ended().get(cause).is_none_or(|n| *n < count) {
            tokio::task::yield_now().await;
        }
    });
    counted
        .await
        .unwrap_or_else(|_| panic!("{cause}: {:?}", listening.ended()));
}

#[tokio::test]
async fn a_pinned_client_and_its_server_talk_and_export_the_same_on_every_connection_another() {
    let certificate = self_signed("anything.example");
    let (listening, echo) = serve(&certificate);
    let trust = Trust::Pin(certificate.spki().unwrap());
    let mut seen = Vec::new();
    for _ in 0..2 {
        let mut client = connect(&at("127.0.0.1", &listening), &trust, false)
            .await
            .unwrap();
        client.send(&message(0x0207)).await.unwrap();
        assert_eq!(client.next().await, Ok(message(0x0207)));
        seen.push(*client.exporter());
        client.close().await;
    }
    assert!(seen[0] != seen[1]);
    assert_eq!(*echo.0.lock().unwrap(), seen);
}

#[tokio::test]
async fn a_server_that_a_domain_names_is_believed_by_the_domain_and_a_key_only_narrows_that() {
    let authority = Authority::new();
    let of_domain = authority.certificate(|_| (), "example.org");
    let of_target = authority.certificate(|_| (), "localhost");
    let own = self_signed("example.org");
    for (certificate, shown, believed) in [
        (&of_domain, None, true),
        (&of_domain, of_domain.spki(), true),
        (&of_domain, own.spki(), false),
        (&of_target, None, false),
        (&of_target, of_target.spki(), false),
        (&own, own.spki(), false),
    ] {
        let (listening, _) = serve(certificate);
        let server = NamedServer {
            endpoint: &at("localhost", &listening),
            name: "example.org",
            spki: shown.as_ref(),
        };
        let connected = connect_to(&server, &authority.trust(), false).await;
        match connected {
            Ok(_) => assert!(believed),
            Err(error) => assert_eq!((error, believed), (ConnectError::NotTheServer, false)),
        }
    }
}

#[tokio::test]
async fn a_server_that_ends_a_connection_says_why_first() {
    let certificate = self_signed("anything.example");
    let (listening, _) = serve(&certificate);
    let trust = Trust::Pin(certificate.spki().unwrap());
    let mut client = connect(&at("127.0.0.1", &listening), &trust, false)
        .await
        .unwrap();
    client.send(&message(0xffff)).await.unwrap();
    assert_eq!(client.next().await, Ok(message(0xffff)));
    assert!(client.next().await.is_err());
    counted(&listening, "PROTOCOL_VIOLATION", 1).await;
}

#[tokio::test]
async fn a_server_is_believed_by_name_authority_and_date_or_by_its_key_alone() {
    let authority = Authority::new();
    let good = authority.certificate(|_| (), "localhost");
    let wrong_name = authority.certificate(|_| (), "elsewhere.example");
    let expired = authority.certificate(
        |params| {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        },
        "localhost",
    );
    let stranger = Authority::new().certificate(|_| (), "localhost");
    let own = self_signed("localhost");
    for (certificate, believed) in [
        (&good, true),
        (&wrong_name, false),
        (&expired, false),
        (&stranger, false),
        (&own, false),
    ] {
        let (listening, _) = serve(certificate);
        let there = at("localhost", &listening);
        let by_name = connect(&there, &authority.trust(), false).await;
        assert_eq!(by_name.is_ok(), believed, "{by_name:?}");
        if let Err(error) = by_name {
            assert_eq!(error, ConnectError::NotTheServer);
        }
        let by_web = connect(&there, &Trust::Name, false).await.map(|_| ());
        assert_eq!(by_web, Err(ConnectError::NotTheServer));
        let by_key = connect(&there, &Trust::Pin(certificate.spki().unwrap()), false).await;
        assert!(by_key.is_ok(), "{by_key:?}");
        let other_key = Trust::Pin(SpkiHash::new([7; 32]));
        let refused = connect(&there, &other_key, false).await.map(|_| ());
        assert_eq!(refused, Err(ConnectError::NotTheServer));
    }
}

#[tokio::test]
async fn a_replaced_certificate_is_shown_to_whoever_comes_next() {
    let (first, second) = (self_signed("a.example"), self_signed("b.example"));
    let (before, after) = (first.spki().unwrap(), second.spki().unwrap());
    let (listening, _) = serve(&first);
    let there = at("127.0.0.1", &listening);
    let mut open = connect(&there, &Trust::Pin(before), false).await.unwrap();
    first.replace(&second);
    assert_eq!(first.spki(), Some(after));
    assert!(connect(&there, &Trust::Pin(before), false).await.is_err());
    assert!(connect(&there, &Trust::Pin(after), false).await.is_ok());
    open.send(&message(0x0207)).await.unwrap();
    assert_eq!(
        open.next().await,
        Ok(message(0x0207)),
        "an open one goes on"
    );
}

#[test]
fn a_certificate_without_its_key_is_refused_in_words() {
    let made = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
    let other = KeyPair::generate().unwrap().serialize_der();
    let refused = |result: Result<Certificate, CertificateError>| result.err();
    assert_eq!(
        refused(Certificate::from_der(made.cert.der(), &other)),
        Some(CertificateError::OtherKey)
    );
    let key = made.signing_key.serialize_der();
    assert_eq!(
        refused(Certificate::from_der(b"x", &key)),
        Some(CertificateError::NoCertificate)
    );
    assert_eq!(
        refused(Certificate::from_der(made.cert.der(), b"x")),
        Some(CertificateError::NoKey)
    );
    assert_eq!(
        refused(Certificate::from_pem(b"", b"")),
        Some(CertificateError::NoKey)
    );
}

/// A ClientHello of a client that knows TLS 1.2 at most.
fn hello_of_tls_12() -> Vec<u8> {
    let extensions = [
        // supported_groups x25519; signature_algorithms ecdsa_secp256r1_sha256; ALPN
        &b"\x00\x0a\x00\x04\x00\x02\x00\x1d"[..],
        b"\x00\x0d\x00\x04\x00\x02\x04\x03",
        b"\x00\x10\x00\x0e\x00\x0c\x0bsremp-rdv/1",
    ]
    .concat();
    let mut body = b"\x03\x03".to_vec();
    body.extend([7; 32]);
    // no session, ECDHE-ECDSA-AES128-GCM-SHA256, no compression
    body.extend(b"\x00\x00\x02\xc0\x2b\x01\x00");
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut handshake = vec![1, 0];
    handshake.extend((body.len() as u16).to_be_bytes());
    handshake.extend(body);
    let mut record = b"\x16\x03\x01".to_vec();
    record.extend((handshake.len() as u16).to_be_bytes());
    record.extend(handshake);
    record
}

#[tokio::test]
async fn tls_12_is_refused_by_its_alert() {
    let (listening, echo) = serve(&self_signed("localhost"));
    let mut stream = TcpStream::connect(listening.local_addr()).await.unwrap();
    stream.write_all(&hello_of_tls_12()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    // alert, fatal, protocol_version
    assert_eq!(answer.first(), Some(&0x15), "{answer:?}");
    assert_eq!(answer[answer.len() - 2..], [2, 70]);
    counted(&listening, "HANDSHAKE_FAILED", 1).await;
    assert!(echo.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn whoever_speaks_another_protocol_inside_or_none_is_refused() {
    let authority = Authority::new();
    let (listening, echo) = serve(&authority.certificate(|_| (), "localhost"));
    for protocols in [vec![], vec![b"http/1.1".to_vec()]] {
        let connector = offering(&authority, protocols);
        let tcp = TcpStream::connect(listening.local_addr()).await.unwrap();
        let name = "localhost".try_into().unwrap();
        if let Ok(mut stream) = connector.connect(name, tcp).await {
            let mut nothing = Vec::new();
            let _ = stream.read_to_end(&mut nothing).await;
            assert_eq!(nothing, [0; 0]);
        }
    }
    counted(&listening, "HANDSHAKE_FAILED", 2).await;
    assert!(echo.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_authority_sees_a_challenge_while_it_is_pending_and_clients_notice_nothing() {
    let authority = Authority::new();
    let certificate = authority.certificate(|_| (), "localhost");
    let (answer, key) = authority.made(|_| (), "localhost");
    let answers = Certificate::from_der(&answer, &key).unwrap().spki();
    let challenged = |name| certificate.challenged(name, &answer, &key).unwrap();
    let (listening, _) = serve(&certificate);
    let acme = b"acme-tls/1".to_vec();
    let looks = |protocols: Vec<Vec<u8>>| looks(&authority, &listening, protocols);
    assert_eq!(looks(vec![acme.clone()]).await, None);

    let elsewhere = challenged("elsewhere.example");
    assert_eq!(looks(vec![acme.clone()]).await, None);
    let pending = challenged("localhost");
    assert_eq!(looks(vec![acme.clone()]).await, answers);
    counted(&listening, "certificate challenge", 1).await;
    let both = vec![acme.clone(), b"sremp-rdv/1".to_vec()];
    assert_eq!(looks(both).await, certificate.spki());
    assert_eq!(looks(vec![b"h2".to_vec()]).await, None);
    let client = connect(&at("localhost", &listening), &authority.trust(), false).await;
    assert!(client.is_ok());

    drop(pending);
    assert_eq!(looks(vec![acme.clone()]).await, None);
    drop(elsewhere);
    assert_eq!(looks(vec![acme]).await, None);
}

/// The key that is shown to who offers these protocols, if the handshake ends well.
async fn looks(
    authority: &Authority,
    listening: &TlsListening,
    protocols: Vec<Vec<u8>>,
) -> Option<SpkiHash> {
    let tcp = TcpStream::connect(listening.local_addr()).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let connector = offering(authority, protocols);
    let stream = connector.connect(name, tcp).await.ok()?;
    let shown = stream.get_ref().1.peer_certificates()?.first()?;
    let parsed = rustls::server::ParsedCertificate::try_from(shown).unwrap();
    let hash = ring::digest::digest(&ring::digest::SHA256, &parsed.subject_public_key_info());
    SpkiHash::from_slice(hash.as_ref())
}

fn offering(authority: &Authority, protocols: Vec<Vec<u8>>) -> tokio_rustls::TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der.clone().into()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols;
    tokio_rustls::TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn a_server_without_a_certificate_lets_nobody_in_until_it_has_one() {
    let authority = Authority::new();
    let certificate = Certificate::awaited();
    assert_eq!(certificate.spki(), None);
    let (listening, _) = serve(&certificate);
    let there = at("localhost", &listening);
    let early = connect(&there, &authority.trust(), false).await;
    assert_eq!(early.map(|_| ()), Err(ConnectError::NoCommonProtocol));
    certificate.replace(&authority.certificate(|_| (), "localhost"));
    assert!(connect(&there, &authority.trust(), false).await.is_ok());
}

#[tokio::test]
async fn case_05_half_open_and_open_connections_are_bounded_and_counted() {
    let certificate = self_signed("localhost");
    let (listening, _) = serve(&certificate);
    let there = at("127.0.0.1", &listening);
    let trust = Trust::Pin(certificate.spki().unwrap());
    let mut half_open = Vec::new();
    for _ in 0..4 {
        half_open.push(TcpStream::connect(listening.local_addr()).await.unwrap());
    }
    let mut fifth = TcpStream::connect(listening.local_addr()).await.unwrap();
    let gone = fifth.read(&mut [0; 1]).await;
    assert!(!matches!(gone, Ok(1)), "no byte is written for it");
    counted(&listening, "half-open connections of one address", 1).await;
    drop(half_open);
    counted(&listening, "HANDSHAKE_FAILED", 4).await;
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(connect(&there, &trust, false).await.unwrap());
    }
    assert!(connect(&there, &trust, false).await.is_err());
    counted(&listening, "open connections", 1).await;
    drop(open);
    counted(&listening, "connection broken", 8).await;
    assert!(connect(&there, &trust, false).await.is_ok());
}

#[tokio::test]
async fn case_25_a_server_that_a_stranger_named_is_not_dialled_inside() {
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["127.0.0.1", "localhost"] {
        let there = Endpoint::new(host, port).unwrap();
        let refused = connect(&there, &Trust::Name, true).await.map(|_| ());
        assert_eq!(refused, Err(ConnectError::PrivateAddress));
    }
    assert_nobody_came(&listener).await;
}

async fn assert_nobody_came(listener: &TcpListener) {
    let port = listener.local_addr().unwrap();
    let own = TcpStream::connect(port).await.unwrap();
    let (_, first) = listener.accept().await.unwrap();
    assert_eq!(first, own.local_addr().unwrap(), "nobody came before");
}

fn secret(n: u8) -> SecretIdentity {
    let name = Username::parse("somebody").unwrap();
    let noise = NoiseSecret::from_bytes(&[n | 0x80; 32]);
    SecretIdentity::from_keys(&[n; 32], noise, &name, UnixMillis::ZERO)
}

#[tokio::test]
async fn who_is_dialled_back_has_to_prove_the_key_and_sees_nobody() {
    let own = watch::channel(Arc::new(LocalIdentity::new(&secret(1)))).1;
    let (events, mut told) = mpsc::channel(16);
    let alice = Network::new(own, events, AdmissionLimits::CLIENT);
    let listening = alice.listen(LOOPBACK).await.unwrap();
    let there: Endpoint = listening.local_addr().to_string().parse().unwrap();
    let server = Arc::new(LocalIdentity::new(&secret(9)));
    let (right, wrong) = (secret(1), secret(2));
    let here = dial_back(&there, right.identity(), &server, true).await;
    assert_eq!(here, Ok(()));
    let other = dial_back(&there, wrong.identity(), &server, true).await;
    assert_eq!(other, Err(ErrorCode::Unreachable));
    drop(listening);
    let gone = dial_back(&there, right.identity(), &server, true).await;
    assert_eq!(gone, Err(ErrorCode::Unreachable));
    assert!(told.try_recv().is_err(), "the server has not shown itself");
}

#[tokio::test]
async fn case_25_a_name_that_means_an_address_inside_is_not_dialled_back() {
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = Arc::new(LocalIdentity::new(&secret(9)));
    for host in ["localhost", "127.0.0.1"] {
        let there = Endpoint::new(host, port).unwrap();
        let refused = dial_back(&there, secret(1).identity(), &server, false).await;
        assert_eq!(refused, Err(ErrorCode::NotAllowed), "{host}");
    }
    assert_nobody_came(&listener).await;
}
