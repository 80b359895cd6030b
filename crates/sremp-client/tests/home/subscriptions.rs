//! Where a subscription begins.

use crate::support::*;
use sremp_client::{
    client::{Face, StartOptions},
    home::Passphrase,
    store::EVENTS_KEPT,
    view::{Command, ErrorKind, Reply, SubscribedView},
};

const LAST: u64 = EVENTS_KEPT + 20;

/// A client with more events than are kept once they are acknowledged.
fn with_events(directory: &std::path::Path) -> Face {
    let home = make_home(&directory.join("home")).unwrap();
    let mut store = open(&home).unwrap();
    commit(&mut store, |tx| {
        for _ in 0..LAST {
            tx.append_event("{\"event\":\"unknown-to-this-version\"}", at(1))?;
        }
        Ok(())
    });
    drop(store);
    Face::start(&home, &Passphrase::None, &StartOptions::default()).unwrap()
}

fn subscribe(face: &Face, after: Option<u64>) -> SubscribedView {
    match face.call(&Command::Subscribe { after }) {
        Ok(Reply::Subscribed(view)) => view,
        other => panic!("{other:?}"),
    }
}

#[test]
fn whoever_asks_for_what_is_forgotten_is_told_where_it_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let face = with_events(directory.path());
    let begins = |after, forgotten| SubscribedView {
        after,
        last: LAST,
        forgotten,
    };
    // nothing is forgotten that nobody acknowledged
    assert_eq!(subscribe(&face, None), begins(0, None));
    face.call(&Command::Ack { seq: LAST }).unwrap();
    assert_eq!(subscribe(&face, None), begins(LAST, None));
    assert_eq!(subscribe(&face, Some(20)), begins(20, None));
    assert_eq!(subscribe(&face, Some(19)), begins(20, Some(20)));
    let ahead = Command::Subscribe {
        after: Some(LAST + 1),
    };
    assert_eq!(face.call(&ahead).unwrap_err().kind, ErrorKind::Usage);
    for wait_ms in [0, 60_000] {
        let ahead = Command::Events {
            after: Some(LAST + 1),
            limit: 1,
            wait_ms,
        };
        assert_eq!(face.call(&ahead).unwrap_err().kind, ErrorKind::Usage);
    }
    face.stop();
}

#[test]
fn a_face_of_another_home_acknowledges_nothing_that_nobody_has_seen() {
    let directory = tempfile::tempdir().unwrap();
    let face = with_events(directory.path());
    face.call(&Command::Ack { seq: 7 }).unwrap();
    let ahead = Command::Ack { seq: LAST + 1 };
    assert_eq!(face.call(&ahead).unwrap_err().kind, ErrorKind::Usage);
    assert_eq!(subscribe(&face, None).after, 7);
    face.stop();
}

#[test]
fn a_page_of_events_that_are_not_known_here_is_gone_past() {
    let directory = tempfile::tempdir().unwrap();
    let face = with_events(directory.path());
    let page = Command::Events {
        after: Some(5),
        limit: 10,
        wait_ms: 60_000,
    };
    let (events, upto) = (Vec::new(), 15);
    assert_eq!(face.call(&page), Ok(Reply::Events { events, upto }));
    face.stop();
}
