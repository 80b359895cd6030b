//! Two homes, two clients, real sockets.

use serde_json::Value;

use crate::support::{Home, Ran, acquainted, keys, parse_lines, text};

fn message(wanted: &str) -> impl Fn(&Value) -> bool {
    move |object| object["event"] == "message" && object["text"] == wanted
}

fn texts(messages: &[Value]) -> Vec<&str> {
    messages
        .iter()
        .map(|m| m["text"].as_str().unwrap())
        .collect()
}

#[test]
fn a_message_goes_from_one_client_to_the_other_and_back() {
    let (ann, ben) = acquainted();
    let (_ann_up, _ben_up) = (ann.up(), ben.up());
    let sent = ann.json(&["send", "ben", "hello", "--wait", "device"]);
    assert_eq!(keys(&sent), ["msg_id", "path", "status"]);
    assert_eq!(sent["status"], "on-device");
    assert_eq!(sent["path"], "direct");
    assert_eq!(text(&sent, "msg_id").len(), 32);

    let came = ben
        .start(&["recv", "--json", "--follow"])
        .object(message("hello"));
    assert_eq!(
        keys(&came),
        [
            "alias",
            "event",
            "from",
            "msg_id",
            "path",
            "received_at",
            "sent_at",
            "seq",
            "text"
        ]
    );
    assert_eq!(came["msg_id"], sent["msg_id"]);
    assert_eq!(text(&came, "from"), ann.id());
    assert_eq!(came["alias"], "ann");
    assert_eq!(came["path"], "direct");
    let time = text(&came, "sent_at");
    assert!(time.len() == 24 && time.ends_with('Z'), "{time}");

    let back = ben.json(&["send", "ann", "hello yourself", "--wait", "device"]);
    assert_eq!(back["status"], "on-device");
    let history = ann.objects(&["history", "ben"]);
    assert_eq!(texts(&history), ["hello", "hello yourself"]);
    assert_eq!(history[0]["kind"], "sent");
    assert_eq!(history[0]["status"], "on-device");
    assert_eq!(history[1]["kind"], "received");
}

#[test]
fn without_clients_a_verb_runs_one_for_as_long_as_it_takes() {
    let (ann, ben) = acquainted();
    let reader = ben.start(&["recv", "--json", "--follow"]);
    let sent = ann.json(&["send", "ben", "no client here", "--wait", "device"]);
    assert_eq!(sent["status"], "on-device");
    reader.object(message("no client here"));
}

#[test]
fn a_message_to_somebody_absent_stays_queued_and_says_so_with_3() {
    let (ann, ben) = acquainted();
    let args = [
        "send",
        "ben",
        "later",
        "--wait",
        "device",
        "--timeout",
        "1",
        "--json",
    ];
    let ran = ann.run(&args);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert_eq!(parse_lines(&ran.stdout)[0]["status"], "queued");
    assert_eq!(
        ann.json(&["send", "ben", "and this", "--wait", "outbox"])["status"],
        "queued"
    );
    assert_eq!(ann.json(&["status"])["queued"], 2);

    let reader = ben.start(&["recv", "--json", "--follow"]);
    let _up = ann.up();
    reader.object(message("later"));
    reader.object(message("and this"));
}

#[test]
fn standard_input_is_sent_without_its_last_line_end() {
    let (ann, _) = acquainted();
    let ran = ann.run_with_input(&["send", "ben", "-"], b"two\nlines\n");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(texts(&ann.objects(&["history", "ben"])), ["two\nlines"]);
    assert_eq!(ann.run_with_input(&["send", "ben", "-"], b"").code, 2);
    assert_eq!(
        ann.run_with_input(&["send", "ben", "-"], b"\xff\xfe").code,
        2
    );
    let long = vec![b'x'; 70_000];
    let ran = ann.run_with_input(&["send", "ben", "-"], &long);
    assert_eq!(ran.code, 2, "too long, not cut: {ran:?}");
    assert_eq!(ann.objects(&["history", "ben"]).len(), 1);
}

#[test]
fn escapes_and_direction_marks_of_a_peer_reach_no_terminal_and_no_script() {
    let (ann, ben) = acquainted();
    let (_ann_up, _ben_up) = (ann.up(), ben.up());
    let nasty = "a\u{1b}[2Jb\u{9b}31mc\u{202e}d\u{7}e";
    ann.json(&["send", "ben", nasty, "--wait", "device"]);
    for args in [
        &["recv"][..],
        &["recv", "--json"],
        &["history", "ann"],
        &["history", "ann", "--json"],
        &["export", "ann", "--format", "markdown"],
    ] {
        let shown = ben.ok(args);
        assert!(shown.contains("abcde"), "{args:?}: {shown:?}");
        let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!shown.contains(bad), "{args:?}: {shown:?}");
        assert!(!shown.contains("u001b"), "{args:?}: {shown:?}");
    }
}

#[test]
fn a_chat_through_pipes_sends_lines_and_prints_what_comes() {
    let (ann, ben) = acquainted();
    let _ben_up = ben.up();
    let reader = ben.start(&["recv", "--json", "--follow"]);
    let mut chat = ann.start(&["chat", "ben"]);
    chat.write("one");
    chat.write("two");
    reader.object(message("one"));
    reader.object(message("two"));
    ben.json(&["send", "ann", "three", "--wait", "device"]);
    let line = chat.line();
    assert!(line.ends_with(" ben: three"), "{line}");
    chat.close_input();
    let (code, stderr) = chat.end();
    assert_eq!((code, stderr.as_str()), (0, ""));
}

#[test]
fn a_chat_from_a_pipe_goes_past_lines_that_cannot_be_sent_and_ends_with_the_code_of_the_first() {
    let (ann, ben) = acquainted();
    let _ben_up = ben.up();
    let chat = |input: &[u8]| ann.run_with_input(&["chat", "ben"], input);
    let no_text = chat(b"one\nb\xffad\ntwo\n");
    assert_eq!(no_text.code, 2, "{no_text:?}");
    assert!(
        no_text.stderr.contains("standard input is no text"),
        "{no_text:?}"
    );
    let long = [&[b'x'; 70_000][..], b"\nthree\n"].concat();
    let too_long = chat(&long);
    assert_eq!(too_long.code, 2, "{too_long:?}");
    assert!(too_long.stderr.contains("58 KiB"), "{too_long:?}");
    assert_eq!(ann.texts("ben", "sent"), ["one", "two", "three"]);
}

#[test]
fn a_chat_that_runs_the_client_lets_other_verbs_use_it() {
    let (ann, ben) = acquainted();
    let _ben_up = ben.up();
    let mut chat = ann.start(&["chat", "ben", "--json"]);
    chat.write("from the chat");
    chat.object(|event| event["event"] == "status" && event["status"] == "on-device");
    assert_eq!(ann.json(&["status"])["running"], true);
    let sent = ann.json(&["send", "ben", "from beside", "--wait", "device"]);
    assert_eq!(sent["status"], "on-device");
    chat.write("/quit");
    assert_eq!(chat.end().0, 0);
    assert_eq!(ann.json(&["status"])["running"], false);
}

#[test]
fn a_stranger_is_heard_once_and_answered_by_hand() {
    let (ben, eve) = (Home::of("Ben"), Home::of("Eve"));
    eve.ok(&["add", &ben.card(), "--as", "ben"]);
    let (_ben_up, _eve_up) = (ben.up(), eve.up());
    eve.ok(&["send", "ben", "May I?"]);
    let reader = ben.start(&["recv", "--json", "--follow"]);
    let request = reader.object(|event| event["event"] == "request");
    assert_eq!(
        keys(&request),
        ["event", "from", "received_at", "seq", "text", "username"]
    );
    assert_eq!(request["text"], "May I?");
    assert_eq!(text(&request, "from"), eve.id());

    let waiting = ben.objects(&["contacts", "--requests"]);
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0]["standing"], "request");
    assert_eq!(ben.objects(&["contacts"]).len(), 0);
    // with the name that is shown, which nobody has chosen
    let shown = text(&waiting[0], "alias");
    assert_eq!(ben.json(&["verify", &shown])["alias"], *shown);

    let watcher = eve.start(&["recv", "--json", "--follow"]);
    let accepted = ben.json(&["add", &eve.id()[..8], "--as", "eve"]);
    assert_eq!(accepted["standing"], "accepted");
    watcher.object(|event| event["event"] == "accepted");
    let sent = ben.json(&["send", "eve", "You may.", "--wait", "device"]);
    assert_eq!(sent["status"], "on-device");
    watcher.object(message("You may."));
}

#[test]
fn an_invite_lets_its_holder_ask() {
    let (ben, eve) = (Home::of("Ben"), Home::of("Eve"));
    let invite = ben.json(&["invite"]);
    eve.ok(&["add", &text(&invite, "card"), "--as", "ben"]);
    let (_ben_up, _eve_up) = (ben.up(), eve.up());
    eve.ok(&["send", "ben", "By your invite"]);
    let reader = ben.start(&["recv", "--json", "--follow"]);
    reader.object(|event| event["event"] == "request" || event["event"] == "message");
    assert_eq!(ben.objects(&["invite", "--list"]).len(), 0, "it is used up");
}

#[test]
fn verbs_that_want_the_home_at_once_take_turns() {
    let (ann, _) = acquainted();
    std::thread::scope(|scope| {
        for n in 0..8 {
            let ann = &ann;
            scope.spawn(move || ann.ok(&["send", "ben", &n.to_string()]));
        }
    });
    let history = ann.objects(&["history", "ben"]);
    let mut said = texts(&history);
    said.sort_unstable();
    assert_eq!(said, ["0", "1", "2", "3", "4", "5", "6", "7"]);
}

#[test]
fn words_find_their_messages() {
    let (ann, _) = acquainted();
    for text in ["the red fox", "a blue fox", "nothing"] {
        ann.ok(&["send", "ben", text]);
    }
    assert_eq!(
        texts(&ann.objects(&["search", "fox"])),
        ["a blue fox", "the red fox"]
    );
    assert_eq!(
        texts(&ann.objects(&["search", "red", "fox"])),
        ["the red fox"]
    );
    assert_eq!(ann.objects(&["search", "fox", "--limit", "1"]).len(), 1);
    // What people type is never a query language.
    for words in ["\"", "fox OR nothing", "fox*)", "NEAR(", "-fox"] {
        let ran = Ran::of(&mut ann.command(&["search", "--json", "--", words]));
        assert_eq!(ran.code, 0, "{words:?}: {ran:?}");
    }
}

#[test]
fn history_comes_in_pages() {
    let (ann, _) = acquainted();
    let said: Vec<String> = (0..7).map(|n| format!("line {n}")).collect();
    for text in &said {
        ann.ok(&["send", "ben", text]);
    }
    let latest = ann.objects(&["history", "ben", "--limit", "3"]);
    assert_eq!(texts(&latest), said[4..]);
    let seq = latest[0]["seq"].to_string();
    let above = ann.objects(&["history", "ben", "--limit", "3", "--before", &seq]);
    assert_eq!(texts(&above), said[1..4]);
    assert_eq!(texts(&ann.objects(&["history", "ben"])), said);
    for verb in [["history", "ben"], ["search", "line"]] {
        let none = ann.run(&[&verb[..], &["--limit", "0"]].concat());
        assert_eq!(none.code, 2, "{none:?}");
        assert!(none.stderr.contains("0 is not in 1.."), "{none:?}");
    }
}

#[test]
fn an_address_that_does_not_answer_is_said_and_the_message_kept() {
    let (ann, _ben) = acquainted();
    let send = ["send", "ben", "hello", "--wait", "device", "--timeout", "2"];
    let ran = ann.run(&send);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stdout.contains("nobody listens"), "{ran:?}");
    assert!(ran.stdout.contains("stays queued"), "{ran:?}");
    assert_eq!(ann.json(&["status"])["queued"], 1);
}
