//! What a verb says of a client that does not answer, or ends before it has.

use super::*;

fn sending() -> Command {
    Command::Send {
        contact: "ben".to_owned(),
        text: "x".repeat(50_000),
        reply_to: None,
        key: None,
        wait: Wait::Outbox,
        timeout_ms: 0,
    }
}

/// A socket behind which nobody is yet, and a face of it.
fn unattended() -> (tempfile::TempDir, UnixListener, Remote) {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path());
    let listener = UnixListener::bind(home.socket_path()).unwrap();
    let remote = Remote::connect(&home).unwrap().unwrap();
    (dir, listener, remote)
}

#[test]
fn a_client_that_says_nothing_is_not_waited_for_for_ever() {
    let (_dir, _listener, remote) = unattended();
    let patience = Duration::from_millis(50);
    let error = remote.call_within(&Command::Status, patience).unwrap_err();
    assert!(error.message.contains("has not answered"), "{error}");
    assert!(!error.message.contains("history"), "{error}");
    // until its socket is full, and then
    for _ in 0..20 {
        let error = remote.call_within(&sending(), patience).unwrap_err();
        assert!(error.message.contains("`sremp history`"), "{error}");
    }
}

#[test]
fn what_a_client_took_before_it_ended_is_in_doubt_and_what_it_did_not_take_is_not() {
    for (command, doubt) in [
        (Command::Status, None),
        (sending(), Some("`sremp history`")),
        (Command::RotateNoiseKey, Some("not known")),
    ] {
        let (_dir, listener, remote) = unattended();
        let ending = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).unwrap();
        });
        let error = remote.call(&command).unwrap_err();
        ending.join().unwrap();
        assert!(error.message.contains("before it answered"), "{error}");
        for word in ["`sremp history`", "not known"] {
            assert_eq!(error.message.contains(word), doubt == Some(word), "{error}");
        }
        let (_dir, listener, remote) = unattended();
        drop(listener.accept().unwrap());
        let error = remote.call(&command).unwrap_err();
        assert!(error.message.contains("does not answer"), "{error}");
    }
}
