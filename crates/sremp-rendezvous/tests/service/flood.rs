//! Whoever does not even finish a handshake, or breaks the rules again and again: others go on.

use std::time::{Duration, Instant};

use sremp_core::{error::ErrorCode, rendezvous::RendezvousEvent};
use sremp_net::tls::{Trust, connect};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use super::world::*;

/// Another address of loopback, so that this is somebody else.
async fn from(n: u8, server: &Server) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, n], 0).into())?;
    socket.connect(server.running.local_addr()).await
}

fn ended(server: &Server, cause: &str) -> u64 {
    server.counted(&format!(
        "sremp_rendezvous_connections_ended_total{{cause=\"{cause}\"}}"
    ))
}

/// A ClientHello of TLS 1.3 as our own client sends it, cut out of a connection.
async fn client_hello() -> Vec<u8> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let dialling = tokio::spawn(async move {
        let endpoint = at.to_string().parse().unwrap();
        let _ = connect(&endpoint, &Trust::Name, false).await;
    });
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut hello = vec![0; 2_048];
    let read = stream.read(&mut hello).await.unwrap();
    hello.truncate(read);
    dialling.abort();
    hello
}

#[tokio::test]
async fn case_05_half_handshakes_and_a_flood_leave_the_lookups_of_others_answered() {
    let server = Server::new().await;
    let alice = person(1);
    let mut client = server.client().await;
    client
        .register(&alice, &record(&alice, 5, &["127.0.0.1:33399"]))
        .await;
    let hello = client_hello().await;
    let mut held = Vec::new();
    for n in 2..40 {
        for round in 0..20 {
            let Ok(mut stream) = from(n, &server).await else {
                continue;
            };
            // silent, half a hello, a whole one and nothing more, garbage
            let said = match round % 4 {
                0 => &[][..],
                1 => &hello[..hello.len() / 2],
                2 => &hello[..],
                _ => &b"GET / HTTP/1.1\r\n\r\n"[..],
            };
            let _ = stream.write_all(said).await;
            held.push(stream);
        }
        let began = Instant::now();
        let found = client.lookup(&alice).await;
        assert!(matches!(found, RendezvousEvent::Found { .. }), "{found:?}");
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "{:?}",
            began.elapsed()
        );
    }
    let refused = "half-open connections of one address";
    until("the flood is refused", || {
        ended(&server, refused) + ended(&server, "connections of one address per minute") >= 38 * 4
    })
    .await;
    until("garbage is no handshake", || {
        ended(&server, "HANDSHAKE_FAILED") > 0
    })
    .await;
    // somebody new comes in beside them
    let mut other = server.client().await;
    let found = other.lookup(&alice).await;
    assert!(matches!(found, RendezvousEvent::Found { .. }), "{found:?}");
}

#[tokio::test]
async fn case_05_a_handshake_that_drips_is_given_up_in_time() {
    let server = Server::new().await;
    let hello = client_hello().await;
    let mut slow = from(2, &server).await.unwrap();
    for byte in &hello[..hello.len() / 2] {
        slow.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    // who comes later is accepted later
    let after = server.client().await;
    assert_eq!(ended(&server, "TIMEOUT"), 0);
    drop(after);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(15)).await;
    tokio::time::resume();
    slow.write_all(&hello[..1]).await.unwrap();
    until("it is given up", || ended(&server, "TIMEOUT") == 1).await;
}

#[tokio::test]
async fn somebody_who_breaks_the_rules_eight_times_is_not_let_in_and_others_are() {
    let server = Server::with(
        "allow_private_addresses = true\n[connections]\nnew_per_address_at_once = 100\n",
    )
    .await;
    for n in 0..8 {
        let mut client = server.client().await;
        let mut bad = client.machine.address().unwrap();
        bad.body = vec![0x91, 0xc0];
        client.tls.send(&bad).await.unwrap();
        let last = client.tls.next().await.unwrap();
        let verdict = client.machine.handle(&last, now());
        assert_eq!(verdict, Err(ErrorCode::ProtocolViolation), "{n}");
        assert!(client.tls.next().await.is_err());
    }
    until("they are counted", || {
        ended(&server, "PROTOCOL_VIOLATION") == 8
    })
    .await;
    let link = server.running.link();
    let trust = Trust::Pin(link.spki.unwrap());
    let refused = connect(&link.endpoint, &trust, false).await;
    assert!(refused.is_err());
    assert_eq!(ended(&server, "banned address"), 1);
    // somebody else gets as far as an answer to garbage: an alert
    let mut other = from(9, &server).await.unwrap();
    other.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut alert = Vec::new();
    let _ = other.read_to_end(&mut alert).await;
    assert_eq!(alert.first(), Some(&21));
}

#[tokio::test]
async fn one_address_takes_no_more_than_its_places_and_gives_them_back() {
    let server =
        Server::with("allow_private_addresses = true\n[connections]\nopen_per_address = 2\n").await;
    let (one, _two) = (server.client().await, server.client().await);
    let link = server.running.link();
    let trust = Trust::Pin(link.spki.unwrap());
    // the handshake is done before it is known that there is no room
    let mut third = connect(&link.endpoint, &trust, false).await.unwrap();
    assert!(third.next().await.is_err());
    let cause = "open connections of one address";
    until("it is counted", || ended(&server, cause) == 1).await;
    one.tls.close().await;
    until("there is room", || {
        ended(&server, "closed by the peer") == 1
    })
    .await;
    let mut client = server.client().await;
    let answer = client.lookup(&person(1)).await;
    assert!(
        matches!(answer, RendezvousEvent::NotFound { .. }),
        "{answer:?}"
    );
}

#[tokio::test]
async fn those_who_come_too_often_wait_for_their_turn_and_are_then_refused() {
    let server = Server::with(
        "allow_private_addresses = true\n[connections]\nnew_per_address_and_minute = 120\nnew_per_address_at_once = 2\n",
    )
    .await;
    let began = Instant::now();
    for _ in 0..3 {
        server.client().await;
    }
    assert!(
        began.elapsed() >= Duration::from_millis(400),
        "the third waits"
    );
    let link = server.running.link();
    let trust = Trust::Pin(link.spki.unwrap());
    let mut many = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let (link, trust) = (link.clone(), trust.clone());
        many.spawn(async move { connect(&link.endpoint, &trust, false).await.is_err() });
    }
    let refused = many.join_all().await.into_iter().filter(|refused| *refused);
    let refused = refused.count() as u64;
    assert!((6..=9).contains(&refused), "{refused}");
    assert_eq!(
        ended(&server, "connections of one address per minute"),
        refused
    );
}
