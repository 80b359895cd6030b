//! Contents, from `vectors/content.json`.

mod vectors;

use serde_json::Value;
use sremp_core::{
    constants::MAX_CONTENT,
    contact_card::{Endpoint, RelayHint},
    id::MsgId,
    identity::Identity,
    session::content::{
        Body, ContactRequest, Content, ContentError, ContentHash, ContentHead, ProfileUpdate,
        ResetReason, UnverifiedIdentity,
    },
    session::prekey::UnverifiedEnvelopeKey,
    signature::Signature,
    time::UnixMillis,
    wire::{
        bytes::Hex,
        codec::{decode_exact, encode},
    },
};
use vectors::{NOW, alice, hex, hex_n, list, load, number, person, text};

const OTHER: MsgId = MsgId::new([0xb2; 16]);

fn env(file: &Value) -> UnverifiedEnvelopeKey {
    let v = &file["env"];
    let wire = encode(&(
        number(v, "key_id") as u32,
        OfferedKey(hex_n(v, "public")),
        UnixMillis::new(number(v, "created")).unwrap(),
        UnixMillis::new(number(v, "expires")).unwrap(),
        Signature::new(hex_n(v, "signature")),
    ));
    decode_exact(&wire, 200).unwrap()
}

#[derive(serde::Serialize)]
#[serde(transparent)]
struct OfferedKey(#[serde(with = "serde_bytes")] [u8; 32]);

fn hints() -> Vec<RelayHint> {
    let hint = |seed, host, port, priority| RelayHint {
        relay: person(seed, "x").id(),
        endpoint: Endpoint::new(host, port).unwrap(),
        priority,
    };
    vec![
        hint(9, "relay.example", 33399, 0),
        hint(5, "10.0.0.7", 443, 1),
    ]
}

fn endpoints() -> Vec<Endpoint> {
    let endpoint = |host| Endpoint::new(host, 33400).unwrap();
    vec![endpoint("alice.example"), endpoint("2001:db8::7")]
}

/// The body that the vector of this name carries.
fn body(name: &str, file: &Value) -> Body {
    let identity = || UnverifiedIdentity::from(alice().identity());
    let text = |t: &str| t.to_owned();
    match name {
        "text" => Body::Text(text("Hello")),
        "text_first_of_all" => Body::Text(text("hé 😀")),
        "text_empty" => Body::Text(String::new()),
        "profile_update_full" => Body::ProfileUpdate(ProfileUpdate {
            rev: 5,
            identity: Some(identity()),
            relay_hints: Some(hints()),
            env: Some(env(file)),
            endpoints: Some(endpoints()),
        }),
        "profile_update_empty" => Body::ProfileUpdate(ProfileUpdate {
            rev: u64::MAX,
            ..ProfileUpdate::default()
        }),
        "profile_update_no_more_relays" => Body::ProfileUpdate(ProfileUpdate {
            rev: 6,
            relay_hints: Some(vec![]),
            endpoints: Some(vec![]),
            ..ProfileUpdate::default()
        }),
        "reset" => Body::Reset {
            reason: ResetReason::DESYNC,
            last_seq: 300,
        },
        "reset_of_a_reason_to_come" => Body::Reset {
            reason: ResetReason::new(200),
            last_seq: 0,
        },
        "contact_request" => Body::ContactRequest(ContactRequest {
            identity: identity(),
            relay_hints: hints(),
            text: text("Hi, it is me"),
            env: env(file),
            endpoints: endpoints(),
        }),
        "contact_accept" => Body::ContactAccept(ProfileUpdate {
            rev: 1,
            identity: None,
            relay_hints: Some(hints()[..1].to_vec()),
            env: Some(env(file)),
            endpoints: Some(endpoints()[..1].to_vec()),
        }),
        "edit" => Body::Edit {
            msg_id: OTHER,
            text: text("Hello!"),
        },
        "delete" => Body::Delete { msg_id: OTHER },
        "reply" => Body::Reply {
            msg_id: OTHER,
            text: text("Yes"),
        },
        "reaction" => Body::Reaction {
            msg_id: OTHER,
            reaction: text("👍🏽"),
        },
        "reaction_taken_back" => Body::Reaction {
            msg_id: OTHER,
            reaction: String::new(),
        },
        "timer" => Body::Timer { seconds: 604_800 },
        other => panic!("no body for {other}"),
    }
}

#[test]
fn every_content_has_the_bytes_of_the_vector() {
    let file = load("content");
    for v in list(&file, "accept") {
        let name = text(v, "name");
        let content = Content {
            msg_id: MsgId::new(hex_n(&file, "msg_id")),
            seq: number(v, "seq"),
            prev: ContentHash::new(hex_n(v, "prev")),
            sent: NOW,
            body: body(name, &file),
        };
        let bytes = content.encode().unwrap();
        assert_eq!(Hex(&bytes).to_string(), text(v, "bytes"), "{name}");
        assert_eq!(u64::from(content.body.content_type()), number(v, "type"));
        assert_eq!(ContentHash::of(&bytes).as_bytes(), &hex_n(v, "hash"));
        let read = Content::decode_exact(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(read == content, "{name}");
        let head = ContentHead::of(&bytes).unwrap();
        assert_eq!(
            (head.msg_id, head.seq, head.prev, head.sent),
            (read.msg_id, read.seq, read.prev, read.sent)
        );
    }
}

#[test]
fn an_identity_inside_a_content_is_the_exact_bytes_and_unverified() {
    let file = load("content");
    let offered = UnverifiedIdentity::from(alice().identity());
    assert_eq!(offered.verify().unwrap(), *alice().identity());
    assert_eq!(
        Identity::verify(&hex(&file, "identity")).unwrap(),
        *alice().identity()
    );
    let offer = env(&file);
    assert_eq!(encode(&offer)[..2], [0x95, 77]);
}

#[test]
fn types_to_come_and_reserved_types_are_placeholders_with_a_place_in_the_order() {
    let file = load("content");
    for v in list(&file, "unknown") {
        let name = text(v, "name");
        let content = Content::decode_exact(&hex(v, "bytes"));
        let content = content.unwrap_or_else(|e| panic!("{name}: {e}"));
        let content_type = u8::try_from(number(v, "type")).unwrap();
        assert_eq!(content.body.content_type(), content_type, "{name}");
        assert!(content.body == Body::Unknown(content_type), "{name}");
        assert_eq!((content.seq, content.msg_id.as_bytes()), (2, &[0xa1; 16]));
        assert_eq!(content.encode(), Err(ContentError::UnknownType));
    }
}

#[test]
fn contents_that_are_none_are_unreadable() {
    for v in list(&load("content"), "reject") {
        let name = text(v, "name");
        let error = Content::decode_exact(&hex(v, "bytes"));
        let error = error.err().unwrap_or_else(|| panic!("{name} was accepted"));
        let kind = match error {
            ContentError::Encoding(_) => "encoding",
            ContentError::Seq => "seq",
            ContentError::Limit => "limit",
            ContentError::UnknownType => "unknown_type",
        };
        assert_eq!(kind, text(v, "error"), "{name}: {error}");
    }
}

#[test]
fn an_unreadable_body_still_has_its_place_in_the_order() {
    let file = load("content");
    let named = |name| {
        let all = list(&file, "reject");
        hex(
            all.iter().find(|v| text(v, "name") == name).unwrap(),
            "bytes",
        )
    };
    for name in [
        "text_of_two",
        "edit_with_body_of_text",
        "reaction_of_33_bytes",
    ] {
        let head = ContentHead::of(&named(name)).unwrap();
        assert_eq!(
            (head.seq, head.prev),
            (2, ContentHash::new([0xc3; 16])),
            "{name}"
        );
    }
    for name in ["empty", "msg_id_of_15_bytes", "cut", "one_byte_too_long"] {
        assert!(ContentHead::of(&named(name)).is_err(), "{name}");
    }
}

fn content(body: Body) -> Content {
    Content {
        msg_id: MsgId::new([0xa1; 16]),
        seq: 2,
        prev: ContentHash::new([0xc3; 16]),
        sent: NOW,
        body,
    }
}

#[test]
fn what_nobody_would_read_is_not_encoded() {
    let largest = number(&load("content"), "largest_text") as usize;
    let text = |n| content(Body::Text("x".repeat(n))).encode();
    assert_eq!(text(largest).unwrap().len(), MAX_CONTENT);
    assert!(matches!(text(largest + 1), Err(ContentError::Encoding(_))));
    let reaction = |n| {
        let reaction = "x".repeat(n);
        content(Body::Reaction {
            msg_id: OTHER,
            reaction,
        })
        .encode()
    };
    assert!(reaction(32).is_ok());
    assert_eq!(reaction(33), Err(ContentError::Limit));
    let update = |relays: usize, ends: usize| {
        content(Body::ProfileUpdate(ProfileUpdate {
            relay_hints: Some(vec![hints()[0].clone(); relays]),
            endpoints: Some(vec![endpoints()[0].clone(); ends]),
            ..ProfileUpdate::default()
        }))
        .encode()
    };
    assert!(update(3, 4).is_ok());
    assert_eq!(update(4, 4), Err(ContentError::Limit));
    assert_eq!(update(3, 5), Err(ContentError::Limit));
    let mut first = content(Body::Delete { msg_id: OTHER });
    first.seq = 0;
    assert_eq!(first.encode(), Err(ContentError::Seq));
}

#[test]
fn a_content_never_prints_what_it_says() {
    let secret = "the plan is off";
    for body in [
        Body::Text(secret.into()),
        Body::Reply {
            msg_id: OTHER,
            text: secret.into(),
        },
    ] {
        let shown = format!("{:?}", content(body));
        assert!(!shown.contains("plan"), "{shown}");
        assert!(shown.contains("seq 2"), "{shown}");
    }
}
