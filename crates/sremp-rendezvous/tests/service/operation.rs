//! What an operator sees.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use sremp_net::{
    Endpoint,
    tls::{ConnectError, TlsClient, Trust, connect},
};
use sremp_rendezvous::{
    config::Config,
    home::{HomeError, RendezvousHome},
    operate,
    run::{RunError, Running, start},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::world::*;

#[tokio::test]
async fn metrics_health_and_readiness_are_served() {
    let server = Server::with("operations = \"127.0.0.1:0\"\nallow_private_addresses = true").await;
    server
        .client()
        .await
        .register(&person(1), &listed(&person(1), 5))
        .await;
    let at = server.running.operations_addr().unwrap();
    for (path, word) in [
        ("metrics", "sremp_rendezvous_registered_total 1"),
        ("healthz", "alive"),
        ("readyz", "ready"),
    ] {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let request = format!("GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.contains(word),
            "{answer}"
        );
    }
    let metrics = server.running.metrics();
    let key = person(1).id().to_string();
    assert!(
        !metrics.contains(&key[..8]) && !metrics.contains("127.0.0.1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_directory_is_made_once_for_its_owner_alone_and_served_by_one_process() {
    let server = Server::new().await;
    let home = server.home();
    for name in [
        "",
        "identity",
        "certificate",
        "rendezvous.toml",
        "directory.db",
    ] {
        let mode = fs::metadata(home.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
    let again = operate::init(&home, Config::DEFAULT);
    assert!(
        matches!(again, Err(RunError::Home(HomeError::Exists(..)))),
        "{again:?}"
    );
    let second = start(&home, false).await.map(|_| ());
    assert!(
        matches!(second, Err(RunError::Home(HomeError::InUse))),
        "{second:?}"
    );
    let nowhere = RendezvousHome::at(home.path().join("nowhere"));
    let error = start(&nowhere, false)
        .await
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(error.contains("sremp rendezvous init"), "{error}");
}

#[tokio::test]
async fn the_link_stays_the_same_over_a_restart_but_for_a_port_that_was_free() {
    let server = Server::new().await;
    let before = server.running.link().clone();
    let server = server.restarted().await;
    let after = server.running.link();
    assert_eq!((before.server, before.spki), (after.server, after.spki));
    assert_eq!(after.endpoint.port(), server.running.local_addr().port());
    let shown = operate::link_of(&server.home()).unwrap();
    assert_eq!((shown.server, shown.spki), (after.server, after.spki));
}

#[tokio::test]
async fn a_certificate_in_files_is_shown_without_a_pin_in_the_link() {
    let dir = tempfile::tempdir().unwrap();
    let home = RendezvousHome::at(dir.path().join("rendezvous"));
    let files = Files::in_directory(dir.path());
    let made = files.write(&MadeCertificate::new());
    let Files { chain, key } = &files;
    let config = format!(
        "listen = \"127.0.0.1:0\"\noperations = \"\"\n[certificate]\nchain = {chain:?}\nkey = {key:?}\n"
    );
    let link = operate::init(&home, &config).unwrap();
    assert_eq!(link.spki, None);
    let running = start(&home, false).await.unwrap();
    let connected = made.is_shown_by(&running).await;
    assert_eq!(connected, Ok(()));
    running.shutdown().await;
    fs::write(key, "nothing").unwrap();
    let error = start(&home, false)
        .await
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(error.contains("no private key"), "{error}");
}

#[tokio::test]
async fn a_certificate_that_is_replaced_is_shown_to_whoever_comes_and_a_broken_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let home = RendezvousHome::at(dir.path().join("rendezvous"));
    let files = Files::in_directory(dir.path());
    let first = files.write(&MadeCertificate::new());
    let Files { chain, key } = &files;
    let config = format!(
        "listen = \"127.0.0.1:0\"\noperations = \"\"\n[connections]\nnew_per_address_at_once = 100\n\
         [certificate]\nchain = {chain:?}\nkey = {key:?}\n"
    );
    operate::init(&home, &config).unwrap();
    let running = start(&home, false).await.unwrap();
    let counted = |outcome| {
        let line = format!("sremp_rendezvous_certificates_total{{outcome=\"{outcome}\"}} ");
        let text = running.metrics();
        let found = text
            .lines()
            .find_map(|l| l.strip_prefix(&line)?.parse::<u64>().ok());
        found.unwrap_or(0)
    };
    assert_eq!(first.is_shown_by(&running).await, Ok(()));

    // half of a renewal: the certificate is there, its key not yet
    let second = MadeCertificate::new();
    files.write_chain(&second);
    a_minute_later(|| counted("refused")).await;
    assert_eq!(first.is_shown_by(&running).await, Ok(()));
    files.write(&second);
    a_minute_later(|| counted("shown")).await;
    assert_eq!(second.is_shown_by(&running).await, Ok(()));
    assert_eq!(
        first.is_shown_by(&running).await,
        Err(ConnectError::NotTheServer)
    );

    fs::write(chain, "-----BEGIN CERTIFICATE-----\nnothing").unwrap();
    a_minute_later(|| counted("refused")).await;
    assert_eq!(second.is_shown_by(&running).await, Ok(()));
    fs::remove_file(key).unwrap();
    a_minute_later(|| counted("refused")).await;
    assert_eq!(second.is_shown_by(&running).await, Ok(()));
}

/// Lets the server's clock go on, and waits until this has been counted once more. How often is not
/// asked: the first look, at the start, may come as late.
async fn a_minute_later(counted: impl Fn() -> u64) {
    let before = counted();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(60)).await;
    tokio::time::resume();
    until("the server has looked", || counted() > before).await;
}

/// Where an operator's certificate lies.
struct Files {
    chain: PathBuf,
    key: PathBuf,
}

/// A certificate for `localhost`, and its key, both DER.
#[derive(Clone)]
struct MadeCertificate {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    fn in_directory(dir: &Path) -> Self {
        Self {
            chain: dir.join("chain.pem"),
            key: dir.join("key.pem"),
        }
    }

    fn write(&self, made: &MadeCertificate) -> MadeCertificate {
        fs::write(&self.key, pem("PRIVATE KEY", &made.key)).unwrap();
        self.write_chain(made);
        made.clone()
    }

    fn write_chain(&self, made: &MadeCertificate) {
        fs::write(&self.chain, pem("CERTIFICATE", &made.certificate)).unwrap();
    }
}

impl MadeCertificate {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        Self {
            certificate: made.cert.der().to_vec(),
            key: made.signing_key.serialize_der(),
        }
    }

    async fn connect(&self, to: &Running) -> Result<TlsClient, ConnectError> {
        let trust = Trust::Authorities(vec![self.certificate.clone()]);
        let there = Endpoint::new("localhost", to.local_addr().port()).unwrap();
        connect(&there, &trust, false).await
    }

    async fn is_shown_by(&self, server: &Running) -> Result<(), ConnectError> {
        self.connect(server).await.map(|_| ())
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = base64(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0u32, |word, b| word << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for n in 0..4 {
            let digit = ALPHABET[(word >> (18 - 6 * n)) as usize & 63];
            text.push(if n <= chunk.len() { digit.into() } else { '=' });
        }
    }
    text
}
