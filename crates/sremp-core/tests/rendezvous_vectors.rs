//! Rendezvous messages and what is signed in them, from `vectors/rendezvous.json`.

mod vectors;

use std::time::Duration;

use serde_bytes::ByteBuf;
use serde_json::Value;
use sremp_core::{
    channel::{ErrorReply, Message},
    constants::MAX_RDV_REQUEST,
    contact_card::{Endpoint, RelayHint},
    id::IdentityKey,
    identity::SecretIdentity,
    rendezvous::{
        ExporterValue, ListServers, Lookup, LookupResponse, PageCursor, PeerInfo, Record,
        RecordDraft, RecordError, Register, RegisterResponse, RendezvousDecodeError,
        RendezvousMessage, Seq, ServerRecord, ServerRecordDraft, Servers, SignedServer, SpkiHash,
        Visibility, frame::FrameReader, proof,
    },
    signature::Signature,
    time::UnixMillis,
    wire::bytes::Hex,
};
use vectors::{NOW, alice, hex, hex_n, list, load, number, person, text};

const HOUR: Duration = Duration::from_secs(60 * 60);
const EXPORTER: ExporterValue = ExporterValue::new([0x44; 32]);
const SPKI: SpkiHash = SpkiHash::new([0x55; 32]);
const CURSOR: PageCursor = PageCursor::new([0x66; 32]);

fn bob() -> SecretIdentity {
    person(5, "bob")
}

fn server() -> SecretIdentity {
    person(9, "server")
}

fn key(of: &SecretIdentity) -> IdentityKey {
    of.id().into()
}

fn at(host: &str, port: u16) -> Endpoint {
    Endpoint::new(host, port).unwrap()
}

fn hint(of: &SecretIdentity, host: &str, port: u16, priority: u8) -> RelayHint {
    RelayHint {
        relay: of.id(),
        endpoint: at(host, port),
        priority,
    }
}

fn draft() -> RecordDraft {
    RecordDraft {
        seq: Seq::new(NOW.get()),
        endpoints: vec![at("alice.example", 33400), at("2001:db8::7", 443)],
        issued: NOW,
        ttl: HOUR,
        visibility: Visibility::Unlisted,
        relays: vec![],
    }
}

/// What a record of this name says.
fn meant_by(name: &str) -> RecordDraft {
    let (seq, ttl) = (Seq::new, Duration::from_secs);
    let none = vec![];
    match name {
        "plain" => draft(),
        "listed" => RecordDraft {
            visibility: Visibility::Listed,
            ..draft()
        },
        "tombstone" => RecordDraft {
            endpoints: none,
            seq: seq(NOW.get() + 1),
            ..draft()
        },
        "relays_only" => RecordDraft {
            endpoints: none,
            relays: vec![hint(&server(), "relay.example", 33399, 0)],
            ..draft()
        },
        "everything" => RecordDraft {
            endpoints: ["a", "b", "c", "d"]
                .map(|c| at(&format!("{c}.example"), 1))
                .to_vec(),
            relays: vec![
                hint(&server(), "0.example", 1, 0),
                hint(&bob(), "1.example", 1, 1),
                hint(&alice(), "2.example", 1, 2),
            ],
            visibility: Visibility::Listed,
            ..draft()
        },
        "shortest_life" => RecordDraft {
            ttl: ttl(60),
            ..draft()
        },
        "longest_life" => RecordDraft {
            ttl: ttl(24 * 60 * 60),
            ..draft()
        },
        "seq_0" => RecordDraft {
            seq: seq(0),
            ..draft()
        },
        _ => panic!("what {name} says is not written here"),
    }
}

fn record(of: &SecretIdentity, visibility: Visibility) -> Record {
    let draft = RecordDraft {
        visibility,
        ..draft()
    };
    Record::sign(of, draft).unwrap()
}

fn peer(
    of: &SecretIdentity,
    visibility: Visibility,
    presence: Option<(UnixMillis, bool)>,
) -> PeerInfo {
    let record = record(of, visibility);
    PeerInfo {
        identity: ByteBuf::from(of.identity().as_bytes()),
        record: ByteBuf::from(record.as_bytes()),
        record_sig: *record.signature(),
        last_seen: presence.map(|(at, _)| at),
        online: presence.map(|(_, online)| online),
    }
}

fn server_record(spki: Option<SpkiHash>) -> ServerRecord {
    let draft = ServerRecordDraft {
        endpoint: at("rdv.example", 443),
        spki,
        issued: NOW,
        ttl: 24 * 30 * HOUR,
    };
    ServerRecord::sign(&server(), draft).unwrap()
}

fn register_response(
    expires_at: UnixMillis,
    renewal_interval: u32,
    error_message: Option<&str>,
    error: Option<u16>,
) -> RendezvousMessage {
    RendezvousMessage::RegisterResponse(RegisterResponse {
        success: error.is_none(),
        expires_at,
        renewal_interval,
        error_message: error_message.map(str::to_owned),
        error,
    })
}

fn lookup(target: Option<IdentityKey>, cursor: Option<PageCursor>) -> RendezvousMessage {
    RendezvousMessage::Lookup(Lookup {
        target_identity: target,
        list_all: target.is_none(),
        cursor,
    })
}

fn found(peers: Vec<PeerInfo>, next: Option<PageCursor>) -> RendezvousMessage {
    RendezvousMessage::LookupResponse(LookupResponse {
        peers,
        error_message: None,
        next,
    })
}

fn servers(count: usize) -> RendezvousMessage {
    RendezvousMessage::Servers(Servers {
        servers: vec![SignedServer::from(&server_record(None)); count],
        timestamp: NOW,
    })
}

/// What a vector of this name says.
fn meant(name: &str) -> RendezvousMessage {
    let (listed, unlisted) = (Visibility::Listed, Visibility::Unlisted);
    let here = Some((NOW, true));
    match name {
        "register" => {
            let record = record(&alice(), unlisted);
            RendezvousMessage::Register(Register {
                identity: ByteBuf::from(alice().identity().as_bytes()),
                record: ByteBuf::from(record.as_bytes()),
                signature: *record.signature(),
                proof: proof::sign(&alice(), &EXPORTER, &record),
            })
        }
        "registered" => register_response(NOW.plus(HOUR), 1800, None, None),
        "not_registered" => {
            let why = Some("a newer record is known");
            register_response(UnixMillis::ZERO, 0, why, Some(0x0302))
        }
        "not_registered_without_words" => {
            register_response(UnixMillis::ZERO, 0, None, Some(0xffff))
        }
        "lookup" => lookup(Some(key(&alice())), None),
        "lookup_of_no_key" => lookup(Some(IdentityKey::new([0; 32])), None),
        "list" => lookup(None, None),
        "list_on" => lookup(None, Some(CURSOR)),
        "found" => found(vec![peer(&alice(), unlisted, None)], None),
        "not_found" => found(vec![], None),
        "page" => {
            let away = Some((UnixMillis::ZERO, false));
            let both = [peer(&alice(), listed, here), peer(&bob(), listed, away)];
            found(both.to_vec(), Some(CURSOR))
        }
        "page_of_20" => found(vec![peer(&alice(), listed, here); 20], None),
        "list_servers" => RendezvousMessage::ListServers(ListServers::default()),
        "list_servers_of_a_server" => RendezvousMessage::ListServers(ListServers {
            own: Some(SignedServer::from(&server_record(Some(SPKI)))),
        }),
        "servers_none" => servers(0),
        "servers_64" => servers(64),
        "address_request" => RendezvousMessage::AddressRequest,
        "address" => RendezvousMessage::AddressResponse {
            host: "192.0.2.7".into(),
        },
        "address_v6" => RendezvousMessage::AddressResponse {
            host: "2001:db8::7".into(),
        },
        "error" => RendezvousMessage::Error(ErrorReply {
            code: 0x0305,
            retry_after_s: 60,
            text: "slow down".into(),
        }),
        _ => panic!("what {name} says is not written here"),
    }
}

fn message(v: &Value) -> Message {
    Message::decode(&hex(v, "message")).unwrap()
}

fn signature(v: &Value, name: &str) -> Signature {
    Signature::new(hex_n(v, name))
}

#[test]
fn every_message_has_the_bytes_of_the_vector() {
    let file = load("rendezvous");
    let mut types = std::collections::BTreeSet::new();
    for v in list(&file, "accept") {
        let name = text(v, "name");
        let meant = meant(name);
        let wire = meant.to_message(number(&file, "req_id") as u32);
        assert_eq!(u64::from(wire.msg_type), number(v, "type"), "{name}");
        assert_eq!(
            Hex(&wire.encode()).to_string(),
            text(v, "message"),
            "{name}"
        );
        assert_eq!(RendezvousMessage::decode(&message(v)), Ok(meant), "{name}");
        types.insert(wire.msg_type);
    }
    assert_eq!(types.len(), 9, "every type has a vector");
}

#[test]
fn bodies_that_break_a_rule_are_none() {
    for v in list(&load("rendezvous"), "reject") {
        let decoded = RendezvousMessage::decode(&message(v));
        let malformed = Err(RendezvousDecodeError::Malformed);
        assert_eq!(decoded, malformed, "{}", text(v, "name"));
    }
}

#[test]
fn a_record_and_its_proof_are_signed_as_in_the_vector() {
    let file = load("rendezvous");
    for v in list(&file, "records") {
        let name = text(v, "name");
        let record = Record::sign(&alice(), meant_by(name)).unwrap();
        assert_eq!(
            Hex(record.as_bytes()).to_string(),
            text(v, "record"),
            "{name}"
        );
        assert_eq!(*record.signature(), signature(v, "record_sig"), "{name}");
        let verified = Record::verify(record.as_bytes(), record.signature(), &alice().id());
        assert_eq!(verified, Ok(record.clone()), "{name}");
        let proof = proof::sign(&alice(), &EXPORTER, &record);
        assert_eq!(proof, signature(v, "proof"), "{name}");
        assert_eq!(record.is_tombstone(), name == "tombstone");
    }
}

#[test]
fn a_record_that_breaks_a_rule_is_none_however_well_it_is_signed() {
    for v in list(&load("rendezvous"), "false_records") {
        let (bytes, by) = (hex(v, "record"), alice().id());
        let error = match text(v, "error") {
            "encoding" => RecordError::Encoding,
            "fields" => RecordError::Fields,
            other => panic!("{other}"),
        };
        let verdict = Record::verify(&bytes, &signature(v, "record_sig"), &by);
        assert_eq!(verdict, Err(error), "{}", text(v, "name"));
    }
}

#[test]
fn case_09_a_record_counts_under_its_own_label_and_signer_only() {
    let file = load("rendezvous");
    let (bytes, by) = (hex(&file, "record"), alice().id());
    for v in list(&file, "false_signatures") {
        let verdict = Record::verify(&bytes, &signature(v, "record_sig"), &by);
        assert_eq!(verdict, Err(RecordError::Signature), "{}", text(v, "name"));
    }
    let good = signature(&file, "record_sig");
    let of_another = Record::verify(&bytes, &good, &bob().id());
    assert_eq!(of_another, Err(RecordError::Signature));
}

#[test]
fn case_21_a_proof_is_good_for_one_connection_identity_and_record() {
    let file = load("rendezvous");
    let record = record(&alice(), Visibility::Unlisted);
    let holds = |proof: &Signature| {
        let identity = hex(&file, "identity");
        proof::verify(&alice().id(), &EXPORTER, &identity, &record, proof).is_ok()
    };
    for v in list(&file, "false_proofs") {
        assert!(!holds(&signature(v, "proof")), "{}", text(v, "name"));
    }
    assert!(holds(&signature(&file["records"][0], "proof")));
}

#[test]
fn a_server_record_is_signed_as_in_the_vector_and_counts_in_no_other_form() {
    let file = load("rendezvous");
    for v in list(&file, "server_records") {
        let record = match text(v, "name") {
            "by_name" => server_record(None),
            "pinned" => server_record(Some(SPKI)),
            _ => {
                let draft = ServerRecordDraft {
                    endpoint: at("192.0.2.7", 33400),
                    spki: Some(SPKI),
                    issued: NOW,
                    ttl: Duration::from_millis(1),
                };
                ServerRecord::sign(&server(), draft).unwrap()
            }
        };
        assert_eq!(record.as_bytes(), hex(v, "record"), "{}", text(v, "name"));
        assert_eq!(*record.signature(), signature(v, "signature"));
        let verified = ServerRecord::verify(record.as_bytes(), record.signature());
        assert_eq!(verified, Ok(record));
    }
    for v in list(&file, "false_server_records") {
        let verdict = ServerRecord::verify(&hex(v, "record"), &signature(v, "signature"));
        let error = match text(v, "error") {
            "encoding" => RecordError::Encoding,
            "signature" => RecordError::Signature,
            _ => RecordError::Fields,
        };
        assert_eq!(verdict, Err(error), "{}", text(v, "name"));
    }
}

#[test]
fn a_frame_is_its_length_and_the_message() {
    let mut reader = FrameReader::new(MAX_RDV_REQUEST);
    reader.push(&hex(&load("rendezvous"), "frame"));
    let message = reader.next_message().unwrap().unwrap();
    let decoded = RendezvousMessage::decode(&message);
    assert_eq!(decoded, Ok(RendezvousMessage::AddressRequest));
}

#[test]
fn the_examples_of_the_chapter_are_what_this_implementation_makes() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/protocol/examples.json"
    );
    let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let example = &all["05-rendezvous"];
    let shown = |name: &str| text(example, name).to_owned();
    let hexed = |bytes: &[u8]| Hex(bytes).to_string();
    let framed = |message: &RendezvousMessage, req_id| {
        let bytes = sremp_core::rendezvous::frame::encode(&message.to_message(req_id));
        hexed(&bytes)
    };
    let here = RecordDraft {
        endpoints: vec![at("alice.example", 33400)],
        ..draft()
    };
    let record = Record::sign(&alice(), here).unwrap();
    assert_eq!(hexed(record.as_bytes()), shown("record"));
    assert_eq!(hexed(record.signature().as_bytes()), shown("record_sig"));
    let proof = proof::sign(&alice(), &EXPORTER, &record);
    assert_eq!(hexed(proof.as_bytes()), shown("proof"));
    let register = RendezvousMessage::Register(Register {
        identity: ByteBuf::from(alice().identity().as_bytes()),
        record: ByteBuf::from(record.as_bytes()),
        signature: *record.signature(),
        proof,
    });
    assert_eq!(framed(&register, 1), shown("register"));
    let registered = RendezvousMessage::RegisterResponse(RegisterResponse::registered(&record));
    assert_eq!(framed(&registered, 1), shown("registered"));
    let refused = register_response(UnixMillis::ZERO, 0, None, Some(0x0302));
    assert_eq!(framed(&refused, 1), shown("refused"));
    assert_eq!(
        framed(&lookup(Some(key(&alice())), None), 2),
        shown("lookup")
    );
    let peer = PeerInfo {
        record: ByteBuf::from(record.as_bytes()),
        record_sig: *record.signature(),
        ..peer(&alice(), Visibility::Unlisted, None)
    };
    assert_eq!(framed(&found(vec![peer], None), 2), shown("found"));
    assert_eq!(framed(&found(vec![], None), 2), shown("not_found"));
    let gone = RecordDraft {
        seq: Seq::new(NOW.get() + 1),
        issued: UnixMillis::saturating(NOW.get() + 1),
        endpoints: vec![],
        ..draft()
    };
    let gone = Record::sign(&alice(), gone).unwrap();
    assert_eq!(hexed(gone.as_bytes()), shown("tombstone"));
    assert_eq!(hexed(gone.signature().as_bytes()), shown("tombstone_sig"));
    let server_record = server_record(Some(SPKI));
    assert_eq!(hexed(server_record.as_bytes()), shown("server_record"));
    assert_eq!(
        hexed(server_record.signature().as_bytes()),
        shown("server_record_sig")
    );
    let link = sremp_core::rendezvous::RendezvousLink {
        server: server().id(),
        endpoint: at("rdv.example", 443),
        spki: Some(SPKI),
    };
    assert_eq!(link.to_string(), shown("link"));
}
