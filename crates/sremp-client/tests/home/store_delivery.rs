//! Sessions, the audit of their keys, the outbox, and the events that tell of it.

use crate::support::*;
use sremp_client::store::{
    ContactRow, EVENTS_KEPT, KEY_USE_AGE, NewOutboxItem, PrekeyKind, Store, StoreError,
};
use sremp_core::{
    id::{EnvelopeId, SessionId},
    time::UnixMillis,
};

fn session(n: u8) -> SessionId {
    SessionId::new([n; 16])
}

fn envelope(n: u8) -> EnvelopeId {
    EnvelopeId::new([n; 32])
}

fn item(contact: ContactRow, n: u64, content: &[u8]) -> NewOutboxItem<'_> {
    NewOutboxItem {
        contact,
        msg_id: msg_id(n),
        content,
        created: at(n),
        expires: at(n + 1_000),
    }
}

#[test]
fn a_message_key_encrypts_one_envelope_ever() {
    let mut store = Store::in_memory().unwrap();
    let mut record = |session, epoch, n, envelope| {
        store.transaction(|tx| tx.record_key_use(&session, epoch, n, &envelope))
    };
    assert_eq!(record(session(1), 0, 0, envelope(1)), Ok(()));
    assert_eq!(
        record(session(1), 0, 0, envelope(1)),
        Ok(()),
        "the same envelope again"
    );
    assert_eq!(
        record(session(1), 0, 0, envelope(2)),
        Err(StoreError::KeyReused)
    );
    for (s, epoch, n) in [(1, 0, 1), (1, 1, 0), (2, 0, 0), (1, u32::MAX, u32::MAX)] {
        assert_eq!(record(session(s), epoch, n, envelope(2)), Ok(()));
    }
    let uses = commit(&mut store, |tx| tx.key_uses(&session(1), None, 10));
    let keys: Vec<_> = uses.iter().map(|u| (u.epoch, u.n)).collect();
    assert_eq!(keys, [(0, 0), (0, 1), (1, 0), (u32::MAX, u32::MAX)]);
    let rest = commit(&mut store, |tx| tx.key_uses(&session(1), Some((0, 1)), 1));
    assert_eq!(
        (rest.len(), rest[0].epoch, rest[0].envelope),
        (1, 1, envelope(2))
    );
}

#[test]
fn a_reused_key_cannot_be_overlooked() {
    let mut store = Store::in_memory().unwrap();
    let ann = befriend(&mut store, 1);
    commit(&mut store, |tx| {
        tx.record_key_use(&session(1), 0, 0, &envelope(1))
    });
    let outcome = store.transaction(|tx| {
        tx.save_session(ann, &session(1), b"advanced")?;
        let _ = tx.record_key_use(&session(1), 0, 0, &envelope(2));
        Ok::<_, StoreError>(())
    });
    assert_eq!(outcome, Err(StoreError::KeyReused));
    assert!(commit(&mut store, |tx| tx.sessions(ann)).is_empty());
}

#[test]
fn the_audit_outlives_its_session_by_sixty_days() {
    let mut store = Store::in_memory().unwrap();
    let (ann, bob) = (befriend(&mut store, 1), befriend(&mut store, 2));
    commit(&mut store, |tx| {
        for (n, contact) in [(1, ann), (2, ann), (3, bob)] {
            tx.save_session(contact, &session(n), b"state")?;
            tx.record_key_use(&session(n), 0, 0, &envelope(n))?;
        }
        tx.delete_session(&session(1))?;
        tx.delete_contact(bob)
    });
    let mut kept = |now: UnixMillis| -> Vec<usize> {
        commit(&mut store, |tx| {
            tx.prune_key_uses(now)?;
            let kept = |n| Ok(tx.key_uses(&session(n), None, 10)?.len());
            [1, 2, 3].into_iter().map(kept).collect()
        })
    };
    assert_eq!(kept(at(0)), [1, 1, 1]);
    assert_eq!(kept(at(0).plus(KEY_USE_AGE)), [1, 1, 1]);
    assert_eq!(kept(at(1).plus(KEY_USE_AGE)), [0, 1, 0]);
}

#[test]
fn sessions_are_found_by_contact_and_by_id() {
    let mut store = Store::in_memory().unwrap();
    let (ann, bob) = (befriend(&mut store, 1), befriend(&mut store, 2));
    commit(&mut store, |tx| {
        tx.save_session(ann, &session(9), b"first")?;
        tx.save_session(ann, &session(1), b"second")?;
        tx.save_session(bob, &session(5), b"other")?;
        tx.save_session(ann, &session(9), b"first, advanced")
    });
    let states = commit(&mut store, |tx| tx.sessions(ann));
    assert_eq!(states[0], (session(9), b"first, advanced".to_vec().into()));
    assert_eq!((states.len(), states[1].0), (2, session(1)));
    let owner = |store: &mut Store, n| commit(store, |tx| tx.session_contact(&session(n)));
    assert_eq!(
        (owner(&mut store, 5), owner(&mut store, 6)),
        (Some(bob), None)
    );
    commit(&mut store, |tx| tx.delete_session(&session(9)));
    assert_eq!(owner(&mut store, 9), None);
}

#[test]
fn the_outbox_keeps_the_order_of_making_and_the_envelopes_byte_for_byte() {
    let mut store = Store::in_memory().unwrap();
    let (ann, bob) = (befriend(&mut store, 1), befriend(&mut store, 2));
    let ids = commit(&mut store, |tx| {
        let first = tx.push_outbox(&item(ann, 1, b"one"))?;
        tx.push_outbox(&item(bob, 2, b"to bob"))?;
        let second = tx.push_outbox(&item(ann, 3, b"two"))?;
        tx.set_envelope(first, &session(1), b"sealed one", &envelope(1))?;
        Ok([first, second])
    });
    let items = commit(&mut store, |tx| tx.outbox(ann, 0, 10));
    let contents: Vec<_> = items.iter().map(|i| i.content.as_slice()).collect();
    assert_eq!(contents, [b"one", b"two"]);
    assert_eq!(items[0].envelope.as_deref(), Some(b"sealed one".as_slice()));
    assert_eq!(
        (items[0].session, items[1].envelope_id),
        (Some(session(1)), None)
    );
    assert_eq!((items[1].created, items[1].expires), (at(3), at(1_003)));
    assert_eq!(commit(&mut store, |tx| tx.outbox(ann, 0, 1)).len(), 1);
    assert_eq!(
        commit(&mut store, |tx| tx.outbox_contacts()),
        [(ann, 2), (bob, 1)]
    );

    let by = |store: &mut Store, who, n| {
        commit(store, |tx| tx.outbox_by_envelope(who, &envelope(n))).map(|i| i.id)
    };
    assert_eq!(by(&mut store, ann, 1), Some(ids[0]));
    assert_eq!(by(&mut store, bob, 1), None, "only by the one it is for");
    let cleared = |store: &mut Store| commit(store, |tx| tx.clear_envelopes(ann));
    assert_eq!(cleared(&mut store), 0, "nothing that the user has written");
    assert_eq!(by(&mut store, ann, 1), None);
    commit(&mut store, |tx| {
        for (n, id) in (1..).zip(ids) {
            tx.set_envelope(id, &session(1), b"sealed anew", &envelope(n))?;
        }
        tx.insert_message(&sent(ann, 3, "two"))
    });
    assert_eq!(cleared(&mut store), 1);
    assert_eq!(by(&mut store, ann, 1), None);
    assert_eq!(
        commit(&mut store, |tx| tx.outbox(ann, 0, 1))[0]
            .content
            .as_slice(),
        b"one"
    );
}

#[test]
fn a_place_in_the_outbox_stays_true_when_items_go() {
    let mut store = Store::in_memory().unwrap();
    let ann = befriend(&mut store, 1);
    let first = commit(&mut store, |tx| tx.push_outbox(&item(ann, 1, b"one")));
    assert!(commit(&mut store, |tx| tx.remove_outbox(first)));
    assert!(!commit(&mut store, |tx| tx.remove_outbox(first)));
    commit(&mut store, |tx| tx.push_outbox(&item(ann, 2, b"two")));
    let after = commit(&mut store, |tx| tx.outbox(ann, first, 10));
    assert_eq!(
        after.len(),
        1,
        "a reader that stood behind the first sees the second"
    );
}

#[test]
fn what_is_to_be_given_up_is_found_by_time() {
    let mut store = Store::in_memory().unwrap();
    let ann = befriend(&mut store, 1);
    commit(&mut store, |tx| {
        (1..=5).try_for_each(|n| tx.push_outbox(&item(ann, n, b"x")).map(drop))
    });
    let mut expired = |now, limit| -> Vec<_> {
        let items = commit(&mut store, |tx| tx.expired_outbox(at(now), limit));
        items.iter().map(|i| i.msg_id).collect()
    };
    assert_eq!(expired(1_000, 10), []);
    assert_eq!(expired(1_003, 10), [msg_id(1), msg_id(2), msg_id(3)]);
    assert_eq!(expired(9_000, 2), [msg_id(1), msg_id(2)]);
}

#[test]
fn events_come_again_until_they_are_acknowledged() {
    let mut store = Store::in_memory().unwrap();
    let last = commit(&mut store, |tx| {
        assert_eq!((tx.last_event()?, tx.acknowledged()?), (0, 0));
        tx.append_event("{\"n\":1}", at(1))?;
        tx.append_event("{\"n\":2}", at(2))?;
        tx.append_event("{\"n\":3}", at(3))
    });
    assert_eq!(last, 3);
    commit(&mut store, |tx| {
        assert_eq!(tx.events(1, 1)?, [(2, "{\"n\":2}".to_owned())]);
        tx.acknowledge(2)?;
        tx.acknowledge(1)?;
        assert_eq!(tx.acknowledged()?, 2, "never back");
        tx.acknowledge(99)?;
        assert_eq!(tx.acknowledged()?, 3, "never ahead of the last event");
        assert_eq!(tx.events(0, 10)?.len(), 3, "still there for who asks");
        assert_eq!(tx.events(u64::MAX, 10)?.len(), 0);
        Ok(())
    });
}

#[test]
fn acknowledged_events_are_pruned_and_numbers_go_on() {
    let mut store = Store::in_memory().unwrap();
    commit(&mut store, |tx| {
        for n in 0..EVENTS_KEPT + 50 {
            tx.append_event("{}", at(n))?;
        }
        assert_eq!(
            tx.events(0, 1)?[0].0,
            1,
            "nothing goes before it was acknowledged"
        );
        tx.acknowledge(EVENTS_KEPT + 20)?;
        assert_eq!(tx.events(0, 1)?[0].0, 21);
        tx.acknowledge(u64::MAX)?;
        assert_eq!(tx.events(0, u32::MAX)?.len() as u64, EVENTS_KEPT);
        assert_eq!(tx.append_event("{}", at(0))?, EVENTS_KEPT + 51);
        Ok(())
    });
}

#[test]
fn prekeys_are_kept_by_kind_and_go_by_age() {
    let mut store = Store::in_memory().unwrap();
    commit(&mut store, |tx| {
        for (n, kind) in [
            PrekeyKind::Signed,
            PrekeyKind::OneTime,
            PrekeyKind::Envelope,
        ]
        .into_iter()
        .enumerate()
        {
            let n = n as u64;
            tx.save_prekey(kind, 1, at(n), b"old")?;
            tx.save_prekey(kind, u32::MAX, at(n + 10), b"new")?;
        }
        let kind = PrekeyKind::Signed;
        assert_eq!(tx.prekey(kind, 1)?.unwrap().as_slice(), b"old");
        assert!(tx.prekey_exists(kind, u32::MAX)? && !tx.prekey_exists(kind, 2)?);
        let (id, created, secret) = tx.newest_prekey(kind)?.unwrap();
        assert_eq!(
            (id, created, secret.as_slice()),
            (u32::MAX, at(10), b"new".as_slice())
        );
        assert!(tx.newest_prekey(PrekeyKind::DhIdentity)?.is_none());
        assert_eq!(tx.delete_prekeys_before(kind, at(10))?, 1);
        assert!(tx.delete_prekey(PrekeyKind::OneTime, 1)?);
        assert!(!tx.delete_prekey(PrekeyKind::OneTime, 1)?);
        assert_eq!(
            (tx.prekeys(kind)?, tx.prekeys(PrekeyKind::Envelope)?),
            (1, 2)
        );
        Ok(())
    });
    let again = store.transaction(|tx| tx.save_prekey(PrekeyKind::Signed, u32::MAX, at(0), b"x"));
    assert!(
        matches!(again, Err(StoreError::Other(_))),
        "an id is not reused while its key lives"
    );
}

#[test]
fn an_invite_lets_in_once_and_not_for_ever() {
    let mut store = Store::in_memory().unwrap();
    commit(&mut store, |tx| {
        tx.insert_invite(&[0xab; 32], at(100), at(0))?;
        tx.insert_invite(&[0xcd; 32], at(200), at(1))?;
        assert!(tx.invite_is_open(&[0xab; 32], at(99))?);
        assert!(!tx.invite_is_open(&[0xab; 32], at(100))?);
        assert!(!tx.burn_invite(&[0xab; 32], at(100))?);
        let names: Vec<_> = tx.invites(at(50))?.iter().map(|i| i.name()).collect();
        assert_eq!(names, ["abababab", "cdcdcdcd"]);
        assert!(tx.burn_invite(&[0xab; 32], at(50))?);
        assert!(!tx.burn_invite(&[0xab; 32], at(50))?);
        assert_eq!(tx.delete_invite("CDCDCDCD")? + tx.delete_invite("cd")?, 1);
        assert!(tx.invites(at(50))?.is_empty());
        Ok(())
    });
}
