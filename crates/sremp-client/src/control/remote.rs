//! A face's end of the socket.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use serde_json::Value;

use super::{
    doubt::{self, Unanswered},
    rpc::{RpcError, request},
    with_short_path,
};
use crate::{
    home::Home,
    runtime::STOPPED,
    view::{Command, CommandError, Reply},
};

/// Longest reply in bytes, its newline included.
const MAX_LINE: u64 = 64 * 1024 * 1024;
/// The id of the one request that is under way on a connection.
const ID: u64 = 1;

/// The socket of a running client. Calls that overlap use a connection each.
pub(crate) struct Remote {
    home: Home,
    idle: Mutex<Vec<BufReader<UnixStream>>>,
}

/// What comes back.
#[derive(Deserialize)]
struct Response {
    id: Value,
    result: Option<Box<Reply>>,
    error: Option<RpcError>,
}

impl Remote {
    /// The running client of a home, `None` if there is none.
    pub(crate) fn connect(home: &Home) -> io::Result<Option<Self>> {
        match dial(&home.socket_path()) {
            Ok(stream) => Ok(Some(Self {
                home: home.clone(),
                idle: Mutex::new(vec![BufReader::new(stream)]),
            })),
            Err(e) if is_absent(&e) => Ok(None),
            Err(e) => Err(e),
        }
    }

    pub(crate) fn call(&self, command: &Command) -> Result<Reply, CommandError> {
        self.call_within(command, doubt::patience(command))
    }

    pub(super) fn call_within(
        &self,
        command: &Command,
        patience: Duration,
    ) -> Result<Reply, CommandError> {
        let response = self
            .exchange(command, patience)
            .map_err(|cause| cause.told(command, &self.home))?;
        match (response.result, response.error) {
            (_, Some(error)) => {
                let error = CommandError::from(error);
                if error.message == STOPPED {
                    return Err(Unanswered::Ended.told(command, &self.home));
                }
                Err(error)
            }
            (Some(reply), None) => Ok(*reply),
            (None, None) => Err(Unanswered::Ended.told(command, &self.home)),
        }
    }

    fn exchange(&self, command: &Command, patience: Duration) -> Result<Response, Unanswered> {
        let mut stream = match self.pool().pop() {
            Some(idle) => idle,
            None => BufReader::new(dial(&self.home.socket_path()).map_err(Unanswered::Unsent)?),
        };
        let response = exchange(&mut stream, command, patience)?;
        if response.id == ID {
            self.pool().push(stream);
        }
        Ok(response)
    }

    fn pool(&self) -> MutexGuard<'_, Vec<BufReader<UnixStream>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection to a client's socket.
pub(crate) fn dial(path: &Path) -> io::Result<UnixStream> {
    with_short_path(path, |short| UnixStream::connect(short))
}

/// A connection on which this failed is not used again: the answer may come yet.
fn exchange(
    stream: &mut BufReader<UnixStream>,
    command: &Command,
    patience: Duration,
) -> Result<Response, Unanswered> {
    let unsent = Unanswered::Unsent;
    let too_late = |e: &io::Error| {
        matches!(
            e.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
        )
    };
    let mut line = request(ID, command).map_err(|e| unsent(e.into()))?;
    let socket = stream.get_mut();
    socket.set_write_timeout(Some(patience)).map_err(unsent)?;
    socket.set_read_timeout(Some(patience)).map_err(unsent)?;
    // a client that refuses the connection has said so before it closed it
    let written = socket.write_all(&line);
    if written.as_ref().is_err_and(too_late) {
        return Err(Unanswered::Silent(patience));
    }
    line.clear();
    let read = stream.take(MAX_LINE).read_until(b'\n', &mut line);
    if line.is_empty() {
        // it has not got the whole line
        written.map_err(unsent)?;
    }
    read.map_err(|e| match too_late(&e) {
        true => Unanswered::Silent(patience),
        false => Unanswered::Ended,
    })?;
    serde_json::from_slice(&line).map_err(|_| Unanswered::Ended)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}
