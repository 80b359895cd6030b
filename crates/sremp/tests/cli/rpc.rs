//! `sremp rpc`, and the bots of `examples/` on the socket.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    process::Command,
};

use serde_json::{Value, json};

use crate::support::{Home, PATIENCE, Running, acquainted, parse_lines};

const STATUS: &str = "{\"jsonrpc\":\"2.0\",\"id\":\"s\",\"method\":\"status\"}\n";

#[test]
fn a_question_on_standard_input_is_answered_with_and_without_a_running_client() {
    let home = Home::of("Ann");
    let answer = || {
        let ran = home.run_with_input(&["rpc"], STATUS.as_bytes());
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
        parse_lines(&ran.stdout)
    };
    let own = answer();
    assert_eq!((own.len(), &own[0]["id"]), (1, &json!("s")));
    let _up = home.up();
    let running = answer();
    assert_eq!(running[0]["result"]["id"], own[0]["result"]["id"]);
    assert_eq!(running[0]["result"]["username"], "Ann");
}

#[test]
fn a_subscriber_on_standard_output_gets_events_and_ends_by_a_signal() {
    let (ann, ben) = acquainted();
    let (_ann_up, _ben_up) = (ann.up(), ben.up());
    let mut face = ben.start(&["rpc"]);
    face.write(r#"{"jsonrpc":"2.0","id":1,"method":"subscribe"}"#);
    assert_eq!(face.object(|said| said["id"] == 1)["result"]["after"], 0);
    ann.ok(&["send", "ben", "hello"]);
    let event = face.object(|said| said["params"]["event"] == "message");
    assert_eq!(event["method"], "event");
    assert_eq!(event["params"]["text"], "hello");
    face.signal("TERM");
    assert_eq!(face.end(), (0, String::new()));
}

#[test]
fn the_document_that_is_printed_is_the_one_of_the_manual() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/use/openrpc.json");
    let printed = Home::none().ok(&["rpc", "--openrpc"]);
    assert_eq!(printed, std::fs::read_to_string(path).unwrap());
    let document: Value = serde_json::from_str(&printed).unwrap();
    assert!(document["openrpc"].is_string());
}

/// A connection to a home's socket.
struct Face(BufReader<UnixStream>);

impl Face {
    fn of(home: &Home) -> Self {
        let stream = UnixStream::connect(home.path().join("sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        writeln!(self.0.get_mut(), "{request}").unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

#[test]
fn the_same_key_sends_once_to_each_contact() {
    let (ann, ben) = acquainted();
    let carl = Home::of("Carl");
    ann.ok(&["add", &carl.card(), "--as", "carl"]);
    let _up = ann.up();
    let mut face = Face::of(&ann);
    let mut send = |contact: &str, text: &str, key: &str| {
        let params = json!({"contact": contact, "text": text, "key": key});
        face.ask("send", params)["result"]["msg_id"].clone()
    };
    let first = send("ben", "one", "k");
    assert!(first.is_string());
    assert_eq!(send("ben", "another text", "k"), first);
    assert_ne!(send("ben", "two", "l"), first);
    assert_ne!(send("carl", "three", "k"), first);
    let texts = |contact: &str| -> Vec<Value> {
        let lines = ann.objects(&["history", contact]);
        lines.into_iter().map(|line| line["text"].clone()).collect()
    };
    assert_eq!(texts("ben"), ["one", "two"]);
    assert_eq!(texts("carl"), ["three"]);
    // also of a message that was erased since
    let id = first.as_str().unwrap();
    ann.ok(&["delete", id, "--here"]);
    let params = json!({"contact": "ben", "text": "one", "key": "k"});
    assert_eq!(
        Face::of(&ann).ask("send", params)["result"]["msg_id"],
        first
    );
    assert_eq!(texts("ben"), ["two"]);
    for key in [String::new(), "x".repeat(129)] {
        let params = json!({"contact": "ben", "text": "no", "key": key});
        let refused = Face::of(&ann).ask("send", params);
        assert_eq!(refused["error"]["data"]["kind"], "usage");
    }
    drop(ben);
}

#[test]
fn a_place_that_has_not_been_yet_is_refused() {
    let home = Home::of("Ann");
    let _up = home.up();
    let refused = Face::of(&home).ask("subscribe", json!({"after": 5}));
    assert_eq!(refused["error"]["code"], -32_002, "{refused}");
}

/// A bot in Ben's home; Ann writes to it. Killed over and over, it answers each message once.
fn answers_each_message_once(bot: impl Fn(&Path) -> Command) {
    const ROUNDS: usize = 4;
    let (ann, ben) = acquainted();
    let (_ann_up, _ben_up) = (ann.up(), ben.up());
    let start = || {
        let bot = Running::of(&mut bot(&ben.path()));
        assert_eq!(bot.line(), "ready");
        bot
    };
    let news = ann.start(&["recv", "--json", "--follow"]);
    let mut expected = Vec::new();
    for round in 0..ROUNDS {
        let running = start();
        for n in 0..3 {
            let text = format!("{round}.{n} %s \u{202e}$(id)");
            ann.ok(&["send", "ben", &text, "--wait", "device"]);
            expected.push(text);
        }
        // one answer at least, so that the others are somewhere between
        news.object(|event| event["event"] == "message");
        running.kill();
    }
    // what it had not acknowledged comes again
    let _running = start();
    let last = "the last";
    ann.ok(&["send", "ben", last]);
    news.object(|event| event["text"] == format!("echo: {last}"));
    let lines = ann.objects(&["history", "ben", "--limit", "1000"]);
    let answers = |text: &str| {
        let shown: String = text.chars().filter(|c| *c != '\u{202e}').collect();
        let echo = format!("echo: {shown}");
        let same = |line: &&Value| line["kind"] == "received" && line["text"] == echo;
        lines.iter().filter(same).count()
    };
    for text in expected {
        assert_eq!(answers(&text), 1, "answers to {text:?}: {lines:#?}");
    }
}

#[test]
fn the_bot_in_python_answers_each_message_once_although_it_is_killed() {
    assert!(
        Command::new("python3").arg("--version").output().is_ok(),
        "python3 is missing; install it with `apt-get install python3`"
    );
    answers_each_message_once(|home| {
        let mut command = Command::new("python3");
        command
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../examples/echo_bot.py"
            ))
            .arg(home);
        command
    });
}

#[test]
fn the_bot_in_rust_answers_each_message_once_although_it_is_killed() {
    // beside the tests' directory, as cargo builds it with them
    let tests = std::env::current_exe().unwrap();
    let bot = tests.ancestors().nth(2).unwrap().join("examples/echo_bot");
    assert!(
        bot.exists(),
        "build it with `cargo build --example echo_bot`"
    );
    answers_each_message_once(|home| {
        let mut command = Command::new(&bot);
        command.arg(home);
        command
    });
}
