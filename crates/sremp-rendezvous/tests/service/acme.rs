//! Certificates from an authority.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use sremp_net::tls::{ConnectError, Trust, connect};
use sremp_rendezvous::{
    home::RendezvousHome,
    operate,
    run::{Running, start},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{authority::Authority, challenge::shown, world::until};

/// A server of `localhost` and another name whose certificate an authority gives.
struct World {
    _dir: tempfile::TempDir,
    home: RendezvousHome,
    port: u16,
    authority: Authority,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = own_port().await;
        let authority = Authority::start(port).await;
        let settings = authority.settings(dir.path(), &["localhost", "rdv.example"]);
        let config = format!(
            "listen = \"127.0.0.1:{port}\"\nadvertise = \"localhost:{port}\"\n\
             operations = \"127.0.0.1:0\"\n[connections]\nnew_per_address_at_once = 100\n{settings}"
        );
        let home = RendezvousHome::at(dir.path().join("rendezvous"));
        let link = operate::init(&home, &config).unwrap();
        assert_eq!(link.spki, None);
        Self {
            _dir: dir,
            home,
            port,
            authority,
        }
    }

    async fn start(&self) -> Running {
        start(&self.home, false).await.unwrap()
    }

    /// By its name, as who trusts the authority.
    async fn connect(&self, to: &Running) -> Result<(), ConnectError> {
        let trust = Trust::Authorities(vec![self.authority.root()]);
        let connected = connect(&to.link().endpoint, &trust, false).await;
        connected.map(|_| ())
    }
}

/// A port that nobody else takes while the server restarts: below those that systems give out, and
/// another for each process and test.
async fn own_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 10_000).unwrap() + 20_000;
    loop {
        let port = first + TAKEN.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).await.is_ok() {
            return port;
        }
    }
}

/// A port at which nobody listens.
async fn free_port() -> u16 {
    let bound = TcpListener::bind("127.0.0.1:0").await.unwrap();
    bound.local_addr().unwrap().port()
}

/// What `/healthz` or `/readyz` says.
async fn says(server: &Running, page: &str) -> bool {
    let at = server.operations_addr().unwrap();
    let mut stream = TcpStream::connect(at).await.unwrap();
    let request = format!("GET /{page} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.starts_with("HTTP/1.1 200")
}

fn counted(server: &Running, outcome: &str) -> u64 {
    let line = format!("sremp_rendezvous_certificates_total{{outcome=\"{outcome}\"}} ");
    let text = server.metrics();
    let found = text
        .lines()
        .find_map(|l| l.strip_prefix(&line)?.parse().ok());
    found.unwrap_or(0)
}

async fn until_counted(server: &Running, outcome: &str, count: u64) {
    until(outcome, || counted(server, outcome) >= count).await;
}

async fn until_ready(server: &Running) {
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        while !says(server, "readyz").await {}
    });
    waited.await.expect("it is ready");
}

/// Lets the clock of the server go on.
async fn minutes_later(minutes: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(60 * minutes)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_certificate_is_got_from_an_authority_and_used_again_after_a_restart() {
    let world = World::new().await;
    let server = world.start().await;
    until_ready(&server).await;
    assert_eq!(counted(&server, "obtained"), 1);
    assert_eq!(counted(&server, "failed"), 0);
    assert_eq!(world.connect(&server).await, Ok(()));
    assert_eq!(server.link().spki, None);
    let contacts = world.authority.contacts();
    assert_eq!(
        contacts,
        [serde_json::json!(["mailto:operator@rdv.example"])]
    );
    for file in ["acme-account", "acme-certificate"] {
        let path = world.home.path().join(file);
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file}");
    }
    let late = shown(world.port, "localhost").await;
    assert!(late.is_err(), "no challenge is pending");
    server.shutdown().await;

    let asked = world.authority.requests();
    let server = world.start().await;
    assert!(says(&server, "readyz").await);
    assert_eq!(world.connect(&server).await, Ok(()));
    minutes_later(1).await;
    assert!(says(&server, "readyz").await);
    server.shutdown().await;
    assert_eq!(world.authority.requests(), asked);
    assert_eq!(world.authority.signed(), 1);
}

#[tokio::test]
async fn an_authority_that_gives_none_is_asked_again_and_the_server_is_not_ready_before() {
    let world = World::new().await;
    world.authority.refuse(true);
    let server = world.start().await;
    until_counted(&server, "failed", 1).await;
    assert!(says(&server, "healthz").await);
    assert!(!says(&server, "readyz").await);
    let early = world.connect(&server).await;
    assert_eq!(early, Err(ConnectError::NoCommonProtocol));

    // it looks for the name, and finds somebody else or nobody
    world.authority.refuse(false);
    world.authority.look_at(free_port().await);
    minutes_later(7).await;
    until_counted(&server, "failed", 2).await;
    assert!(!says(&server, "readyz").await);

    world.authority.look_at(world.port);
    minutes_later(13).await;
    until_counted(&server, "obtained", 1).await;
    until_ready(&server).await;
    assert_eq!(world.connect(&server).await, Ok(()));
}

#[tokio::test]
async fn a_certificate_is_renewed_before_it_ends_and_shown_until_then() {
    let world = World::new().await;
    world.authority.give(60, 1);
    let server = world.start().await;
    until_ready(&server).await;
    server.shutdown().await;

    // as staging authorities do
    world.authority.forget();
    world.authority.give(1, 89);
    let server = world.start().await;
    assert!(says(&server, "readyz").await);
    until_counted(&server, "failed", 1).await;
    assert!(says(&server, "readyz").await);
    assert_eq!(world.connect(&server).await, Ok(()));
    minutes_later(7).await;
    until_counted(&server, "obtained", 1).await;
    assert_eq!(world.connect(&server).await, Ok(()));
    server.shutdown().await;

    let asked = world.authority.requests();
    let server = world.start().await;
    minutes_later(1).await;
    assert_eq!(world.connect(&server).await, Ok(()));
    server.shutdown().await;
    assert_eq!(world.authority.requests(), asked);
}

#[tokio::test]
async fn a_server_whose_certificate_has_ended_is_not_ready() {
    let world = World::new().await;
    world.authority.give(90, -1);
    let server = world.start().await;
    until_counted(&server, "obtained", 1).await;
    assert!(!says(&server, "readyz").await);
    server.shutdown().await;
    let server = world.start().await;
    assert!(!says(&server, "readyz").await);
    assert_eq!(
        world.connect(&server).await,
        Err(ConnectError::NotTheServer)
    );
}
