//! Safety numbers, from `vectors/safety_number.json`.

mod vectors;

use sremp_core::{
    id::ContactId,
    safety_number::{Fingerprint, SafetyNumber, SafetyNumberError},
};
use vectors::{hex_n, load, text};

fn number() -> SafetyNumber {
    let v = &load("safety_number")[0];
    let id = |key| ContactId::parse(&hex_n(v, key)).unwrap();
    SafetyNumber::of(&id("own"), &id("peer"))
}

#[test]
fn both_people_read_the_number_of_the_vector() {
    let file = load("safety_number");
    let all = file.as_array().unwrap();
    assert!(!all.is_empty());
    for v in all {
        let id = |key| ContactId::parse(&hex_n(v, key)).unwrap();
        let (own, peer) = (Fingerprint::of(&id("own")), Fingerprint::of(&id("peer")));
        assert_eq!(own.to_string().replace(' ', ""), text(v, "own_digits"));
        let here = SafetyNumber::between(own.clone(), peer.clone());
        let there = SafetyNumber::between(peer, own);
        for number in [&here, &there] {
            assert_eq!(number.to_string(), text(v, "number"));
            assert_eq!(number.matches(text(v, "number")), Ok(true));
        }
        assert_eq!(here.to_qr_text(), text(v, "qr"));
        assert_eq!(there.matches_qr(text(v, "qr")), Ok(true));
        assert_eq!(here.matches_qr(&there.to_qr_text()), Ok(true));
        assert_eq!(here.matches_qr(text(v, "qr")), Ok(false), "one's own code");
    }
}

#[test]
fn a_number_may_be_typed_with_any_spacing() {
    let number = number();
    let shown = number.to_string();
    for typed in [
        shown.replace(' ', ""),
        shown.replace(' ', "-"),
        shown.replace(' ', "\n"),
        shown.replace(' ', "\u{a0}\u{2003}"),
        format!("  {}\r\n", shown.replace(' ', " . ")),
    ] {
        assert_eq!(number.matches(&typed), Ok(true), "{typed:?}");
    }
}

#[test]
fn another_number_is_another_number() {
    let number = number();
    let shown = number.to_string();
    for (i, c) in shown.char_indices().filter(|(_, c)| *c != ' ') {
        let other = if c == '9' { "0" } else { "9" };
        let mut typed = shown.clone();
        typed.replace_range(i..=i, other);
        assert_eq!(number.matches(&typed), Ok(false), "digit at {i}");
    }
    let (first, second) = shown.split_at(36);
    let swapped = format!("{second} {first}");
    assert_eq!(number.matches(&swapped), Ok(false));
}

#[test]
fn a_slip_is_told_from_a_wrong_number() {
    use SafetyNumberError::{Length, NotDigits, NotQr, Unsupported};
    let number = number();
    let shown = number.to_string();
    assert_eq!(number.matches(""), Err(Length { digits: 0 }));
    assert_eq!(number.matches(&shown[..70]), Err(Length { digits: 59 }));
    assert_eq!(
        number.matches(&format!("{shown} 1")),
        Err(Length { digits: 61 })
    );
    assert_eq!(number.matches(&shown.replace('4', "O")), Err(NotDigits));
    assert_eq!(
        number.matches(&shown.replace('4', "\u{664}")),
        Err(NotDigits)
    );
    let qr = number.to_qr_text();
    for scanned in [
        "",
        "SREMP:1/AA",
        "SREMP:SAFETY1/",
        &qr[..100],
        &format!("{qr}A"),
        "SREMP:SAFETY1/Ä",
    ] {
        assert_eq!(number.matches_qr(scanned), Err(NotQr), "{scanned}");
    }
    let newer = qr.replacen("SAFETY1/AE", "SAFETY1/AI", 1);
    assert_ne!(newer, qr);
    assert_eq!(number.matches_qr(&newer), Err(Unsupported));
}
