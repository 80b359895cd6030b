//! Faces at a socket behind which a client is played.

mod doubt;
mod events;
mod faces;
mod requests;

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

const WAITING: &str =
    r#"{"jsonrpc":"2.0","id":"wait","method":"events","params":{"after":0,"wait_ms":60000}}"#;
