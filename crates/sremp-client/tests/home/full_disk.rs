//! A whole client whose disk is full while it runs: nothing is sent or confirmed that was not kept,
//! and it goes on by itself when there is room.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::Path,
    thread,
    time::Duration,
};

use serde_json::json;

use crate::support::small_disk::SmallDisk;
use sremp_client::{
    client::{Face, InitParams, StartOptions, connect, init},
    home::{Home, Passphrase},
    view::{Command, CommandError, ErrorKind, EventKind, MessageKind, Reply, Status, Wait},
};
use sremp_core::contact_card::RelayLink;

const A_MINUTE: u64 = 60_000;

fn make(path: &Path, name: &str) -> Home {
    make_with(path, name, Vec::new())
}

fn make_with(path: &Path, name: &str, relays: Vec<String>) -> Home {
    let home = Home::at(path);
    let params = InitParams {
        name: name.to_owned(),
        passphrase: Passphrase::None,
        listen: Some("127.0.0.1:0".to_owned()),
        advertise: None,
        relays,
        rendezvous: Vec::new(),
    };
    init(&home, &params).unwrap();
    home
}

fn start(home: &Home) -> Face {
    start_with(home, false)
}

fn start_with(home: &Home, serve: bool) -> Face {
    let options = StartOptions {
        online: true,
        serve,
        ..StartOptions::default()
    };
    Face::start(home, &Passphrase::None, &options).unwrap()
}

fn card(face: &Face) -> String {
    match face.call(&Command::Id).unwrap() {
        Reply::Id(view) => view.card,
        other => panic!("{other:?}"),
    }
}

fn add(face: &Face, card: String, alias: &str) {
    let add = Command::Add {
        who: card,
        alias: Some(alias.to_owned()),
        despite_confusable: false,
    };
    face.call(&add).unwrap();
}

fn send(
    face: &Face,
    contact: &str,
    text: &str,
    wait: Wait,
    timeout_ms: u64,
) -> Result<Status, CommandError> {
    let send = Command::Send {
        contact: contact.to_owned(),
        text: text.to_owned(),
        reply_to: None,
        key: None,
        wait,
        timeout_ms,
    };
    match face.call(&send)? {
        Reply::Sent(sent) => Ok(sent.status),
        other => panic!("{other:?}"),
    }
}

/// The texts of a conversation that were sent, or received.
fn texts(face: &Face, contact: &str, kind: MessageKind) -> Vec<String> {
    let history = Command::History {
        contact: contact.to_owned(),
        before: None,
        limit: 1_000,
    };
    match face.call(&history).unwrap() {
        Reply::Messages { messages } => {
            let lines = messages.into_iter().filter(|line| line.kind == kind);
            lines.map(|line| line.text).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// Waits until so many messages have come.
fn receive(face: &Face, wanted: usize) {
    let (mut after, mut received) = (0, 0);
    while received < wanted {
        let events = Command::Events {
            after: Some(after),
            limit: 1_000,
            wait_ms: A_MINUTE,
        };
        let Reply::Events { events, .. } = face.call(&events).unwrap() else {
            panic!("no events");
        };
        assert!(!events.is_empty(), "{received} of {wanted} in time");
        for event in events {
            after = event.seq;
            received += usize::from(matches!(event.event, EventKind::Message { .. }));
        }
    }
}

#[test]
fn a_client_whose_disk_is_full_confirms_nothing_more_and_goes_on_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let small = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(small.path(), "size=3m") else {
        return;
    };
    let anns_home = make(&directory.path().join("ann"), "Ann");
    let bens_home = make(&small.path().join("ben"), "Ben");
    let (ann, ben) = (start(&anns_home), start(&bens_home));
    add(&ann, card(&ben), "ben");
    add(&ben, card(&ann), "ann");
    let first = send(&ann, "ben", "first", Wait::Device, A_MINUTE);
    assert_eq!(first.unwrap(), Status::OnDevice);
    ann.stop();

    // Ben writes until his disk is full
    let mut written = Vec::new();
    let error = loop {
        let text = format!("{} {}", written.len(), "b".repeat(20_000));
        match send(&ben, "ann", &text, Wait::Outbox, 0) {
            Ok(_) => written.push(text),
            Err(error) => break error,
        }
        assert!(written.len() < 1_000, "the disk was not full");
    };
    assert_eq!(error.kind, ErrorKind::Storage);
    assert!(error.message.contains("make room"), "{error}");
    assert_eq!(texts(&ben, "ann", MessageKind::Sent), written);

    // what Ann writes now is not kept, and so not confirmed
    let ann = start(&anns_home);
    let large = "a".repeat(50_000);
    let status = send(&ann, "ben", &large, Wait::Device, 2_000).unwrap();
    assert_eq!(status, Status::Queued);
    assert_eq!(texts(&ben, "ann", MessageKind::Received), ["first"]);
    assert!(ben.wait(Duration::ZERO).is_none(), "it still runs");

    disk.remount("size=16m");
    let second = send(&ann, "ben", "second", Wait::Device, 2 * A_MINUTE);
    assert_eq!(second.unwrap(), Status::OnDevice);
    let all = ["first".to_owned(), large, "second".to_owned()];
    assert_eq!(texts(&ben, "ann", MessageKind::Received), all);
    receive(&ann, written.len());
    assert_eq!(texts(&ann, "ben", MessageKind::Received), written);
    ben.stop();
    let ben = start(&bens_home);
    assert_eq!(texts(&ben, "ann", MessageKind::Received), all);
}

/// What `status` says of the disk.
fn warned(face: &Face) -> bool {
    let Reply::Status(view) = face.call(&Command::Status).unwrap() else {
        panic!("no status");
    };
    let mut warnings = view.warnings.iter();
    warnings.any(|warning| warning.contains("neither kept") && warning.contains("make room"))
}

#[test]
fn while_a_disk_is_full_what_changes_nothing_is_answered_and_status_says_that_it_is() {
    let small = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(small.path(), "size=3m") else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let ann = start(&make(&directory.path().join("ann"), "Ann"));
    // `doctor` waits for it
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let key = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";
    let relay = silent.local_addr().unwrap().to_string();
    let relay = RelayLink::new(key.parse().unwrap(), relay.parse().unwrap(), None).unwrap();
    let relays = vec![relay.to_string()];
    let bens_home = make_with(&small.path().join("ben"), "Ben", relays);
    let ben = start_with(&bens_home, true);
    add(&ben, card(&ann), "ann");
    ann.stop();
    assert!(!warned(&ben));
    let mut fill = File::create(small.path().join("fill")).unwrap();
    while fill.write_all(&[0; 4_096]).is_ok() {}
    drop(fill);
    let text = "b".repeat(20_000);
    let refused = || send(&ben, "ann", &text, Wait::Outbox, 0).is_err();
    while !refused() {}
    assert!(warned(&ben));

    let mut other = BufReader::new(connect(&bens_home).unwrap());
    for (id, method) in [(1, "doctor"), (2, "status")] {
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method});
        writeln!(other.get_mut(), "{request}").unwrap();
    }
    let mut answer = || {
        let mut line = String::new();
        other.read_line(&mut line).unwrap();
        serde_json::from_str::<serde_json::Value>(&line).unwrap()
    };
    assert_eq!(answer()["id"], 2, "the first waits for the relay");
    assert!(refused());
    let doctor = answer();
    let checks = doctor["result"]["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["check"] == "relay"));

    // what is asked for comes into the same step as what the disk refuses
    thread::scope(|scope| {
        let writing = scope.spawn(|| (0..100).filter(|_| refused()).count());
        let looks = (0..).take_while(|_| !writing.is_finished());
        let unanswered = looks.filter_map(|_| ben.call(&Command::Id).err());
        assert_eq!(unanswered.collect::<Vec<_>>(), []);
        assert!(writing.join().unwrap() > 50, "the disk was not full");
    });

    assert!(warned(&ben));
    disk.remount("size=16m");
    assert!(!warned(&ben));
    send(&ben, "ann", "room", Wait::Outbox, 0).unwrap();
}

#[test]
fn a_backup_onto_a_full_disk_names_that_disk_and_leaves_nothing_there() {
    let (roomy, small) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(_disk) = SmallDisk::mount(small.path(), "size=8k") else {
        return;
    };
    let face = start(&make(&roomy.path().join("home"), "Ann"));
    let file = small.path().join("backup").display().to_string();
    let backup = Command::Backup {
        file: file.clone(),
        retire: false,
    };
    let told = face.call(&backup).unwrap_err();
    assert_eq!(told.kind, ErrorKind::Storage);
    assert!(told.message.contains(&file), "{told}");
    assert!(told.message.contains("choose another place"), "{told}");
    assert_eq!(std::fs::read_dir(small.path()).unwrap().count(), 0);
    face.stop();
}
