//! Somebody who does not keep to the protocol, and what is heard of a relay then.

use std::{net::SocketAddr, time::Duration};

use sremp_core::{
    channel::Message, error::ErrorCode, identity::SecretIdentity, relay::RelayMessage,
};
use sremp_relay::load::raw::RawConnection;
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::{
    peer::{Peer, envelope},
    relay::Relay,
};

/// The longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn connect(relay: &Relay) -> TcpStream {
    TcpStream::connect(relay.address()).await.unwrap()
}

/// From another address of this machine.
pub(crate) async fn connect_from(relay: &Relay, host: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let address = SocketAddr::from(([127, 0, 0, host], 0));
    socket.bind(address).unwrap();
    socket.connect(relay.address()).await.unwrap()
}

pub(crate) async fn shake(relay: &Relay, own: &SecretIdentity) -> RawConnection {
    let stream = connect(relay).await;
    let raw = RawConnection::shake(stream, own.noise_key()).await;
    raw.unwrap()
}

pub(crate) async fn open(relay: &Relay, own: &SecretIdentity) -> RawConnection {
    let stream = connect(relay).await;
    let raw = RawConnection::open(stream, own, relay.link().relay()).await;
    raw.unwrap()
}

/// Everything that is said until the stream ends.
pub(crate) async fn until_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    // a reset is an end, too
    let end = timeout(PATIENCE, stream.read_to_end(&mut said)).await;
    let _ = end.expect("the end in time");
    said
}

/// The plaintexts until the end.
pub(crate) async fn plaintexts(raw: &mut RawConnection) -> Vec<Vec<u8>> {
    let mut said = Vec::new();
    let all = async {
        while let Ok(Some(plaintext)) = raw.hear().await {
            said.push(plaintext);
        }
    };
    timeout(PATIENCE, all).await.expect("the end in time");
    said
}

/// One CLOSE with this code, and nothing else.
pub(crate) async fn assert_closed(raw: &mut RawConnection, code: ErrorCode, what: &str) {
    let close = [&[0x06], code.to_u16().to_le_bytes().as_slice()].concat();
    assert_eq!(plaintexts(raw).await, [close], "{what}");
}

pub(crate) async fn say(raw: &mut RawConnection, message: &Message) {
    // a relay that has closed does not take it
    let _ = raw.say(0x01, &message.encode()).await;
}

/// The next message.
pub(crate) async fn hear(raw: &mut RawConnection) -> RelayMessage {
    let heard = timeout(PATIENCE, raw.hear()).await.expect("in time");
    let plaintext = heard.unwrap().expect("no end");
    assert_eq!(plaintext[0], 0x01);
    RelayMessage::decode(&Message::decode(&plaintext[1..]).unwrap()).unwrap()
}

/// Lets time pass at once. What the relay does about it is waited for.
pub(crate) async fn skip(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Two who do nothing wrong: whatever happens to others, they get through.
pub(crate) struct Honest {
    ann: Peer,
    ben: Peer,
}

impl Honest {
    pub(crate) async fn at(relay: &Relay) -> Self {
        let mut ben = Peer::owner(relay.link()).await;
        ben.subscribe(sremp_core::relay::Cursor::START, 32).await;
        let ann = Peer::sender(relay.link()).await;
        Self { ann, ben }
    }

    /// A message from the sender to its reader, and its confirmation back.
    pub(crate) async fn exchange(&mut self) {
        let (ann, ben) = (&mut self.ann, &mut self.ben);
        let stored = ann.store(ben.key(), envelope()).await;
        assert!(crate::is_stored(&stored), "{stored:?}");
        let item = ben.item().await;
        let confirmation = ben.confirmation(&item);
        assert!(ben.confirm(vec![confirmation.clone()]).await.is_empty());
        assert_eq!(ann.confirmations().await, [confirmation]);
    }
}
