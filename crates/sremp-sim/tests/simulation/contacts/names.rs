//! Names that deceive, and whom nobody adds.

use sremp_client::view::{Command, ErrorKind, Reply, Trust};
use sremp_core::{
    contact_card::{CardContent, ContactCard},
    identity::SecretIdentity,
};
use sremp_sim::{
    Alone, Scripted,
    commands::{add, trust},
};

use super::{asked, refuses};
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
