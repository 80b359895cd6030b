//! The messages of rendezvous servers, their frames, what is signed, and the machines of both sides.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::OnceLock,
    time::Duration,
};

use sremp_core::{
    channel::{Message, TooManyRequests},
    constants::{MAX_PAGE, MAX_RDV_REQUEST, MAX_RECORD, MAX_SERVER_RECORD},
    identity::{SecretIdentity, Username},
    key::NoiseSecret,
    rendezvous::{
        Directory, Entry, ExporterValue, PageCursor, Place, Record, RecordDraft, RendezvousClient,
        RendezvousEvent, RendezvousLink, RendezvousMessage, Request, Seq, ServerConnection,
        ServerRecord, Visibility,
        address::is_public,
        frame::{FrameReader, encode},
    },
    time::UnixMillis,
};

use super::input::Input;

const NOW: UnixMillis = UnixMillis::saturating(1_760_000_000_000);
const EXPORTER: ExporterValue = ExporterValue::new([4; 32]);

fn client() -> &'static SecretIdentity {
    static CLIENT: OnceLock<SecretIdentity> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let name = Username::parse("somebody").expect("a name");
        SecretIdentity::from_keys(&[1; 32], NoiseSecret::from_bytes(&[2; 32]), &name, NOW)
    })
}

fn record() -> Record {
    let draft = RecordDraft {
        seq: Seq::new(5),
        endpoints: vec!["a.example:33399".parse().expect("an endpoint")],
        issued: NOW,
        ttl: Duration::from_secs(3600),
        visibility: Visibility::Listed,
        relays: vec![],
    };
    Record::sign(client(), draft).expect("a record")
}

/// Any MSG as a message of the chapter: what decodes is what encodes to it.
pub fn rendezvous_message(data: &[u8]) {
    let Ok(message) = Message::decode(data) else {
        return;
    };
    let Ok(decoded) = RendezvousMessage::decode(&message) else {
        return;
    };
    assert_eq!(decoded.to_message(message.req_id), message);
    match decoded {
        RendezvousMessage::LookupResponse(response) => assert!(response.peers.len() <= MAX_PAGE),
        RendezvousMessage::RegisterResponse(response) => {
            assert_eq!(response.success, response.error.is_none());
        }
        _ => {}
    }
}

/// A stream in pieces: what comes out of it is what it is made of, wherever it is cut.
pub fn rendezvous_frame(data: &[u8]) {
    let (mut whole, mut pieces) = (
        FrameReader::new(MAX_RDV_REQUEST),
        FrameReader::new(MAX_RDV_REQUEST),
    );
    let Some((step, stream)) = data.split_first() else {
        return;
    };
    let (mut first, mut made) = (Vec::new(), Vec::new());
    whole.push(stream);
    let end = loop {
        match whole.next_message() {
            Ok(Some(message)) => {
                made.extend(encode(&message));
                first.push(message);
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    assert!(stream.starts_with(&made));
    let mut second = Vec::new();
    for piece in stream.chunks(usize::from(*step).max(1)) {
        pieces.push(piece);
        loop {
            match pieces.next_message() {
                Ok(Some(message)) => second.push(message),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!((Some(error), &second), (end, &first));
                    return;
                }
            }
        }
    }
    assert_eq!((None, second), (end, first));
}

/// Any bytes, well signed, as a RECORD, a SERVER_RECORD and a link: what is one has one encoding,
/// and says nothing that none may say.
pub fn rendezvous_record(data: &[u8]) {
    use sremp_core::signature::SignatureLabel::{RdvRecord, ServerRecord as Server};
    let own = client().id();
    if let Ok(record) = Record::verify(data, &client().sign(RdvRecord, data), &own) {
        assert!(data.len() <= MAX_RECORD && record.as_bytes() == data);
        assert!(record.endpoints().len() <= 4 && record.relays().len() <= 3);
        let ttl = record.ttl().as_secs();
        assert!(record.owner() == own && (60..=86_400).contains(&ttl));
        assert!(Record::verify(data, &client().sign(Server, data), &own).is_err());
    }
    if let Ok(record) = ServerRecord::verify(data, &client().sign(Server, data)) {
        assert!(data.len() <= MAX_SERVER_RECORD && record.as_bytes() == data);
        assert!(record.server() == own);
    }
    if let Ok(Ok(link)) = std::str::from_utf8(data).map(str::parse::<RendezvousLink>) {
        assert_eq!(link.to_string().parse(), Ok(link));
    }
}

/// A message of the script: a type, then a body.
fn next(input: &mut Input<'_>) -> Option<Message> {
    Some(Message {
        msg_type: input.u16()?,
        req_id: input.byte()?.into(),
        body: input.piece()?.to_vec(),
    })
}

/// Messages to a server with one registration, by a connection that has registered if the first byte
/// says so. Nobody registers without a proof for this connection.
pub fn rendezvous_server(data: &[u8]) {
    let mut input = Input(data);
    let mut connection = ServerConnection::new(EXPORTER);
    let mut directory = Directory::new(2, [5; 32]);
    let own = record();
    let identity = client().identity().as_bytes();
    let entry = Entry::restored(identity, own.as_bytes(), *own.signature(), NOW).expect("an entry");
    directory.put(entry).expect("room");
    let mut machine = RendezvousClient::new(EXPORTER);
    let message = machine.register(client(), &own).expect("one of 16");
    if input.byte().is_some_and(|first| first % 2 == 1) {
        let Ok(Request::Register(register)) = connection.handle(&message, NOW) else {
            panic!("a registration");
        };
        connection.registered(&connection.check(&register, NOW).expect("signed"));
    }
    while let Some(message) = next(&mut input) {
        match connection.handle(&message, NOW) {
            Ok(Request::Register(register)) => {
                if let Ok(registration) = connection.check(&register, NOW) {
                    assert_eq!(registration.identity().id(), client().id());
                    let source = IpAddr::V4(Ipv4Addr::LOCALHOST);
                    for back in registration.to_dial_back(source, false).unwrap_or_default() {
                        let at = |ip| is_public(&SocketAddr::new(ip, back.port()));
                        assert!(back.ip().is_none_or(at));
                    }
                }
            }
            Ok(Request::Page(cursor)) => {
                assert!(connection.registered_as().is_some());
                let page = directory.page(cursor.as_ref(), Place::new([9; 16]), NOW);
                assert!(page.peers.len() <= 1);
            }
            Ok(Request::Lookup(key)) => {
                let is_own = key == client().id().into();
                assert_eq!(directory.lookup(&key, NOW).is_some(), is_own);
            }
            Ok(Request::Servers(_) | Request::Address) | Err(_) => {}
        }
    }
}

/// A client that has asked for everything once: `req_id` 1 to 5.
fn asking() -> Result<RendezvousClient, TooManyRequests> {
    let mut machine = RendezvousClient::new(EXPORTER);
    machine.register(client(), &record())?;
    machine.lookup(client().id(), Some(Seq::new(5)))?;
    machine.page(Some(PageCursor::new([6; 32])))?;
    machine.servers(None)?;
    assert_eq!(machine.address()?.req_id, 5);
    Ok(machine)
}

/// Messages of a server to a client that waits for five answers. Each is given at most once, and
/// nobody is believed to be who has not signed.
pub fn rendezvous_client(data: &[u8]) {
    let (mut machine, mut input) = (asking().expect("five of 16"), Input(data));
    let mut open = machine.open_requests();
    while let Some(message) = next(&mut input) {
        match machine.handle(&message, NOW) {
            Err(_) => return,
            Ok(Some(RendezvousEvent::Found { peer, .. })) => {
                assert_eq!(peer.identity.id(), client().id());
                assert!(peer.record.seq() >= Seq::new(5) && peer.record.holds_at(NOW));
            }
            Ok(Some(RendezvousEvent::Page { peers, next, .. })) => {
                assert!(peers.len() <= MAX_PAGE && next != Some(PageCursor::new([6; 32])));
                let listed = |record: &Record| record.visibility() == Visibility::Listed;
                assert!(peers.iter().all(|peer| listed(&peer.record)));
            }
            Ok(_) => {}
        }
        assert!(machine.open_requests() <= open);
        open = machine.open_requests();
    }
}
