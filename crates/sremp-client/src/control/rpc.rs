//! JSON-RPC 2.0: what a line asks, and how answers are written.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, error::Category, json};

use super::strict::Strict;
use crate::view::{Command, CommandError, ErrorKind, Event, Reply};

/// Requests in one batch.
pub(super) const MAX_BATCH: usize = 64;
/// Longest id that is a string, in bytes.
const MAX_ID: usize = 128;
/// Longest part of a decoder's complaint that is passed on, in characters.
const MAX_COMPLAINT: usize = 300;

const PARSE_ERROR: i32 = -32_700;
const INVALID_REQUEST: i32 = -32_600;
const METHOD_NOT_FOUND: i32 = -32_601;
const INVALID_PARAMS: i32 = -32_602;
/// Too many of something at once.
const TOO_MANY: i32 = -32_000;

/// An error of JSON-RPC. Those of commands have the code -32000 less the verb's exit code.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RpcError {
    code: i32,
    message: String,
    data: Option<ErrorData>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ErrorData {
    kind: ErrorKind,
}

impl RpcError {
    fn new(code: i32, kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: Some(ErrorData { kind }),
        }
    }

    fn usage(code: i32, message: impl Into<String>) -> Self {
        let message: String = message.into();
        Self::new(
            code,
            ErrorKind::Usage,
            message.chars().take(MAX_COMPLAINT).collect::<String>(),
        )
    }

    /// The line is too long, or has no end.
    pub(super) fn unframed() -> Self {
        let message = "a request has at most 1 MiB and ends with a newline";
        Self::usage(INVALID_REQUEST, message)
    }

    /// Something is there too often.
    pub(super) fn too_many(message: impl Into<String>) -> Self {
        Self::new(TOO_MANY, ErrorKind::Failed, message)
    }
}

impl From<CommandError> for RpcError {
    fn from(error: CommandError) -> Self {
        let code = TOO_MANY - i32::from(error.kind.exit_code());
        Self::new(code, error.kind, error.message)
    }
}

impl From<RpcError> for CommandError {
    fn from(error: RpcError) -> Self {
        let kind = error.data.map_or(ErrorKind::Failed, |data| data.kind);
        Self::new(kind, error.message)
    }
}

/// The id of a request: an integer, a short string or null, given back as it came.
pub(super) type Id = Value;

/// One request of a line: the id that its answer bears, none for a notification; and what it asks.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: Option<Id>,
    pub(super) command: Result<Command, RpcError>,
}

/// What a line asks.
#[derive(Debug)]
pub(super) enum Asked {
    One(Call),
    Batch(Vec<Call>),
}

/// Makes out what a line asks. What cannot be made out is a call that has failed already.
pub(super) fn read(line: &[u8]) -> Asked {
    match serde_json::from_slice(line) {
        Ok(Strict(Value::Array(calls))) if calls.is_empty() => {
            Asked::One(refused(INVALID_REQUEST, "a batch has a request"))
        }
        Ok(Strict(Value::Array(calls))) if calls.len() > MAX_BATCH => {
            let message = format!("a batch has at most {MAX_BATCH} requests; send them in several");
            Asked::One(refused(INVALID_REQUEST, message))
        }
        Ok(Strict(Value::Array(calls))) => Asked::Batch(calls.into_iter().map(call).collect()),
        Ok(Strict(value)) => Asked::One(call(value)),
        Err(error) if error.classify() == Category::Data => {
            Asked::One(refused(INVALID_REQUEST, format!("no request: {error}")))
        }
        Err(error) => Asked::One(refused(PARSE_ERROR, format!("not JSON: {error}"))),
    }
}

fn refused(code: i32, message: impl Into<String>) -> Call {
    Call {
        id: Some(Value::Null),
        command: Err(RpcError::usage(code, message)),
    }
}

fn call(value: Value) -> Call {
    let Value::Object(mut members) = value else {
        return refused(INVALID_REQUEST, "a request is an object");
    };
    let id = members.remove("id");
    if id.as_ref().is_some_and(|id| !is_id(id)) {
        let message = format!("an id is an integer, a string of at most {MAX_ID} bytes, or null");
        return refused(INVALID_REQUEST, message);
    }
    let version = members.remove("jsonrpc");
    let method = members.remove("method");
    let params = members.remove("params");
    let invalid = |message: &str| Call {
        // whether it was meant as a notification is not known of what is no request
        id: Some(id.clone().unwrap_or_default()),
        command: Err(RpcError::usage(INVALID_REQUEST, message)),
    };
    if version != Some(json!("2.0")) {
        return invalid("the member jsonrpc is \"2.0\"");
    }
    let Some(Value::String(method)) = method else {
        return invalid("the member method is a string");
    };
    if !members.is_empty() {
        return invalid("a request has the members jsonrpc, id, method and params");
    }
    let command = match params.unwrap_or_else(|| json!({})) {
        Value::Object(params) => command(&method, params),
        Value::Array(_) => Err(RpcError::usage(INVALID_PARAMS, "params are given by name")),
        _ => return invalid("the member params is an object"),
    };
    Call { id, command }
}

fn is_id(id: &Id) -> bool {
    match id {
        Value::Null => true,
        Value::Number(number) => number.is_i64() || number.is_u64(),
        Value::String(text) => text.len() <= MAX_ID,
        _ => false,
    }
}

fn command(method: &str, params: Map<String, Value>) -> Result<Command, RpcError> {
    if !Command::METHODS.contains(&method) {
        let message = format!("there is no method {method}; `sremp rpc --openrpc` names them");
        return Err(RpcError::usage(METHOD_NOT_FOUND, message));
    }
    // a command without parameters has no params in its decoder, which would say so in words of Rust
    match serde_json::from_value(json!({ "method": method })) {
        Ok(command) if params.is_empty() => return Ok(command),
        Ok(_) => {
            let message = format!("{method} takes no parameters; leave params out");
            return Err(RpcError::usage(INVALID_PARAMS, message));
        }
        Err(_) => {}
    }
    serde_json::from_value(json!({ "method": method, "params": params }))
        .map_err(|error| RpcError::usage(INVALID_PARAMS, format!("{method}: {error}")))
}

/// A request as a line.
pub(super) fn request(id: u64, command: &Command) -> serde_json::Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Request<'a> {
        jsonrpc: &'static str,
        id: u64,
        #[serde(flatten)]
        command: &'a Command,
    }
    let jsonrpc = "2.0";
    let mut line = serde_json::to_vec(&Request {
        jsonrpc,
        id,
        command,
    })?;
    line.push(b'\n');
    Ok(line)
}

/// The answer to one request.
#[derive(Serialize)]
pub(super) struct Response {
    jsonrpc: &'static str,
    id: Id,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Result(Box<Reply>),
    Error(RpcError),
}

impl Response {
    pub(super) fn new(id: Id, outcome: Result<Reply, RpcError>) -> Self {
        let outcome = match outcome {
            Ok(reply) => Outcome::Result(Box::new(reply)),
            Err(error) => Outcome::Error(error),
        };
        let jsonrpc = "2.0";
        Self {
            jsonrpc,
            id,
            outcome,
        }
    }
}

/// Something as a line.
pub(super) fn line(of: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(of)?;
    line.push(b'\n');
    Ok(line)
}

/// An event as the line that tells subscribers.
pub(super) fn notification(event: &Event) -> serde_json::Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Notification<'a> {
        jsonrpc: &'static str,
        method: &'static str,
        params: &'a Event,
    }
    line(&Notification {
        jsonrpc: "2.0",
        method: "event",
        params: event,
    })
}
