//! Answers each message with its text, once. Needs a running client: `sremp up`.
//!
//! ```sh
//! cargo run --example echo_bot -- [HOME]
//! ```
//!
//! It speaks on the client's socket and uses nothing of SREMP's. Where it is is kept by the client: an
//! event is acknowledged after its answer is durable in the outbox, and the answer bears a key, so that
//! a bot that is killed between the two, at any moment, sends it once.

use std::{
    collections::VecDeque,
    error::Error,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Longest text that is repeated, in characters.
const LONGEST: usize = 10_000;

/// A connection to the socket of a home: one JSON object a line, each way.
struct Client {
    stream: BufReader<UnixStream>,
    events: VecDeque<Value>,
    last_id: u64,
}

impl Client {
    fn attach(home: &Path) -> Result<Self> {
        Ok(Self {
            stream: BufReader::new(UnixStream::connect(home.join("sock"))?),
            events: VecDeque::new(),
            last_id: 0,
        })
    }

    /// Reads one line; `None` if it was an event, which is kept.
    fn read(&mut self) -> Result<Option<Value>> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err("the client has ended; start it with `sremp up`, then this bot".into());
        }
        let mut said: Value = serde_json::from_str(&line)?;
        if said["method"] == "event" {
            self.events.push_back(said["params"].take());
            return Ok(None);
        }
        Ok(Some(said))
    }

    /// Asks and waits for the answer: the result, or the sentence of the refusal.
    fn call(&mut self, method: &str, params: Value) -> Result<std::result::Result<Value, String>> {
        self.last_id += 1;
        let id = self.last_id;
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        writeln!(self.stream.get_mut(), "{request}")?;
        loop {
            let Some(mut said) = self.read()?.filter(|said| said["id"] == id) else {
                continue;
            };
            return Ok(match said["error"]["message"].as_str() {
                Some(refused) => Err(refused.to_owned()),
                None => Ok(said["result"].take()),
            });
        }
    }

    fn next_event(&mut self) -> Result<Value> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            self.read()?;
        }
    }
}

/// What is answered: messages of contacts. Strangers' texts come as requests; what is gone is not
/// repeated.
fn answer(event: &Value) -> Option<Value> {
    let text = |name: &str| event[name].as_str();
    if event["event"] != "message" || event["gone"] == true {
        return None;
    }
    // what somebody wrote is data: never a command, a format or a path
    let written: String = text("text")?.chars().take(LONGEST).collect();
    Some(json!({
        "contact": text("from")?,
        "text": format!("echo: {written}"),
        "key": format!("echo {}", text("msg_id")?),
    }))
}

fn home() -> Option<PathBuf> {
    let given = std::env::args_os().nth(1);
    let default = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share/sremp"));
    given
        .or_else(|| std::env::var_os("SREMP_HOME"))
        .map(PathBuf::from)
        .or_else(default)
}

fn main() -> Result<()> {
    let mut client = Client::attach(&home().ok_or("name a home")?)?;
    // after what was acknowledged; a bot with a place of its own would give it as `after`
    client.call("subscribe", json!({}))??;
    println!("ready");
    loop {
        let event = client.next_event()?;
        if let Some(params) = answer(&event)
            && let Err(refused) = client.call("send", params)?
        {
            eprintln!("not answered: {refused}");
        }
        client.call("ack", json!({ "seq": event["seq"] }))??;
    }
}
