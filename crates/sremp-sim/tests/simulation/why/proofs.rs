//! Receipts, confirmations, and who could see what of a message.

use std::time::Duration;

use sremp_client::{
    config::{Direct, RendezvousPlace},
    store::{NewConfirmation, NewReceipt},
    view::{Command, Observer, Path, PrivacyView, Status, Waits, WhyStep},
};
use sremp_core::{id::EnvelopeId, signature::Signature};
use sremp_sim::{Malice, World};

use super::{by_a_relay, kept, names, why};
use crate::{DAY, MINUTE, seeds};

#[test]
fn a_kept_receipt_that_does_not_hold_is_told_as_such_and_not_as_a_proof() {
    for seed in seeds(1) {
        let (mut world, [ann, ben, _]) = by_a_relay(seed);
        let other = world.open_relay("other");
        let other = world.relay(other).link();
        world.set_reachable(ben, false);
        world.send(ann, "ben", "later");
        world.run(MINUTE);
        let altered = kept(&mut world, ann, |tx, contact, msg_id| {
            let [genuine] = &tx.receipts(contact, &msg_id)?[..] else {
                panic!("seed {seed}: not one receipt");
            };
            let relay = tx.relay(&genuine.relay)?.unwrap().row;
            let new = || NewReceipt {
                item: 0,
                contact,
                msg_id,
                relay,
                message_id: genuine.message_id,
                envelope: genuine.envelope,
                received: genuine.received,
                stored: genuine.stored,
                expires: genuine.expires,
                kept_until: genuine.expires,
                signature: genuine.signature.clone(),
            };
            let mut altered: [NewReceipt; 7] = std::array::from_fn(|_| new());
            altered[0].relay = tx.remember_relay(&other.relay(), other.endpoint())?.row;
            altered[1].message_id ^= 1;
            altered[2].envelope = EnvelopeId::of(b"another");
            altered[3].stored = genuine.stored.plus(Duration::from_millis(1));
            altered[4].expires = genuine.expires.plus(Duration::from_millis(1));
            *altered[5].signature.last_mut().unwrap() ^= 1;
            altered[6].signature.pop();
            for receipt in &altered {
                tx.add_receipt(receipt)?;
            }
            Ok(altered.len())
        });
        let view = why(&mut world, ann);
        let valid = view.timeline.iter().filter_map(|step| match step {
            WhyStep::AtRelay { receipt_valid, .. } => Some(*receipt_valid),
            _ => None,
        });
        let valid: Vec<bool> = valid.collect();
        let expected: Vec<bool> = (0..=altered).map(|n| n == 0).collect();
        assert_eq!(valid, expected, "seed {seed}: the genuine one alone holds");
    }
}

#[test]
fn a_kept_confirmation_that_does_not_hold_is_told_as_such_and_not_as_a_proof() {
    for seed in seeds(1) {
        let (mut world, [ann, _, _]) = by_a_relay(seed);
        let now = world.now().wall;
        let confirmations = kept(&mut world, ann, |tx, contact, msg_id| {
            let genuine = tx.confirmation(contact, &msg_id)?.unwrap();
            let relay = tx.relay(&genuine.relay)?.unwrap().row;
            let new = || NewConfirmation {
                contact,
                msg_id,
                relay,
                message_id: genuine.message_id,
                envelope: genuine.envelope,
                at: genuine.at,
                received: genuine.received,
                signature: genuine.signature,
            };
            let mut all: [NewConfirmation; 5] = std::array::from_fn(|_| new());
            all[1].message_id ^= 1;
            all[2].envelope = EnvelopeId::of(b"another");
            all[3].at = genuine.at.plus(Duration::from_millis(1));
            let mut signature = *genuine.signature.as_bytes();
            signature[5] ^= 1;
            all[4].signature = Signature::new(signature);
            Ok(all)
        });
        for (n, confirmation) in confirmations.into_iter().enumerate() {
            kept(&mut world, ann, |tx, contact, msg_id| {
                tx.prune_evidence(now.plus(Duration::from_millis(70 * DAY)))?;
                assert_eq!(tx.confirmation(contact, &msg_id)?, None, "seed {seed}");
                tx.add_confirmation(&confirmation)
            });
            let view = why(&mut world, ann);
            // a word of the contact that overtakes its confirmation has it stored once more
            let arrived = |s: &&WhyStep| matches!(s, WhyStep::OnDevice { .. });
            let Some(WhyStep::OnDevice {
                confirmation_valid,
                confirmed_at,
                relay,
                ..
            }) = view.timeline.iter().find(arrived)
            else {
                panic!("seed {seed}: {view:?}");
            };
            assert_eq!(*confirmation_valid, Some(n == 0), "seed {seed}: {n}");
            assert!(confirmed_at.is_some() && relay.is_some(), "seed {seed}");
        }
    }
}

#[test]
fn a_relay_that_has_promised_twice_and_failed_between_is_one_observer() {
    for seed in seeds(1) {
        let (mut world, [ann, ben, relay]) = by_a_relay(seed);
        let id = world.relay(relay).link().relay().to_string();
        world.set_reachable(ben, false);
        world.send(ann, "ben", "patience");
        world.run(MINUTE);
        world.set_reachable(relay, false);
        world.run(15 * DAY);
        world.set_reachable(relay, true);
        world.run(DAY);
        let view = why(&mut world, ann);
        let named = |step: &&WhyStep| match step {
            WhyStep::AtRelay { relay, .. } => *relay == id,
            WhyStep::Tried { relay, .. } => relay.as_ref() == Some(&id),
            _ => false,
        };
        assert!(
            view.timeline.iter().filter(named).count() >= 3,
            "seed {seed}: {view:?}"
        );
        let seen: Vec<_> = view
            .privacy
            .seen
            .iter()
            .map(|s| (s.who, s.relay.clone()))
            .collect();
        let expected = [
            (Observer::NetworkToRelay, None),
            (Observer::Relay, Some(id)),
        ];
        assert_eq!(seen, expected, "seed {seed}");
        assert!(
            view.privacy.words.contains("; the relay sees"),
            "{:?}",
            view.privacy
        );
    }
}

#[test]
fn a_relay_whose_receipts_do_not_hold_is_told_as_one_that_had_the_message() {
    for seed in seeds(1) {
        let (mut world, [ann, _, relay]) = by_a_relay(seed);
        let id = world.relay(relay).link().relay().to_string();
        world.relay(relay).malice = Malice::ForgesReceipts;
        world.send(ann, "ben", "hello?");
        world.run(60 * MINUTE);
        let view = why(&mut world, ann);
        let path = (view.status, view.path);
        assert_eq!(
            path,
            (Some(Status::OnDevice), Some(Path::Relay)),
            "seed {seed}"
        );
        assert!(!names(&view).contains(&"at-relay"), "seed {seed}: {view:?}");
        let seen: Vec<_> = view
            .privacy
            .seen
            .iter()
            .map(|s| (s.who, s.relay.clone()))
            .collect();
        let expected = [
            (Observer::Contact, None),
            (Observer::NetworkToRelay, None),
            (Observer::Relay, Some(id)),
        ];
        assert_eq!(seen, expected, "seed {seed}");
    }
}

/// Who may have what Ann wrote last, and whether she is told that it is here alone.
fn may_have_it(world: &mut World, ann: usize) -> (Vec<Observer>, bool) {
    let PrivacyView { words, seen } = why(world, ann).privacy;
    let here = words.contains("nobody but you") || words.contains("may not have left");
    (seen.into_iter().map(|seen| seen.who).collect(), here)
}

#[test]
fn what_was_given_to_a_connection_and_is_not_confirmed_may_be_at_the_contact() {
    let given = (vec![Observer::Contact, Observer::NetworkBetween], false);
    for seed in seeds(1) {
        // a reader who says nothing more
        let mut world = World::new(seed);
        let (ann, ben) = (world.join("ann"), world.join("ben"));
        world.introduce(ann, ben);
        world.send(ann, "ben", "hello");
        world.run(MINUTE);
        world.set_silent(ben, true);
        world.send(ann, "ben", "are you there?");
        // it is on its way, sent again, and the connection is given up
        for after in [100, 2_000, 4_000, 60 * MINUTE] {
            world.run(after);
            assert!(why(&mut world, ann).waits.is_some(), "seed {seed}: {after}");
            assert_eq!(may_have_it(&mut world, ann), given, "seed {seed}: {after}");
        }
        // what is written now has no connection to leave over
        world.send(ann, "ben", "well then");
        world.run(100);
        assert_eq!(
            may_have_it(&mut world, ann),
            (Vec::new(), true),
            "seed {seed}"
        );
        // a request that is read and not accepted, and what waits behind it
        let mut world = World::new(seed);
        let (ann, ben) = (world.join("ann"), world.join("ben"));
        world.add(ann, ben);
        world.send(ann, "ben", "may I?");
        world.run(MINUTE);
        assert_eq!(world.requests(ben).len(), 1, "seed {seed}");
        assert_eq!(
            why(&mut world, ann).waits,
            Some(Waits::Acceptance),
            "seed {seed}"
        );
        assert_eq!(may_have_it(&mut world, ann), given, "seed {seed}");
        // also when it is given up, and in another run
        world.set_reachable(ben, false);
        world.run(31 * DAY);
        assert_eq!(
            why(&mut world, ann).status,
            Some(Status::Failed),
            "seed {seed}"
        );
        assert_eq!(may_have_it(&mut world, ann), given, "seed {seed}");
        world.look_into(ann);
        assert_eq!(may_have_it(&mut world, ann), given, "seed {seed}");
    }
}

#[test]
fn whom_a_server_has_found_is_known_to_it_by_whatever_way_the_message_went() {
    for seed in seeds(1) {
        for relayed in [false, true] {
            let mut world = World::new(seed);
            let server = world.open_rendezvous("rdv");
            let relay = world.open_relay("relay");
            let link = world.relay(relay).link();
            let servers = world.rendezvous(server).link();
            let servers = vec![RendezvousPlace::Link(Box::new(servers))];
            let [ann, ben] = ["ann", "ben"].map(|name| {
                world.join_with(name, |config| {
                    config.rendezvous = Some(servers.clone());
                    if relayed {
                        config.direct = Direct::Never;
                        config.relays = vec![link.clone()];
                    }
                })
            });
            world.run(MINUTE);
            let add = Command::Add {
                who: world.id(ben).to_string(),
                alias: Some("ben".to_owned()),
                despite_confusable: false,
            };
            world.command(ann, add);
            world.send(ann, "ben", "found you");
            world.run(MINUTE);
            world.add(ben, ann);
            world.run(60 * MINUTE);
            let view = why(&mut world, ann);
            let seen: Vec<_> = view.privacy.seen.iter().map(|seen| seen.who).collect();
            let expected: &[Observer] = match relayed {
                true => &[
                    Observer::Contact,
                    Observer::NetworkToRelay,
                    Observer::Relay,
                    Observer::Rendezvous,
                ],
                false => &[
                    Observer::Contact,
                    Observer::NetworkBetween,
                    Observer::Rendezvous,
                ],
            };
            assert_eq!(seen, expected, "seed {seed}: {view:?}");
        }
    }
}
