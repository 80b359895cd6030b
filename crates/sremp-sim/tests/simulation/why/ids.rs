//! By which ids a message is named.

use sremp_client::{
    store::{NewMessage, StoreError},
    view::{Command, ErrorKind, MessageKind, Reply, Status},
};
use sremp_sim::{Alone, Scripted};

/// A line of a conversation with an id that the test chooses.
fn insert(ann: &mut Alone, contact: usize, kind: MessageKind, id: &str) {
    let msg_id = id.parse().unwrap();
    let sent = ann.now().wall;
    let inserted = ann.node.store.transaction(|tx| {
        let contact = tx.contacts()?[contact].row;
        tx.insert_message(&NewMessage {
            contact,
            msg_id: Some(msg_id),
            kind,
            seq: 1,
            text: "hello",
            sent,
            received: (kind == MessageKind::Received).then_some(sent),
            status: (kind == MessageKind::Sent).then_some(Status::Queued),
            path: None,
        })?;
        Ok::<_, StoreError>(())
    });
    inserted.unwrap();
}

#[test]
fn an_id_that_names_no_message_or_several_is_refused_with_what_to_do() {
    let mut ann = Alone::new("ann");
    for name in ["ben", "cat"] {
        Scripted::known_to(&mut ann, name);
    }
    let id = |digits: &str| format!("{digits:0<32}");
    insert(&mut ann, 0, MessageKind::Sent, &id("abcdef01"));
    insert(&mut ann, 1, MessageKind::Received, &id("abcdef02"));
    let mut ask = |msg_id: &str| {
        let msg_id = msg_id.to_owned();
        match ann.command(Command::Why { msg_id }) {
            Ok(Reply::Why(view)) => Ok((view.alias, view.msg_id)),
            Err(error) => Err((error.kind, error.message)),
            other => panic!("{other:?}"),
        }
    };
    let (ben, cat) = ("ben".to_owned(), "cat".to_owned());
    assert_eq!(ask("abcdef01"), Ok((ben, id("abcdef01"))));
    assert_eq!(ask("ABCDEF02"), Ok((cat, id("abcdef02"))));
    for (typed, remedy) in [
        ("abcdef", "give more of its digits"),
        ("abcdef0", "give more of its digits"),
        ("abcdef03", "`sremp history --json`"),
        ("abcdee", "`sremp history --json`"),
        ("abcde", "at least 6 of the first"),
        ("abcdex", "at least 6 of the first"),
        (&id("abcdef01f").repeat(2), "at least 6 of the first"),
    ] {
        let (kind, words) = ask(typed).unwrap_err();
        assert_eq!(kind, ErrorKind::Usage, "{typed}");
        assert!(words.contains(remedy), "{typed}: {words}");
    }
}

#[test]
fn contacts_who_give_the_id_of_a_message_to_one_of_theirs_do_not_hide_its_way() {
    let mut ann = Alone::new("ann");
    for name in ["ben", "cat", "dan"] {
        Scripted::known_to(&mut ann, name);
    }
    let [own, theirs] = ["ab", "cd"].map(|digits| digits.repeat(16));
    for contact in [0, 1] {
        insert(&mut ann, contact, MessageKind::Received, &own);
        insert(&mut ann, contact, MessageKind::Received, &theirs);
    }
    insert(&mut ann, 2, MessageKind::Sent, &own);
    let mut ask = |id: &str| {
        let msg_id = id.to_owned();
        ann.command(Command::Why { msg_id })
    };
    match ask(&own) {
        Ok(Reply::Why(view)) => {
            assert_eq!((view.alias, view.kind), ("dan".into(), MessageKind::Sent))
        }
        other => panic!("{other:?}"),
    }
    // of fewer digits it is not known which is meant
    assert!(ask(&own[..31]).is_err());
    let words = ask(&theirs).unwrap_err().message;
    assert!(words.contains("@CONTACT"), "{words}");
    assert!(!words.contains("more of its digits"), "{words}");
    for name in ["ben", "cat"] {
        match ask(&format!("{theirs}@{name}")) {
            Ok(Reply::Why(view)) => assert_eq!(view.alias, name),
            other => panic!("{other:?}"),
        }
    }
    assert!(ask(&format!("{own}@dan")).is_ok());
    assert!(ask(&format!("{theirs}@dan")).is_err(), "it is none of his");
    assert_eq!(
        ask(&format!("{theirs}@eve")).unwrap_err().kind,
        ErrorKind::Contact
    );
    // what is done to one leaves the other
    let erase = |id: String| Command::Erase { msg_id: id };
    assert!(ann.command(erase(theirs.clone())).is_err());
    ann.command(erase(format!("{theirs}@ben"))).unwrap();
    match ann.command(Command::Why { msg_id: theirs }) {
        Ok(Reply::Why(view)) => assert_eq!(view.alias, "cat", "the other is left"),
        other => panic!("{other:?}"),
    }
}
