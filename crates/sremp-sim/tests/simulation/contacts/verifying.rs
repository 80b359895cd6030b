//! Numbers that are compared, and the trust that follows from them.

use sremp_client::view::{ErrorKind, EventKind, Reply, Trust};
use sremp_core::{
    identity::VerifiedVia,
    safety_number::SafetyNumber,
    session::content::{Body, ResetReason},
};
use sremp_sim::{
    Alone, Scripted,
    commands::{trust, verify},
};

use crate::seeds;

#[test]
fn who_was_verified_by_a_scan_is_remembered_as_that() {
    for seed in seeds(1) {
        let mut ben = Alone::seeded("ben", seed);
        let ann = Scripted::known_to(&mut ben, "ann").identity.id();
        let shown = SafetyNumber::of(&ann, &ben.node.id()).to_qr_text();
        ben.command(verify("ann", Some(shown))).unwrap();
        assert_eq!(ben.contacts()[0].verified_via, VerifiedVia::Qr);
    }
}

#[test]
fn a_number_that_differs_or_is_none_changes_nothing() {
    for seed in seeds(1) {
        let mut ben = Alone::seeded("ben", seed);
        Scripted::known_to(&mut ben, "ann");
        let Ok(Reply::Verify(shown)) = ben.command(verify("ann", None)) else {
            panic!("no number");
        };
        assert_eq!((shown.matches, shown.trust), (None, Trust::Unknown));
        let mut wrong = shown.safety_number.clone();
        let last = wrong.pop().unwrap();
        wrong.push(if last == '0' { '1' } else { '0' });
        let Ok(Reply::Verify(view)) = ben.command(verify("ann", Some(wrong))) else {
            panic!("no comparison");
        };
        assert_eq!((view.matches, view.trust), (Some(false), Trust::Unknown));
        let slip = ben.command(verify("ann", Some("12345".to_owned())));
        assert_eq!(slip.unwrap_err().kind, ErrorKind::Usage);
        let contact = &ben.contacts()[0];
        assert_eq!(contact.trust, Trust::Unknown);
        assert_eq!(contact.verified_via, VerifiedVia::None);
        assert!(contact.trusted_at.is_none());
        let right = Some(shown.safety_number);
        ben.command(verify("ann", right.clone())).unwrap();
        let contact = &ben.contacts()[0];
        assert_eq!(contact.verified_via, VerifiedVia::Number);
        // the user's plain word does not unmake it, and a number does not undo a rejection
        ben.command(trust("ann", Trust::Trusted)).unwrap();
        assert_eq!(ben.contacts()[0].verified_via, VerifiedVia::Number);
        ben.command(trust("ann", Trust::Rejected)).unwrap();
        ben.command(verify("ann", right)).unwrap();
        assert_eq!(ben.contacts()[0].trust, Trust::Rejected);
    }
}

#[test]
fn a_reset_of_a_verified_contact_is_shown_and_leaves_the_trust() {
    for seed in seeds(1) {
        let mut ben = Alone::seeded("ben", seed);
        let mut ann = Scripted::known_to(&mut ben, "ann");
        let Ok(Reply::Verify(shown)) = ben.command(verify("ann", None)) else {
            panic!("no number");
        };
        ben.command(verify("ann", Some(shown.safety_number)))
            .unwrap();
        let link = ben.connect(ann.identity.identity());
        let session = ann.start_session(&mut ben, link);
        let reset = Body::Reset {
            reason: ResetReason::DESYNC,
            last_seq: 0,
        };
        let reset = ann.content(&mut ben, reset);
        assert!(ann.send(&mut ben, link, &session, &reset).0);
        let events = ben.events();
        let told = events.iter().any(|e| {
        matches!(&e.event, EventKind::Notice { text, .. } if text.starts_with("[session renewed"))
    });
        assert!(told);
        let contact = &ben.contacts()[0];
        assert_eq!(contact.trust, Trust::Trusted);
        assert_eq!(contact.verified_via, VerifiedVia::Number);
    }
}
