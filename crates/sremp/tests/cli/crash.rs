//! Both clients killed with -9 in the middle of a conversation.

use std::collections::BTreeSet;

use sremp_client::{home::Passphrase, store::StoreError};

use crate::support::{Home, Running, acquainted};

/// Messages each way.
const EACH: usize = 100;

fn say(home: &Home, to: &str, from: usize, until: usize) {
    for n in from..until {
        home.ok(&["send", to, &n.to_string()]);
    }
}

/// Reads on until the last message of the other has come.
fn read_all(reader: &Running) {
    let last = (EACH - 1).to_string();
    reader.object(|event| event["event"] == "message" && event["text"] == last.as_str());
}

#[test]
fn every_message_is_in_both_histories_once_and_in_order_after_kill_9() {
    let (ann, ben) = acquainted();
    let (ann_up, ben_up) = (ann.up(), ben.up());
    std::thread::scope(|scope| {
        scope.spawn(|| say(&ann, "ben", 0, EACH / 2));
        scope.spawn(|| say(&ben, "ann", 0, EACH / 2));
    });
    ann_up.kill();
    ben_up.kill();
    // Written while no client runs at all.
    say(&ann, "ben", EACH / 2, EACH / 2 + 5);
    let (ann_up, ben_up) = (ann.up(), ben.up());
    std::thread::scope(|scope| {
        scope.spawn(|| say(&ann, "ben", EACH / 2 + 5, EACH));
        scope.spawn(|| say(&ben, "ann", EACH / 2, EACH));
    });
    let (anns, bens) = (
        ann.start(&["recv", "--json", "--follow"]),
        ben.start(&["recv", "--json", "--follow"]),
    );
    read_all(&anns);
    read_all(&bens);
    let said: Vec<String> = (0..EACH).map(|n| n.to_string()).collect();
    for (home, other) in [(&ann, "ben"), (&ben, "ann")] {
        assert_eq!(home.texts(other, "sent"), said);
        assert_eq!(home.texts(other, "received"), said);
    }
    drop((anns, bens));
    for (home, running) in [(&ann, ann_up), (&ben, ben_up)] {
        running.kill();
        let keys = keys_used(home);
        assert!(keys.len() >= EACH, "{} keys", keys.len());
        let envelopes: BTreeSet<_> = keys.iter().map(|(_, envelope)| envelope).collect();
        let used: BTreeSet<_> = keys.iter().map(|(key, _)| key).collect();
        assert_eq!(used.len(), keys.len(), "a key encrypted two envelopes");
        assert_eq!(envelopes.len(), keys.len(), "an envelope came of two keys");
    }
}

/// Session, ratchet key, place in its chain.
type KeyName = (Vec<u8>, u32, u32);

/// The audit of a home's store: session, ratchet key and place in its chain, envelope.
fn keys_used(home: &Home) -> Vec<(KeyName, Vec<u8>)> {
    let home = sremp_client::home::Home::at(home.path());
    let lock = home.lock().unwrap();
    let mut store = home.open(&lock, &Passphrase::None).unwrap();
    let read = store.transaction(|tx| {
        let mut keys = Vec::new();
        for contact in tx.contacts()? {
            for (session, _) in tx.sessions(contact.row)? {
                let used = tx.key_uses(&session, None, 10_000)?;
                let bytes = |b: &[u8]| b.to_vec();
                keys.extend(used.iter().map(|u| {
                    let envelope = bytes(u.envelope.as_bytes());
                    ((bytes(session.as_bytes()), u.epoch, u.n), envelope)
                }));
            }
        }
        Ok::<_, StoreError>(keys)
    });
    read.unwrap()
}
