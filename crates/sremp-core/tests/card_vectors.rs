//! Contact cards, from `vectors/card.json`.

mod vectors;

use serde_json::Value;
use sremp_core::{
    contact_card::{CardContent, CardError, ContactCard, Endpoint, Intro, RelayHint},
    id::{ContactId, IntroToken},
    identity::{SecretIdentity, Username},
    time::UnixMillis,
    wire::bytes::Hex,
};
use vectors::{NOW, alice, hex, hex_n, list, load, number, text};

fn endpoints(v: &Value) -> Vec<Endpoint> {
    let items = v.as_array().into_iter().flatten();
    items
        .map(|e| Endpoint::new(e[0].as_str().unwrap(), e[1].as_u64().unwrap() as u16).unwrap())
        .collect()
}

fn relays(v: &Value) -> Vec<RelayHint> {
    let items = (0..).zip(v.as_array().into_iter().flatten());
    items
        .map(|(priority, r)| RelayHint {
            relay: ContactId::parse(&hex_n(r, "relay")).unwrap(),
            endpoint: Endpoint::new(text(r, "host"), number(r, "port") as u16).unwrap(),
            priority,
        })
        .collect()
}

fn content(v: &Value) -> CardContent {
    let token = v["token"]
        .as_str()
        .map(|_| IntroToken::new(hex_n(v, "token")));
    CardContent {
        expires: v["expires"].as_u64().and_then(UnixMillis::new),
        intro: token.map(|token| Intro {
            token,
            one_time: v["one_time"] == true,
        }),
        relays: relays(&v["relays"]),
        rendezvous: endpoints(&v["rendezvous"]),
        endpoints: endpoints(&v["endpoints"]),
        dial: v["dial"] == true,
        username: v["username"].as_str().map(|n| Username::parse(n).unwrap()),
    }
}

/// Alice at the version that the vector wants.
fn issuer(version: u64) -> SecretIdentity {
    let profile = |own: SecretIdentity| {
        let name = Username::parse("alice").unwrap();
        own.with_profile(&name, Default::default(), None, NOW)
            .unwrap()
    };
    (1..version).fold(alice(), |own, _| profile(own))
}

#[test]
fn a_card_of_fixed_keys_has_the_bytes_of_the_vector() {
    for v in list(&load("card"), "accept") {
        let name = text(v, "name");
        let version = v["version"].as_u64().unwrap_or(1);
        let card = ContactCard::issue(&issuer(version), content(v)).unwrap();
        assert_eq!(Hex(card.as_bytes()).to_string(), text(v, "bytes"), "{name}");
        assert_eq!(card.to_uri(), text(v, "uri"), "{name}");
        assert_eq!(card.to_qr_text(), text(v, "qr"), "{name}");
        assert_eq!(
            ContactCard::verify(&hex(v, "bytes"), NOW),
            Ok(card),
            "{name}"
        );
    }
}

#[test]
fn a_card_reads_as_what_it_says_in_every_form() {
    let file = load("card");
    for v in list(&file, "accept").iter().chain(list(&file, "tolerated")) {
        let name = text(v, "name");
        let card = ContactCard::verify(&hex(v, "bytes"), NOW).unwrap();
        assert_eq!(card.content(), &content(v), "{name}");
        assert_eq!(card.id(), alice().id());
        assert_eq!(card.identity_version(), v["version"].as_u64().unwrap_or(1));
        for text in [text(v, "uri"), text(v, "qr")] {
            assert_eq!(ContactCard::parse(text, NOW).as_ref(), Ok(&card), "{name}");
        }
        // nothing is lost on the way to the next reader, unknown parts included
        assert_eq!(card.as_bytes(), hex(v, "bytes"), "{name}");
        assert_eq!(card.to_uri(), text(v, "uri"), "{name}");
    }
}

#[test]
fn cards_that_are_none_are_refused_for_the_right_reason() {
    let kind = |error: CardError| match error {
        CardError::Malformed => "malformed",
        CardError::Altered => "altered",
        CardError::Expired { .. } => "expired",
        CardError::Unsupported => "unsupported",
        CardError::TooLong => "too_long",
    };
    let file = load("card");
    for v in list(&file, "reject") {
        let name = text(v, "name");
        let error = ContactCard::verify(&hex(v, "bytes"), NOW).err();
        assert_eq!(error.map(kind), Some(text(v, "error")), "{name}");
    }
    for v in list(&file, "reject_text") {
        let name = text(v, "name");
        let error = ContactCard::parse(text(v, "text"), NOW).err();
        assert_eq!(error.map(kind), Some(text(v, "error")), "{name}");
    }
}

#[test]
fn the_spellings_that_people_and_scanners_make_are_read() {
    let v = &load("card")["spellings"];
    for spelling in list(v, "texts") {
        let card = ContactCard::parse(text(spelling, "text"), NOW);
        let card = card.unwrap_or_else(|e| panic!("{}: {e}", text(spelling, "name")));
        assert_eq!(card.as_bytes(), hex(v, "bytes"));
    }
}

#[test]
fn no_bit_of_a_card_can_be_changed() {
    let file = load("card");
    let everything = list(&file, "accept")
        .iter()
        .find(|v| text(v, "name") == "everything");
    let bytes = hex(everything.unwrap(), "bytes");
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let expected = if bit < 8 {
            CardError::Unsupported
        } else {
            CardError::Altered
        };
        assert_eq!(
            ContactCard::verify(&changed, NOW),
            Err(expected),
            "bit {bit}"
        );
    }
}

#[test]
fn a_card_holds_until_its_last_millisecond() {
    let at = NOW.plus(std::time::Duration::from_secs(1));
    let content = CardContent {
        expires: Some(at),
        ..CardContent::default()
    };
    let card = ContactCard::issue(&alice(), content).unwrap();
    let verify = |now| ContactCard::verify(card.as_bytes(), now);
    assert!(verify(UnixMillis::saturating(at.get() - 1)).is_ok());
    assert_eq!(verify(at), Err(CardError::Expired { at }));
    let for_ever = ContactCard::issue(&alice(), CardContent::default()).unwrap();
    assert!(ContactCard::verify(for_ever.as_bytes(), UnixMillis::saturating(u64::MAX)).is_ok());
}

#[test]
fn a_card_that_nobody_could_read_is_not_issued() {
    let endpoint = |host: &str| Endpoint::new(host, 1).unwrap();
    let long = format!("{}x", "abcdefg.".repeat(30));
    let refused = |content| ContactCard::issue(&alice(), content).unwrap_err();
    let with = |endpoints| CardContent {
        endpoints,
        ..CardContent::default()
    };
    assert_eq!(refused(with(vec![endpoint("a"); 5])), CardError::Malformed);
    assert_eq!(refused(with(vec![endpoint(&long); 4])), CardError::TooLong);
    let relay = RelayHint {
        relay: alice().id(),
        endpoint: endpoint(&long),
        priority: 0,
    };
    let relays = CardContent {
        relays: vec![relay],
        ..CardContent::default()
    };
    assert_eq!(refused(relays), CardError::TooLong, "a TLV holds 255 bytes");
    let dial = CardContent {
        dial: true,
        ..CardContent::default()
    };
    assert_eq!(refused(dial), CardError::Malformed);
    let expires = CardContent {
        expires: Some(UnixMillis::ZERO),
        ..CardContent::default()
    };
    assert_eq!(refused(expires), CardError::Malformed);
}

#[test]
fn addresses_are_dialled_only_when_the_card_allows_it() {
    let content = |dial| CardContent {
        endpoints: vec![Endpoint::new("alice.example", 1).unwrap()],
        dial,
        ..CardContent::default()
    };
    let card = |dial| ContactCard::issue(&alice(), content(dial)).unwrap();
    assert_eq!(card(true).dialable().len(), 1);
    assert!(card(false).dialable().is_empty());
    assert_eq!(card(false).content().endpoints.len(), 1);
}

#[test]
fn a_card_keeps_its_token_out_of_logs() {
    let token = IntroToken::new([0xab; 16]);
    let content = CardContent {
        intro: Some(Intro {
            token,
            one_time: true,
        }),
        ..CardContent::default()
    };
    let card = ContactCard::issue(&alice(), content.clone()).unwrap();
    for shown in [format!("{card:?}"), format!("{content:?}")] {
        assert!(!shown.contains("abab"), "{shown}");
        assert!(!shown.contains("171"), "{shown}");
    }
}

#[test]
fn a_card_with_everything_usual_fits_a_link_of_400_characters() {
    let file = load("card");
    for v in list(&file, "accept")
        .iter()
        .filter(|v| text(v, "name") == "everything")
    {
        assert!(text(v, "uri").len() <= 480);
    }
    let usual = CardContent {
        expires: Some(NOW),
        intro: Some(Intro {
            token: IntroToken::new([7; 16]),
            one_time: true,
        }),
        relays: vec![RelayHint {
            relay: alice().id(),
            endpoint: Endpoint::new("relay.some-domain.example", 33399).unwrap(),
            priority: 0,
        }],
        endpoints: vec![Endpoint::new("2001:db8:1234:5678:9abc:def0:1234:5678", 33400).unwrap()],
        dial: true,
        username: Some(Username::parse("Alexandra von Musterhausen").unwrap()),
        ..CardContent::default()
    };
    let uri = ContactCard::issue(&alice(), usual).unwrap().to_uri();
    assert!(uri.len() <= 400, "{} characters", uri.len());
}
