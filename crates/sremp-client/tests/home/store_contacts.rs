//! Contacts: what is known of them, how it changes, what outlives them.

use crate::support::*;
use sremp_client::{
    store::{Fork, NewContact, NewOutboxItem, Store, StoreError},
    view::Standing,
};
use sremp_core::{
    contact_card::Endpoint,
    id::{IntroToken, SessionId},
    identity::{SecretIdentity, Trust, VerifiedVia, VersionRecord},
    route::Choice,
};

#[test]
fn a_contact_comes_back_as_it_was_stored() {
    let mut store = Store::in_memory().unwrap();
    let row = befriend(&mut store, 1);
    let mut contact = commit(&mut store, |tx| tx.contact(row)).unwrap();
    assert_eq!((contact.trust, contact.next_seq), (Trust::Unknown, 1));
    assert_eq!((contact.identity.is_none(), contact.prev), (true, [0; 16]));

    contact.alias = None;
    contact.identity = Some(somebody(1).identity().clone());
    contact.standing = Standing::Request;
    contact.declined = true;
    contact.trust = Trust::Rejected;
    contact.verified_via = VerifiedVia::Number;
    contact.trusted_at = Some(at(5));
    contact.last_seen = Some(at(6));
    contact.fork = Fork::Settled;
    let endpoint = |text: &str| text.parse::<Endpoint>().unwrap();
    contact.endpoints = vec![endpoint("a.example:1"), endpoint("[::1]:65535")];
    contact.envelope_key = Some(vec![4; 32]);
    contact.intro = Some(IntroToken::new([5; 16]));
    contact.confirmed = true;
    contact.introduced = true;
    contact.next_seq = u64::MAX;
    contact.prev = [6; 16];
    contact.peer_seq = 1 << 63;
    contact.peer_prev = [7; 16];
    contact.peer_profile_rev = u64::MAX;
    contact.sent_profile_rev = 9;
    contact.book = Some(vec![8; 9_000]);
    commit(&mut store, |tx| tx.update_contact(&contact));
    let found = commit(&mut store, |tx| tx.contact_by_key(&id_of(1)));
    assert_eq!(found.as_ref(), Some(&contact));
    assert_eq!(commit(&mut store, |tx| tx.contacts()), [contact]);
    assert_eq!(commit(&mut store, |tx| tx.contact_by_key(&id_of(2))), None);
}

#[test]
fn every_part_of_a_contact_can_change_alone() {
    let mut store = Store::in_memory().unwrap();
    let row = befriend(&mut store, 1);
    let changes: [fn(&mut sremp_client::store::ContactRecord); 6] = [
        |c| c.next_seq += 1,
        |c| c.book = Some(vec![1]),
        |c| c.alias = None,
        |c| c.identity = Some(somebody(1).identity().clone()),
        |c| c.book = None,
        |c| c.trust = Trust::Trusted,
    ];
    for change in changes {
        let mut contact = commit(&mut store, |tx| tx.contact(row)).unwrap();
        change(&mut contact);
        commit(&mut store, |tx| tx.update_contact(&contact));
        assert_eq!(commit(&mut store, |tx| tx.contact(row)), Some(contact));
    }
}

#[test]
fn the_word_on_direct_connections_stays_until_it_is_taken_back_or_the_contact_goes() {
    let mut store = Store::in_memory().unwrap();
    let [ann, ben] = [1, 2].map(|n| befriend(&mut store, n));
    let word = |store: &mut Store, row| commit(store, |tx| tx.contact(row)).unwrap().direct;
    assert_eq!(word(&mut store, ann), Choice::Default);
    assert!(!commit(&mut store, |tx| tx.any_direct_off()));
    for choice in [Choice::Off, Choice::On, Choice::Off] {
        commit(&mut store, |tx| tx.set_direct(ann, choice));
        assert_eq!(word(&mut store, ann), choice);
        assert_eq!(
            commit(&mut store, |tx| tx.any_direct_off()),
            choice == Choice::Off
        );
    }
    commit(&mut store, |tx| tx.set_direct(ben, Choice::On));
    assert_eq!(
        commit(&mut store, |tx| tx.direct_choices()),
        [(id_of(1), Choice::Off), (id_of(2), Choice::On)]
    );
    commit(&mut store, |tx| tx.set_direct(ben, Choice::Default));
    commit(&mut store, |tx| tx.delete_contact(ann));
    assert!(commit(&mut store, |tx| tx.direct_choices()).is_empty());
    let nobody = store.transaction(|tx| tx.set_direct(ann, Choice::Off));
    assert!(nobody.is_err());
}

#[test]
fn a_key_is_one_contact() {
    let mut store = Store::in_memory().unwrap();
    befriend(&mut store, 1);
    let again = NewContact {
        key: id_of(1),
        alias: None,
        standing: Standing::Request,
        first_seen: at(9),
    };
    let outcome = store.transaction(|tx| tx.insert_contact(&again));
    assert!(matches!(outcome, Err(StoreError::Other(_))));
    assert_eq!(commit(&mut store, |tx| tx.contacts()).len(), 1);
}

#[test]
fn requests_that_wait_are_counted() {
    let mut store = Store::in_memory().unwrap();
    befriend(&mut store, 1);
    for n in 2..=4 {
        let stranger = NewContact {
            key: id_of(n),
            alias: None,
            standing: Standing::Request,
            first_seen: at(0),
        };
        commit(&mut store, |tx| tx.insert_contact(&stranger));
    }
    assert_eq!(commit(&mut store, |tx| tx.pending_requests()), 3);
    for (n, declined) in [(2, true), (3, false)] {
        let mut contact = commit(&mut store, |tx| tx.contact_by_key(&id_of(n))).unwrap();
        contact.declined = declined;
        if !declined {
            contact.standing = Standing::Accepted;
        }
        commit(&mut store, |tx| tx.update_contact(&contact));
    }
    assert_eq!(commit(&mut store, |tx| tx.pending_requests()), 1);
}

#[test]
fn a_deleted_contact_leaves_only_its_highest_version() {
    let mut store = Store::in_memory().unwrap();
    let (ann, bob) = (befriend(&mut store, 1), befriend(&mut store, 2));
    let record = VersionRecord {
        version: 1 << 53,
        verified_hash: [3; 32],
    };
    commit(&mut store, |tx| {
        for contact in [ann, bob] {
            tx.insert_message(&received(contact, 1, "hello"))?;
            tx.save_session(contact, &SessionId::new([contact.0 as u8; 16]), b"state")?;
            tx.push_outbox(&NewOutboxItem {
                contact,
                msg_id: msg_id(2),
                content: b"content",
                created: at(0),
                expires: at(1),
            })?;
        }
        tx.save_version_record(&id_of(1), &record)?;
        tx.delete_contact(ann)
    });
    commit(&mut store, |tx| {
        assert_eq!(tx.contact(ann)?, None);
        assert_eq!(tx.sessions(ann)?.len() + tx.outbox(ann, 0, 9)?.len(), 0);
        assert_eq!(tx.history(ann, None, 9)?.len(), 0);
        assert_eq!(tx.search("hello", 9)?.len(), 1);
        assert_eq!(tx.sessions(bob)?.len() + tx.outbox(bob, 0, 9)?.len(), 2);
        assert_eq!(tx.version_record(&id_of(1))?, Some(record));
        assert_eq!(tx.version_record(&id_of(2))?, None);
        Ok(())
    });
    store.integrity_check().unwrap();
    assert!(
        befriend(&mut store, 1) > bob,
        "a row number is never given again"
    );
    let gone = store.transaction(|tx| tx.delete_contact(ann));
    assert!(matches!(gone, Err(StoreError::Other(_))));
}

#[test]
fn what_belongs_to_nobody_is_refused() {
    let mut store = Store::in_memory().unwrap();
    let nobody = sremp_client::store::ContactRow(99);
    let line = store.transaction(|tx| tx.insert_message(&received(nobody, 1, "x")).map(drop));
    let state = store.transaction(|tx| tx.save_session(nobody, &SessionId::new([1; 16]), b"x"));
    for outcome in [line, state] {
        assert!(matches!(outcome, Err(StoreError::Other(_))), "{outcome:?}");
    }
}

#[test]
fn own_identity_and_settings_are_replaced_in_place() {
    let mut store = Store::in_memory().unwrap();
    let none = store.transaction(|tx| tx.own_identity());
    assert_eq!(none.err(), Some(StoreError::Damaged));
    for n in [1, 2] {
        commit(&mut store, |tx| {
            tx.save_own_identity(&somebody(n).to_parts())
        });
        let parts = commit(&mut store, |tx| tx.own_identity());
        assert_eq!(SecretIdentity::from_parts(&parts).unwrap().id(), id_of(n));
    }
    commit(&mut store, |tx| {
        assert_eq!(tx.setting("a")?, None);
        tx.set_setting("a", b"1")?;
        tx.set_setting("a", b"")?;
        assert_eq!(tx.setting("a")?, Some(Vec::new()));
        Ok(())
    });
}
