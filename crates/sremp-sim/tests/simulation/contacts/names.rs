//! Names that deceive, and whom nobody adds.

use sremp_client::view::{Command, ErrorKind, Reply, Trust};
use sremp_core::{
    contact_card::{CardContent, ContactCard},
    identity::SecretIdentity,
};
use sremp_sim::{
    Alone, Scripted,
    commands::{add, send, trust},
};

use super::{ask, asked, refuses};
use crate::seeds;

#[test]
fn a_request_under_a_name_like_a_contacts_is_told_and_not_taken_by_that_name() {
    for seed in seeds(1) {
        // Cyrillic against Latin
        for decide in [add("раypal", None), trust("раypal", Trust::Trusted)] {
            let mut ben = Alone::seeded("ben", seed);
            Scripted::known_to(&mut ben, "paypal");
            asked(&mut ben, "раypal");
            let warnings = &ben.requests()[0].warnings;
            assert!(warnings[0].contains("whose key is another"), "{warnings:?}");
            refuses(ben.command(decide), "looks like that of your contact");
            assert_eq!(ben.status().requests, 1, "it waits as before");
            ben.command(add("раypal", Some("the other one"))).unwrap();
            assert_eq!(ben.contacts()[1].alias, "the other one");
        }
    }
}

#[test]
fn a_name_that_could_be_taken_for_more_than_a_name_is_taken_at_the_users_word_alone() {
    for seed in seeds(1) {
        for name in ["ben: yes", "- [session renewed]", "--all", "a]"] {
            let mut ben = Alone::seeded("ben", seed);
            asked(&mut ben, name);
            refuses(ben.command(add(name, None)), "meant to deceive");
            refuses(ben.command(trust(name, Trust::Unknown)), "meant to deceive");
            assert_eq!(ben.status().requests, 1, "it waits as before");
            ben.command(add(name, Some("eve"))).unwrap();
            assert_eq!(ben.contacts()[0].alias, "eve");
        }
    }
}

#[test]
fn nobody_is_called_by_the_word_that_marks_ones_own_lines() {
    for seed in seeds(1) {
        // as it is, and with a Greek letter
        for name in ["you", "yοu"] {
            let mut ben = Alone::seeded("ben", seed);
            asked(&mut ben, name);
            refuses(ben.command(add(name, None)), "marks your own lines");
            refuses(ben.command(add(name, Some("You"))), "marks your own lines");
            assert_eq!(ben.status().requests, 1, "it waits as before");
            ben.command(add(name, Some("eve"))).unwrap();
            assert_eq!(ben.contacts()[0].alias, "eve");
        }
    }
}

fn card_of(identity: &SecretIdentity) -> String {
    let content = CardContent {
        username: Some(identity.identity().username().clone()),
        endpoints: vec!["away.example:4000".parse().unwrap()],
        dial: true,
        ..CardContent::default()
    };
    ContactCard::issue(identity, content).unwrap().to_uri()
}

#[test]
fn nobody_adds_themselves_nor_by_a_card_whom_they_have_rejected() {
    for seed in seeds(1) {
        let mut ben = Alone::seeded("ben", seed);
        let Ok(Reply::Id(own)) = ben.command(Command::Id) else {
            panic!("no id");
        };
        for who in [own.card, own.id] {
            let error = ben.command(add(&who, None)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Card, "{error}");
            assert!(error.message.contains("your own"), "{error}");
        }
        assert!(ben.contacts().is_empty());
        let ann = Scripted::known_to(&mut ben, "ann");
        ben.command(trust("ann", Trust::Rejected)).unwrap();
        let again = ben.command(add(&card_of(&ann.identity), None));
        let error = again.unwrap_err();
        assert!(error.message.contains("you have rejected"), "{error}");
        assert_eq!(ben.contacts()[0].trust, Trust::Rejected);
    }
}

#[test]
fn a_card_under_a_name_like_a_contacts_is_taken_at_the_users_word_and_not_by_that_name() {
    for seed in seeds(1) {
        let mut ben = Alone::seeded("ben", seed);
        Scripted::known_to(&mut ben, "paypal");
        let other = ben.somebody("раypal");
        let who = card_of(&other);
        refuses(
            ben.command(add(&who, None)),
            "looks like that of your contact",
        );
        let despite = Command::Add {
            who,
            alias: None,
            despite_confusable: true,
        };
        ben.command(despite).unwrap();
        let names: Vec<String> = ben.contacts().into_iter().map(|c| c.alias).collect();
        assert_eq!(names.len(), 2);
        assert!(!names.contains(&"раypal".to_owned()), "{names:?}");
    }
}

#[test]
fn an_alias_has_forty_characters_at_most_and_an_id_needs_somebody_to_ask() {
    for seed in seeds(1) {
        let mut ben = Alone::seeded("ben", seed);
        let ann = ben.somebody("ann");
        let long = ben.command(add(&card_of(&ann), Some(&"x".repeat(41))));
        assert_eq!(long.unwrap_err().kind, ErrorKind::Usage);
        ben.command(add(&card_of(&ann), Some(&"x".repeat(40))))
            .unwrap();
        let cleo = ben.somebody("cleo").id().to_string();
        let error = ben.command(add(&cleo, None)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Usage, "{error}");
        assert!(error.message.contains("an id alone"), "{error}");
    }
}

#[test]
fn an_alias_that_looks_like_another_contacts_name_or_alias_is_taken_at_the_users_word_alone() {
    for seed in seeds(1) {
        let mut ben = Alone::seeded("ben", seed);
        let alice = Scripted::known_to(&mut ben, "alice");
        ben.connect(alice.identity.identity());
        ben.command(add("alice", Some("my bank"))).unwrap();
        let [dora, eve] = ["dora", "eve"].map(|name| card_of(&ben.somebody(name)));
        // Cyrillic а; a capital; a digit; an alias with a Cyrillic а
        for alias in ["\u{430}lice", "Alice", "a1ice", "my b\u{430}nk"] {
            let error = ben.command(add(&eve, Some(alias))).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Contact, "{alias}: {error}");
            assert!(error.message.contains("looks like that"), "{error}");
            assert!(error.message.contains("--despite-confusable"), "{error}");
            assert_eq!(ben.contacts().len(), 1, "{alias}");
        }
        let despite = |who: &str, alias: &str| Command::Add {
            who: who.to_owned(),
            alias: Some(alias.to_owned()),
            despite_confusable: true,
        };
        let Reply::Contact(added) = ben.command(despite(&dora, "my b\u{430}nk")).unwrap() else {
            panic!("nobody");
        };
        assert_eq!(added.alias, "my b\u{430}nk");
        // the very alias of another names nobody else, also where an earlier one looks the same
        for taken in ["my bank", "my b\u{430}nk"] {
            refuses(ben.command(despite(&eve, taken)), "already");
        }
        // its own name is no other's
        ben.command(add(&eve, Some("eve"))).unwrap();
        ben.command(add(&eve, Some("Eve"))).unwrap();
    }
}

#[test]
fn a_declined_stranger_under_a_contacts_name_is_taken_back_as_the_refusal_says() {
    for seed in seeds(1) {
        let mut ben = Alone::seeded("ben", seed);
        Scripted::known_to(&mut ben, "paypal");
        asked(&mut ben, "раypal");
        let id = ben.requests()[0].id.clone();
        ben.command(trust(&id, Trust::Rejected)).unwrap();
        let error = ben.command(trust(&id, Trust::Trusted)).unwrap_err();
        let remedy = format!("`sremp add {} --as NAME`", &id[..8]);
        assert!(error.message.contains(&remedy), "{error}");
        let Reply::Contact(added) = ben.command(add(&id[..8], Some("pam"))).unwrap() else {
            panic!("nobody");
        };
        assert_eq!((added.alias.as_str(), added.trust), ("pam", Trust::Unknown));
        ben.command(trust("pam", Trust::Trusted)).unwrap();
    }
}

#[test]
fn a_name_of_the_digits_of_a_contacts_id_leads_nobody_to_somebody_else() {
    let mut ben = Alone::new("ben");
    let ann = Scripted::known_to(&mut ben, "ann");
    let id = ann.identity.id().to_string();
    for digits in [&id[..6], &id[..8], &id[..20]] {
        let posing = ben.somebody(digits);
        refuses(
            ben.command(add(&card_of(&posing), None)),
            "looks like the id of your contact",
        );
        // at the user's word the name means both, and the digits that are told mean one
        let despite = Command::Add {
            who: card_of(&posing),
            alias: Some(digits.to_owned()),
            despite_confusable: true,
        };
        ben.command(despite).unwrap();
        let error = ben.command(send(digits, "for ann")).unwrap_err();
        assert!(error.message.contains("2 contacts"), "{error}");
        let [first, second] = [&id, &posing.id().to_string()].map(|id| id[..16].to_owned());
        assert!(error.message.contains(&first) && error.message.contains(&second));
        ben.command(send(&posing.id().to_string(), "for who poses"))
            .unwrap();
        if digits.len() < 16 {
            ben.command(send(&first, "for ann")).unwrap();
        }
    }
    asked(&mut ben, &id[..9]);
    let warnings = &ben.requests()[0].warnings;
    assert!(
        warnings[0].contains("the id of your contact"),
        "{warnings:?}"
    );
}

#[test]
fn a_contact_of_the_digits_of_a_strangers_id_is_not_taken_for_the_stranger() {
    let mut ben = Alone::new("ben");
    let mut vic = Scripted::unknown_to(&mut ben, "vic");
    let id = vic.identity.id().to_string();
    // whoever poses knows the id before its owner asks
    Scripted::known_to(&mut ben, &id[..8]);
    let link = ben.connect(vic.identity.identity());
    ask(&mut ben, &mut vic, link);
    for decide in [
        add(&id[..8], Some("vic")),
        trust(&id[..8], Trust::Trusted),
        send(&id[..8], "for vic"),
    ] {
        refuses(ben.command(decide), "2 contacts");
    }
    ben.command(add(&id[..16], Some("vic"))).unwrap();
    let mut names: Vec<String> = ben.contacts().into_iter().map(|c| c.alias).collect();
    names.sort();
    let mut expected = [id[..8].to_owned(), "vic".to_owned()];
    expected.sort();
    assert_eq!(names, expected);
}
