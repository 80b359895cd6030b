//! A server without a socket, its clients, and what each of them saw.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use sremp_core::{
    channel::Message,
    constants::{MAX_RDV_REQUEST, MAX_RDV_RESPONSE},
    contact_card::Endpoint,
    error::ErrorCode,
    identity::{SecretIdentity, Username},
    key::NoiseSecret,
    rendezvous::{
        Directory, Entry, ExporterValue, LookupResponse, Place, Record, RecordDraft, Refusal,
        RegisterResponse, RendezvousClient, RendezvousEvent, RendezvousMessage, Request, Seq,
        ServerConnection, ServerRecord, ServerRecordDraft, Servers, SignedServer, Verdict,
        Visibility,
        frame::{FrameReader, encode},
    },
    time::UnixMillis,
};

pub(crate) const NOW: UnixMillis = UnixMillis::saturating(1_760_000_000_000);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
/// From where every client comes.
pub(crate) const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(9, 9, 9, 9));

pub(crate) fn person(seed: u16) -> SecretIdentity {
    let name = Username::parse("somebody").unwrap();
    let mut key = [7; 32];
    key[..2].copy_from_slice(&seed.to_le_bytes());
    SecretIdentity::from_keys(&key, NoiseSecret::from_bytes(&[7; 32]), &name, NOW)
}

pub(crate) fn exporter(n: u8) -> ExporterValue {
    ExporterValue::new([n; 32])
}

pub(crate) fn draft(seq: u64) -> RecordDraft {
    RecordDraft {
        seq: Seq::new(seq),
        endpoints: vec!["9.9.9.9:33399".parse().unwrap()],
        issued: NOW,
        ttl: HOUR,
        visibility: Visibility::Unlisted,
        relays: vec![],
    }
}

pub(crate) fn record(of: &SecretIdentity, seq: u64) -> Record {
    Record::sign(of, draft(seq)).unwrap()
}

pub(crate) fn listed(of: &SecretIdentity, seq: u64) -> Record {
    let draft = RecordDraft {
        visibility: Visibility::Listed,
        ..draft(seq)
    };
    Record::sign(of, draft).unwrap()
}

pub(crate) fn tombstone(of: &SecretIdentity, seq: u64) -> Record {
    let draft = RecordDraft {
        endpoints: vec![],
        ..draft(seq)
    };
    Record::sign(of, draft).unwrap()
}

/// What is kept of a registration whose signatures hold.
pub(crate) fn entry(of: &SecretIdentity, record: &Record) -> Entry {
    let (identity, signature) = (of.identity().as_bytes(), *record.signature());
    Entry::restored(identity, record.as_bytes(), signature, NOW).unwrap()
}

pub(crate) fn server_record(seed: u16, at: &str, issued: UnixMillis) -> ServerRecord {
    let draft = ServerRecordDraft {
        endpoint: at.parse().unwrap(),
        spki: None,
        issued,
        ttl: 24 * HOUR,
    };
    ServerRecord::sign(&person(seed), draft).unwrap()
}

/// The service and its directory, without IO.
pub(crate) struct Server {
    pub(crate) directory: Directory,
    pub(crate) known: Vec<ServerRecord>,
    pub(crate) now: UnixMillis,
    /// Endpoints that were dialled back.
    pub(crate) dialled: Vec<Endpoint>,
}

/// A connection as the server holds it.
pub(crate) struct Conn {
    pub(crate) machine: ServerConnection,
    reader: FrameReader,
    pub(crate) closed: Option<ErrorCode>,
}

impl Conn {
    pub(crate) fn new(n: u8) -> Self {
        Self {
            machine: ServerConnection::new(exporter(n)),
            reader: FrameReader::new(MAX_RDV_REQUEST),
            closed: None,
        }
    }
}

impl Server {
    pub(crate) fn new() -> Self {
        Self {
            directory: Directory::new(10_000, [3; 32]),
            known: vec![],
            now: NOW,
            dialled: vec![],
        }
    }

    /// Answers to what comes over the wire, as frames.
    pub(crate) fn answer(&mut self, conn: &mut Conn, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        conn.reader.push(bytes);
        while conn.closed.is_none() {
            match conn.reader.next_message() {
                Ok(None) => break,
                Ok(Some(message)) => out.extend(self.answer_one(conn, &message)),
                Err(_) => conn.closed = Some(ErrorCode::ProtocolViolation),
            }
        }
        out
    }

    fn answer_one(&mut self, conn: &mut Conn, message: &Message) -> Vec<u8> {
        let answer = match conn.machine.handle(message, self.now) {
            Ok(request) => self.serve(conn, request),
            Err(Refusal::Reply(error)) => RendezvousMessage::Error(error),
            Err(Refusal::Ignore) => return vec![],
            Err(Refusal::Close(code)) => {
                conn.closed = Some(code);
                return encode(&RendezvousMessage::Error(code.into()).to_message(0));
            }
        };
        encode(&answer.to_message(message.req_id))
    }

    fn serve(&mut self, conn: &mut Conn, request: Request) -> RendezvousMessage {
        match request {
            Request::Register(register) => {
                let registered = conn.machine.check(&register, self.now);
                let kept = registered.and_then(|registration| {
                    let back = registration.to_dial_back(SOURCE, false)?;
                    self.dialled.extend(back);
                    self.directory.put(Entry::new(&registration, self.now))?;
                    Ok(registration)
                });
                RendezvousMessage::RegisterResponse(match kept {
                    Ok(registration) => {
                        conn.machine.registered(&registration);
                        RegisterResponse::registered(registration.record())
                    }
                    Err(code) => RegisterResponse::refused(code, ""),
                })
            }
            Request::Lookup(key) => RendezvousMessage::LookupResponse(LookupResponse {
                peers: self.directory.lookup(&key, self.now).into_iter().collect(),
                ..LookupResponse::default()
            }),
            Request::Page(cursor) => {
                let page = self.directory.page(cursor.as_ref(), START, self.now);
                RendezvousMessage::LookupResponse(LookupResponse {
                    peers: page.peers,
                    error_message: None,
                    next: page.next,
                })
            }
            Request::Servers(own) => {
                self.known.extend(own.map(|own| *own));
                RendezvousMessage::Servers(Servers {
                    servers: self.known.iter().map(SignedServer::from).collect(),
                    timestamp: self.now,
                })
            }
            Request::Address => RendezvousMessage::AddressResponse {
                host: SOURCE.to_string(),
            },
        }
    }
}

/// Where walks begin here.
pub(crate) const START: Place = Place::new([0x80; 16]);

/// A client and its connection to the server.
pub(crate) struct Client {
    pub(crate) secret: SecretIdentity,
    pub(crate) machine: RendezvousClient,
    pub(crate) conn: Conn,
}

impl Client {
    pub(crate) fn connected(seed: u16, connection: u8) -> Self {
        Self {
            secret: person(seed),
            machine: RendezvousClient::new(exporter(connection)),
            conn: Conn::new(connection),
        }
    }

    /// What comes of a message, over the wire both ways.
    pub(crate) fn ask(&mut self, server: &mut Server, message: &Message) -> RendezvousEvent {
        let answer = server.answer(&mut self.conn, &encode(message));
        let mut reader = FrameReader::new(MAX_RDV_RESPONSE);
        reader.push(&answer);
        let answer = reader.next_message().unwrap().expect("an answer");
        assert!(!reader.is_within(), "one answer");
        let event = self.machine.handle(&answer, server.now);
        event.unwrap().expect("an answer to something")
    }

    pub(crate) fn register(&mut self, server: &mut Server, record: &Record) -> RendezvousEvent {
        let register = self.machine.register(&self.secret, record).unwrap();
        self.ask(server, &register)
    }

    pub(crate) fn lookup(&mut self, server: &mut Server, whom: &SecretIdentity) -> RendezvousEvent {
        let lookup = self.machine.lookup(whom.id(), None).unwrap();
        self.ask(server, &lookup)
    }
}

pub(crate) fn refusal(event: &RendezvousEvent) -> Option<ErrorCode> {
    match event {
        RendezvousEvent::Refused { code, .. } => ErrorCode::from_u16(*code),
        _ => None,
    }
}

pub(crate) fn is_new(verdict: Result<Verdict, ErrorCode>) -> bool {
    matches!(verdict, Ok(Verdict::New | Verdict::Newer))
}
