//! Faces at a socket behind which a client is played.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    sync::{
        Condvar, Mutex,
        mpsc::{Receiver, sync_channel},
    },
    time::Instant,
};

use serde_json::{Value, json};

use super::*;
use crate::{
    clock::Rfc3339,
    home::Home,
    view::{Event, EventKind, Reply, SubscribedView, Wait},
};

/// The longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client that has events, and answers `id` with a refusal that names it.
#[derive(Default)]
struct Played {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    last: u64,
    waiting: Vec<(FaceId, u64, u32, Respond)>,
    /// Pages of events that were asked for, by whom.
    pages: Vec<FaceId>,
}

fn event(seq: u64) -> Event {
    let event = EventKind::Notice {
        from: "ab".repeat(32),
        alias: "ann".to_owned(),
        text: "x".repeat(100),
        at: Rfc3339(sremp_core::time::UnixMillis::saturating(seq)),
    };
    Event { seq, event }
}

impl Played {
    fn emit(&self, count: u64) {
        let mut state = self.state.lock().unwrap();
        state.last += count;
        self.answer(&mut state);
    }

    fn answer(&self, state: &mut State) {
        let last = state.last;
        for (face, after, limit, respond) in std::mem::take(&mut state.waiting) {
            if after >= last {
                state.waiting.push((face, after, limit, respond));
                continue;
            }
            respond(Ok(page(after, limit, last)));
        }
        self.changed.notify_all();
    }

    /// Waits until so many wait for events.
    fn wait_until_waiting(&self, count: usize) {
        let state = self.state.lock().unwrap();
        let few = |state: &mut State| state.waiting.len() != count;
        let waited = self.changed.wait_timeout_while(state, PATIENCE, few);
        let late = waited.unwrap().1;
        assert!(!late.timed_out(), "not {count} waiting");
    }
}

fn page(after: u64, limit: u32, last: u64) -> Reply {
    let upto = last.min(after + u64::from(limit)).max(after);
    Reply::Events {
        events: (after + 1..=upto).map(event).collect(),
        upto,
    }
}

impl Client for Played {
    fn ask(&self, face: FaceId, command: Command, respond: Respond) {
        let mut state = self.state.lock().unwrap();
        match command {
            Command::Events {
                after,
                limit,
                wait_ms,
            } => {
                state.pages.push(face);
                let after = after.unwrap_or(0);
                if wait_ms == 0 {
                    return respond(Ok(page(after, limit, state.last)));
                }
                state.waiting.push((face, after, limit, respond));
                self.answer(&mut state);
            }
            Command::Subscribe { after } => respond(Ok(Reply::Subscribed(SubscribedView {
                after: after.unwrap_or(0),
                last: state.last,
                forgotten: None,
            }))),
            Command::Id => respond(Err(CommandError::new(ErrorKind::Contact, "nobody"))),
            _ => respond(Ok(Reply::Done {})),
        }
    }

    fn left(&self, face: FaceId) {
        let mut state = self.state.lock().unwrap();
        let all = std::mem::take(&mut state.waiting);
        let (gone, stay): (Vec<_>, Vec<_>) = all.into_iter().partition(|(of, ..)| *of == face);
        state.waiting = stay;
        for (_, after, limit, respond) in gone {
            respond(Ok(page(after, limit, after)));
        }
        self.changed.notify_all();
    }
}

struct Stage {
    client: Arc<Played>,
    _server: ControlServer,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Stage {
    fn set() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let client = Arc::new(Played::default());
        let played: Arc<dyn Client> = client.clone();
        Self {
            _server: ControlServer::open(&path, played).unwrap(),
            client,
            path,
            _dir: dir,
        }
    }

    fn home(&self) -> Home {
        Home::at(self.path.parent().unwrap())
    }

    fn face(&self) -> Face {
        let stream = dial(&self.path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Face(BufReader::new(stream))
    }

    fn subscriber(&self, after: u64) -> Face {
        let mut face = self.face();
        face.say(
            &json!({"jsonrpc": "2.0", "id": 0, "method": "subscribe", "params": {"after": after}})
                .to_string(),
        );
        assert_eq!(face.hear()["result"]["after"], after);
        face
    }
}

struct Face(BufReader<UnixStream>);

impl Face {
    fn say(&mut self, line: &str) {
        writeln!(self.0.get_mut(), "{line}").unwrap();
    }

    #[track_caller]
    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"))
    }

    #[track_caller]
    fn ask(&mut self, line: &str) -> Value {
        self.say(line);
        self.hear()
    }

    /// The numbers of the next events.
    #[track_caller]
    fn seqs(&mut self, count: u64) -> Vec<u64> {
        let event = |_| {
            let event = self.hear();
            assert_eq!(event["method"], "event");
            event["params"]["seq"].as_u64().unwrap()
        };
        (0..count).map(event).collect()
    }
}

/// The error code and the id of a refusal.
fn refusal(answer: &Value) -> (i64, &Value) {
    let code = answer["error"]["code"].as_i64();
    (code.unwrap_or_else(|| panic!("{answer}")), &answer["id"])
}

#[test]
fn ids_come_back_as_they_went() {
    let stage = Stage::set();
    let mut face = stage.face();
    for id in [
        json!(7),
        json!(-3),
        json!(u64::MAX),
        json!(i64::MIN),
        json!("seven"),
        json!(""),
        json!("x".repeat(128)),
        json!("é".repeat(64)),
        Value::Null,
    ] {
        let request = json!({"jsonrpc": "2.0", "id": id, "method": "ack", "params": {"seq": 1}});
        let answer = face.ask(&request.to_string());
        assert_eq!(answer, json!({"jsonrpc": "2.0", "id": id, "result": {}}));
    }
    for id in [
        json!(1.5),
        json!(7.0),
        json!(1e30),
        json!([1]),
        json!({}),
        json!(true),
        json!("x".repeat(129)),
        json!("é".repeat(65)),
    ] {
        let request = json!({"jsonrpc": "2.0", "id": id, "method": "stop"});
        assert_eq!(
            refusal(&face.ask(&request.to_string())),
            (-32_600, &Value::Null)
        );
    }
}

#[test]
fn faults_are_told_apart_and_the_connection_goes_on() {
    let stage = Stage::set();
    let mut face = stage.face();
    let deep = "[".repeat(100_000);
    let (null, one) = (Value::Null, json!(1));
    for (line, code, id) in [
        ("garbage", -32_700, &null),
        ("", -32_700, &null),
        ("{\"jsonrpc\":\"2.0\",", -32_700, &null),
        (deep.as_str(), -32_700, &null),
        ("\u{1b}[2J", -32_700, &null),
        ("17", -32_600, &null),
        ("[]", -32_600, &null),
        ("{}", -32_600, &null),
        (r#"{"id":1,"method":"status"}"#, -32_600, &one),
        (
            r#"{"jsonrpc":"1.0","id":1,"method":"status"}"#,
            -32_600,
            &one,
        ),
        (r#"{"jsonrpc":"2.0","id":1}"#, -32_600, &one),
        (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, -32_600, &one),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"status","extra":1}"#,
            -32_600,
            &one,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"status","params":3}"#,
            -32_600,
            &one,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"status","params":null}"#,
            -32_600,
            &one,
        ),
        // no request, so no notification either
        (
            r#"{"jsonrpc":"2.0","method":"status","params":3}"#,
            -32_600,
            &null,
        ),
        (r#"{"jsonrpc":"2.0","method":5}"#, -32_600, &null),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#,
            -32_601,
            &null,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"status"}"#,
            -32_600,
            &null,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ack","params":{"seq":1,"seq":2}}"#,
            -32_600,
            &null,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"nothing"}"#,
            -32_601,
            &one,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ack"}"#, -32_602, &one),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ack","params":[1]}"#,
            -32_602,
            &one,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ack","params":{"seq":-1}}"#,
            -32_602,
            &one,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ack","params":{"seq":1,"x":1}}"#,
            -32_602,
            &one,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"status","params":{"x":1}}"#,
            -32_602,
            &one,
        ),
    ] {
        let answer = face.ask(line);
        assert_eq!(refusal(&answer), (code, id), "{line:.80}: {answer}");
        assert_eq!(answer["error"]["data"], json!({"kind": "usage"}));
    }
    let failed = face.ask(r#"{"jsonrpc":"2.0","id":1,"method":"id","params":{}}"#);
    assert_eq!(refusal(&failed), (-32_008, &one));
    assert_eq!(failed["error"]["data"], json!({"kind": "contact"}));
}

#[test]
fn what_a_command_leaves_open_may_be_left_out_with_params_or_without() {
    let stage = Stage::set();
    let mut face = stage.face();
    for line in [
        r#"{"jsonrpc":"2.0","id":1,"method":"status"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"status","params":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"events"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"events","params":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"events","params":{"after":0}}"#,
    ] {
        let answer = face.ask(line);
        assert!(answer["result"].is_object(), "{line}: {answer}");
    }
}

#[test]
fn a_complaint_repeats_three_hundred_characters_at_most_of_what_was_wrong() {
    let stage = Stage::set();
    let mut face = stage.face();
    let long = "ü".repeat(1_000);
    for request in [
        json!({"jsonrpc": "2.0", "id": 1, "method": long}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "ack", "params": {long: 1}}),
    ] {
        let answer = face.ask(&request.to_string());
        let message = answer["error"]["message"].as_str().unwrap();
        assert_eq!(message.chars().count(), 300, "{message}");
    }
}

#[test]
fn a_request_has_one_mebibyte_at_most_with_its_newline() {
    let stage = Stage::set();
    let mut face = stage.face();
    let request = r#"{"jsonrpc":"2.0","id":1,"method":"stop"}"#;
    let padded = |bytes: usize| format!("{request}{}", " ".repeat(bytes - request.len() - 1));
    assert_eq!(face.ask(&padded(1024 * 1024))["result"], json!({}));
    // what comes after the refusal may not be taken any more
    let _ = writeln!(face.0.get_mut(), "{}", padded(1024 * 1024 + 1));
    assert_eq!(refusal(&face.hear()), (-32_600, &Value::Null));
}

#[test]
fn a_request_whose_newline_never_comes_is_refused_and_not_carried_out() {
    let stage = Stage::set();
    let mut face = stage.face();
    let request = r#"{"jsonrpc":"2.0","id":1,"method":"stop"}"#;
    face.0.get_mut().write_all(request.as_bytes()).unwrap();
    face.0.get_mut().shutdown(Shutdown::Write).unwrap();
    assert_eq!(refusal(&face.hear()), (-32_600, &Value::Null));
}

#[test]
fn a_line_without_end_is_refused_and_ends_the_connection() {
    let stage = Stage::set();
    let mut face = stage.face();
    // what comes after the refusal may not be taken any more
    let _ = face.0.get_mut().write_all(&vec![b' '; 1024 * 1024]);
    assert_eq!(refusal(&face.hear()), (-32_600, &Value::Null));
    let mut rest = Vec::new();
    assert_eq!(face.0.read_to_end(&mut rest).unwrap_or(0), 0);
}

#[test]
fn notifications_get_no_answer_also_when_they_fail() {
    let stage = Stage::set();
    let mut face = stage.face();
    face.say(r#"{"jsonrpc":"2.0","method":"ack","params":{"seq":1}}"#);
    face.say(r#"{"jsonrpc":"2.0","method":"nothing"}"#);
    face.say(r#"{"jsonrpc":"2.0","method":"ack","params":[1]}"#);
    face.say(r#"{"jsonrpc":"2.0","method":"ack","params":{"seq":-1}}"#);
    face.say(r#"[{"jsonrpc":"2.0","method":"id"},{"jsonrpc":"2.0","method":"nothing"}]"#);
    let answer = face.ask(r#"{"jsonrpc":"2.0","id":"last","method":"stop"}"#);
    assert_eq!(answer["id"], "last");
}

#[test]
fn a_batch_is_answered_together_and_has_at_most_64_requests() {
    let stage = Stage::set();
    let mut face = stage.face();
    let answer = face.ask(
        r#"[{"jsonrpc":"2.0","id":1,"method":"id"},1,{"jsonrpc":"2.0","method":"id"},
            {"jsonrpc":"2.0","id":1,"method":"stop"}]"#
            .replace('\n', " ")
            .as_str(),
    );
    let mut ids: Vec<String> = answer
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["id"].to_string())
        .collect();
    ids.sort();
    assert_eq!(ids, ["1", "1", "null"], "{answer}");
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "stop"});
    let of = |count| Value::Array(vec![request.clone(); count]).to_string();
    assert_eq!(face.ask(&of(64)).as_array().unwrap().len(), 64);
    assert_eq!(refusal(&face.ask(&of(65))), (-32_600, &Value::Null));
}

const WAITING: &str =
    r#"{"jsonrpc":"2.0","id":"wait","method":"events","params":{"after":0,"wait_ms":60000}}"#;

#[test]
fn a_wait_holds_nothing_up_and_the_65th_request_under_way_is_refused() {
    let stage = Stage::set();
    let mut face = stage.face();
    face.say(WAITING);
    let answer = face.ask(r#"{"jsonrpc":"2.0","id":"stop","method":"stop"}"#);
    assert_eq!(answer["id"], "stop");
    for _ in 1..64 {
        face.say(WAITING);
    }
    stage.client.wait_until_waiting(64);
    let refused = face.ask(r#"{"jsonrpc":"2.0","id":"more","method":"stop"}"#);
    assert_eq!(refusal(&refused), (-32_000, &json!("more")));
    stage.client.emit(1);
    for _ in 0..64 {
        assert_eq!(face.hear()["id"], "wait");
    }
    assert_eq!(
        face.ask(r#"{"jsonrpc":"2.0","id":"now","method":"stop"}"#)["id"],
        "now"
    );
}

#[test]
fn what_is_refused_of_a_batch_takes_no_room_and_gives_none() {
    let stage = Stage::set();
    let mut face = stage.face();
    for _ in 0..63 {
        face.say(WAITING);
    }
    stage.client.wait_until_waiting(63);
    // what fails at once was never under way
    let answer = face.ask(r#"[17,{"jsonrpc":"2.0","id":1,"method":"nothing"}]"#);
    assert_eq!(answer.as_array().unwrap().len(), 2, "{answer}");
    // there is room for one of two
    let two = format!("[{WAITING},{WAITING}]").replace("\"wait\"", "\"two\"");
    face.say(&two);
    stage.client.wait_until_waiting(64);
    let refused = face.ask(r#"{"jsonrpc":"2.0","id":"more","method":"stop"}"#);
    assert_eq!(refusal(&refused), (-32_000, &json!("more")));
    let refused = face.ask(r#"[{"jsonrpc":"2.0","id":"more","method":"stop"}]"#);
    assert_eq!(refusal(&refused[0]), (-32_000, &json!("more")));
    let refused = face.ask(r#"{"jsonrpc":"2.0","id":"still","method":"stop"}"#);
    assert_eq!(refusal(&refused), (-32_000, &json!("still")));
    // a notification for which there is no room has no answer either
    face.say(r#"{"jsonrpc":"2.0","method":"stop"}"#);
    stage.client.emit(1);
    let (mut waited, mut batch) = (0, Value::Null);
    for _ in 0..64 {
        match face.hear() {
            answer if answer["id"] == "wait" => waited += 1,
            answer => batch = answer,
        }
    }
    assert_eq!(waited, 63);
    let mut of_two: Vec<bool> = batch
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| answer["error"]["code"] == -32_000)
        .collect();
    of_two.sort_unstable();
    assert_eq!(of_two, [false, true], "{batch}");
}

#[test]
fn a_face_that_leaves_waits_no_more() {
    let stage = Stage::set();
    let mut face = stage.face();
    face.say(WAITING);
    stage.client.wait_until_waiting(1);
    drop(face);
    stage.client.wait_until_waiting(0);
    // a face that only has nothing more to ask is answered
    let mut face = stage.face();
    face.say(WAITING);
    stage.client.wait_until_waiting(1);
    face.0.get_mut().shutdown(Shutdown::Write).unwrap();
    assert_eq!(face.hear()["result"]["upto"], 0);
}

#[test]
fn the_65th_face_is_told_why_it_is_turned_away() {
    let stage = Stage::set();
    let mut faces: Vec<Face> = (0..64).map(|_| stage.face()).collect();
    for face in &mut faces {
        face.ask(r#"{"jsonrpc":"2.0","id":1,"method":"stop"}"#);
    }
    let answer = stage.face().hear();
    assert_eq!(refusal(&answer), (-32_000, &Value::Null));
    let remote = Remote::connect(&stage.home()).unwrap().unwrap();
    let error = remote.call(&Command::Stop).unwrap_err();
    assert!(error.message.contains("64 faces"), "{error}");
}

#[test]
fn subscribers_get_every_event_once_in_order_from_where_they_say() {
    let stage = Stage::set();
    stage.client.emit(1_500);
    let mut early = stage.subscriber(0);
    let mut late = stage.subscriber(1_490);
    let mut now = stage.subscriber(1_500);
    stage.client.emit(700);
    assert_eq!(early.seqs(2_200), (1..=2_200).collect::<Vec<_>>());
    assert_eq!(late.seqs(710), (1_491..=2_200).collect::<Vec<_>>());
    assert_eq!(now.seqs(700), (1_501..=2_200).collect::<Vec<_>>());
}

#[test]
fn whoever_ends_a_subscription_gets_nothing_more_until_it_begins_again() {
    let stage = Stage::set();
    let mut face = stage.subscriber(0);
    stage.client.emit(2);
    assert_eq!(face.seqs(2), [1, 2]);
    let answer = face.ask(r#"{"jsonrpc":"2.0","id":5,"method":"unsubscribe"}"#);
    assert_eq!(answer["id"], 5);
    // nobody reads events for nobody
    stage.client.wait_until_waiting(0);
    stage.client.emit(1);
    assert_eq!(
        face.ask(r#"{"jsonrpc":"2.0","id":6,"method":"stop"}"#)["id"],
        6
    );
    face.say(r#"{"jsonrpc":"2.0","id":7,"method":"subscribe","params":{"after":1}}"#);
    assert_eq!(face.hear()["id"], 7);
    assert_eq!(face.seqs(2), [2, 3]);
}

#[test]
fn faces_that_never_read_slow_nobody_and_the_engine_is_asked_once_for_all() {
    const FACES: usize = 50;
    let stage = Stage::set();
    let stuck = [stage.subscriber(0), stage.subscriber(0)];
    let mut faces: Vec<Face> = (0..FACES).map(|_| stage.subscriber(0)).collect();
    stage.client.wait_until_waiting(1);
    // ten batches, together more than a socket that nobody reads takes
    let started = Instant::now();
    for round in 0..10u64 {
        stage.client.emit(500);
        for face in &mut faces {
            let first = round * 500 + 1;
            assert_eq!(face.seqs(500), (first..first + 500).collect::<Vec<_>>());
        }
    }
    assert!(
        started.elapsed() < face::PATIENCE,
        "{:?}",
        started.elapsed()
    );
    let state = stage.client.state.lock().unwrap();
    let by_hub = state.pages.iter().filter(|face| **face == HUB).count();
    assert!(by_hub < 50, "{by_hub} pages for 5,000 events");
    assert!(
        state.pages.len() - by_hub <= FACES,
        "{} pages by faces",
        state.pages.len() - by_hub
    );
    drop(stuck);
}

/// A face that is served alone, and what tells that it no longer is.
fn served_alone(client: &Arc<Played>, patience: Duration) -> (Face, Receiver<()>) {
    let (face, stream) = UnixStream::pair().unwrap();
    face.set_read_timeout(Some(PATIENCE)).unwrap();
    let client: Arc<dyn Client> = client.clone();
    let serving = Serving {
        id: FaceId(7),
        client,
        hub: Arc::new(Hub::default()),
        hub_id: HUB,
        patience,
    };
    let (tell, told) = sync_channel(1);
    std::thread::spawn(move || {
        serving.run(&stream);
        tell.send(()).unwrap();
    });
    (Face(BufReader::new(face)), told)
}

const EVERYTHING: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"events","params":{"after":0,"limit":20000}}"#;

#[test]
fn a_face_that_takes_nothing_is_let_go_and_what_it_waits_for_with_it() {
    let client = Arc::new(Played::default());
    client.emit(20_000);
    let (mut face, let_go) = served_alone(&client, Duration::from_millis(50));
    let waiting = WAITING.replace("\"after\":0", "\"after\":20000");
    assert_ne!(waiting, WAITING);
    face.say(&waiting);
    client.wait_until_waiting(1);
    // more than a socket takes
    face.say(EVERYTHING);
    let_go.recv_timeout(PATIENCE).unwrap();
    client.wait_until_waiting(0);
    // what it had taken is whole lines and a rest
    let mut rest = Vec::new();
    face.0.read_to_end(&mut rest).unwrap();
    assert!(!rest.is_empty() && !rest.ends_with(b"\n"));
}

#[test]
fn a_face_that_leaves_in_the_middle_of_an_answer_is_served_no_longer() {
    let client = Arc::new(Played::default());
    client.emit(20_000);
    let (mut face, let_go) = served_alone(&client, 2 * PATIENCE);
    face.say(EVERYTHING);
    let mut start = [0; 100];
    face.0.get_mut().read_exact(&mut start).unwrap();
    assert!(start.starts_with(b"{"));
    drop(face);
    let_go.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn a_client_that_ends_answers_what_is_under_way() {
    let stage = Stage::set();
    let mut face = stage.face();
    face.say(WAITING);
    stage.client.wait_until_waiting(1);
    // the engine is gone: its questions are dropped
    stage.client.state.lock().unwrap().waiting.clear();
    assert_eq!(refusal(&face.hear()), (-32_001, &json!("wait")));
}

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
