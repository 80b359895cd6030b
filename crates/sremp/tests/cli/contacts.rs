//! Cards, trust, and how a contact is named.

use crate::support::{Home, acquainted, keys, text};

const CONTACT: [&str; 14] = [
    "alias",
    "connected",
    "direct",
    "first_seen",
    "id",
    "last_seen",
    "queued",
    "request_text",
    "standing",
    "trust",
    "trusted_at",
    "username",
    "verified_via",
    "warnings",
];

#[test]
fn a_card_makes_a_contact_of_unknown_trust() {
    let (ann, ben) = (Home::of("Ann"), Home::of("Ben"));
    let added = ann.json(&["add", &ben.card(), "--as", "benny"]);
    assert_eq!(keys(&added), CONTACT);
    assert_eq!(text(&added, "id"), ben.id());
    assert_eq!(added["alias"], "benny");
    assert_eq!(added["standing"], "accepted");
    assert_eq!(added["trust"], "unknown");
    assert_eq!(added["verified_via"], "none");
    assert_eq!(added["connected"], false, "adding dials nobody");
    assert_eq!(ann.objects(&["contacts"]).len(), 1);
    assert!(ann.ok(&["contacts"]).contains("benny"));
    assert_eq!(ann.objects(&["contacts", "--requests"]).len(), 0);
    assert_eq!(ann.objects(&["contacts", "--declined"]).len(), 0);
    let declined = ann.ok(&["contacts", "--declined"]);
    assert!(declined.contains("Nobody was declined"), "{declined}");
}

#[test]
fn a_contact_is_named_by_alias_or_by_six_digits_of_the_id() {
    let (ann, ben) = acquainted();
    let id = ben.id();
    let number = |who: &str| text(&ann.json(&["verify", who]), "safety_number");
    assert_eq!(number("ben"), number(&id[..6]));
    assert_eq!(number("ben"), number(&id));
    ann.run(&["verify", &id[..5]]).refused(8, "contact");
    ann.run(&["verify", "nobody"]).refused(8, "nobody");
    for verb in ["history", "trust", "reject", "export"] {
        ann.run(&[verb, "nobody"]).refused(8, "nobody");
    }
    ann.run(&["send", "nobody", "hi"]).refused(8, "nobody");
}

#[test]
fn cards_that_are_no_good_are_refused_with_7() {
    let (ann, ben) = (Home::of("Ann"), Home::of("Ben"));
    let card = ben.card();
    let mut altered = card.clone().into_bytes();
    altered[60] = if altered[60] == b'A' { b'B' } else { b'A' };
    let altered = String::from_utf8(altered).unwrap();
    for bad in [
        &card[..card.len() - 4],
        &altered,
        "sremp:1#",
        "SREMP:1/",
        "sremp:9#AQ",
    ] {
        ann.run(&["add", bad]).refused(7, "card");
    }
    ann.run(&["add", &ann.card()]).refused(7, "own");
    assert_eq!(ann.objects(&["contacts"]).len(), 0);
    ann.run(&["add", "nobody"]).refused(8, "nobody");
}

#[test]
fn what_is_no_card_is_told_by_what_it_is() {
    let ann = Home::of("Ann");
    ann.run(&["add", ""]).refused(2, "nothing was given");
    ann.run(&["add", "sremp-relay:1#AQGKiOPd"])
        .refused(7, "the link of a relay");
    // no point of the curve
    let broken = format!("02{}", "0".repeat(62));
    ann.run(&["add", &broken]).refused(8, "nobody's id");
    ann.ok(&["config", "rendezvous", "--none"]);
    ann.run(&["add", &Home::of("Ben").id()])
        .refused(2, "no rendezvous server is set");
}

#[test]
fn white_space_that_a_mail_program_put_into_a_card_does_no_harm() {
    let (ann, ben) = (Home::of("Ann"), Home::of("Ben"));
    let card = ben.card();
    let (one, two) = card.split_at(70);
    ann.ok(&["add", &format!("{one}\n  {two}\n"), "--as", "ben"]);
}

#[test]
fn equal_numbers_verify_and_different_ones_do_not() {
    let (ann, ben) = acquainted();
    let shown = ann.json(&["verify", "ben"]);
    assert_eq!(keys(&shown), ["alias", "matches", "safety_number", "trust"]);
    assert!(shown["matches"].is_null());
    let number = text(&shown, "safety_number");
    assert_eq!(number.bytes().filter(u8::is_ascii_digit).count(), 60);
    assert_eq!(number, text(&ben.json(&["verify", "ann"]), "safety_number"));

    let other_digit = if number.starts_with('1') { "2" } else { "1" };
    let wrong = format!("{other_digit}{}", &number[1..]);
    let ran = ann.run(&["verify", "ben", &wrong, "--json"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("\"matches\":false"), "{ran:?}");
    assert!(
        ann.run(&["verify", "ben", &wrong])
            .stdout
            .contains("DIFFER")
    );
    assert_eq!(ann.objects(&["contacts"])[0]["trust"], "unknown");
    ann.run(&["verify", "ben", "12345"]).refused(2, "60 digits");

    // As people write it down; that it is compared at all says that it has its 60 digits.
    for mark in ["-", ".", " - "] {
        let written = number.replace(' ', mark);
        assert_eq!(
            ann.run(&["verify", "ben", &wrong.replace(' ', mark)]).code,
            1
        );
        assert_eq!(ben.json(&["verify", "ann", &written])["matches"], true);
    }

    // As one argument or as twelve.
    let mut args = vec!["verify", "ben"];
    args.extend(number.split(' '));
    let verified = ann.json(&args);
    assert_eq!(verified["matches"], true);
    assert_eq!(verified["trust"], "trusted");
    let contact = &ann.objects(&["contacts"])[0];
    assert_eq!(contact["verified_via"], "number");
    assert!(contact["trusted_at"].is_string());
}

#[test]
fn a_rejection_stands_until_it_is_undone_by_hand() {
    let (ann, ben) = acquainted();
    assert_eq!(ann.json(&["reject", "ben"])["trust"], "rejected");
    ann.run(&["add", &ben.card()]).refused(7, "reject");
    let number = text(&ann.json(&["verify", "ben"]), "safety_number");
    let equal = ann.ok(&["verify", "ben", &number]);
    assert!(equal.contains("ben stays rejected"), "{equal}");
    // what was compared before is not forgotten by a rejection that is taken back
    ann.ok(&["trust", "ben"]);
    ann.ok(&["verify", "ben", &number]);
    assert_eq!(ann.json(&["reject", "ben"])["verified_via"], "none");
    assert_eq!(ann.json(&["trust", "ben"])["verified_via"], "number");
    ann.ok(&["reject", "ben"]);
    ann.ok(&["trust", "ben", "--unknown"]);
    assert_eq!(ann.json(&["trust", "ben"])["verified_via"], "none");
    ann.ok(&["reject", "ben"]);
    assert_eq!(ann.json(&["trust", "ben"])["trust"], "trusted");
    assert_eq!(ann.json(&["trust", "ben", "--unknown"])["trust"], "unknown");
    assert_eq!(ann.objects(&["contacts"])[0]["verified_via"], "none");
}
