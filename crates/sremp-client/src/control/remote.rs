//! A face's end of the socket.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::Deserialize;
use serde_json::Value;

use super::{
    rpc::{RpcError, request},
    with_short_path,
};
use crate::view::{Command, CommandError, ErrorKind, Reply};

/// Longest reply in bytes, its newline included.
const MAX_LINE: u64 = 64 * 1024 * 1024;
/// The id of the one request that is under way on a connection.
const ID: u64 = 1;

/// The socket of a running client. Calls that overlap use a connection each.
pub(crate) struct Remote {
    path: PathBuf,
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
    pub(crate) fn connect(path: &Path) -> io::Result<Option<Self>> {
        match dial(path) {
            Ok(stream) => Ok(Some(Self {
                path: path.to_owned(),
                idle: Mutex::new(vec![BufReader::new(stream)]),
            })),
            Err(e) if is_absent(&e) => Ok(None),
            Err(e) => Err(e),
        }
    }

    pub(crate) fn call(&self, command: &Command) -> Result<Reply, CommandError> {
        let mut stream = match self.pool().pop() {
            Some(idle) => idle,
            None => BufReader::new(dial(&self.path).map_err(|e| gone(&e))?),
        };
        let response = exchange(&mut stream, command).map_err(|e| gone(&e))?;
        if response.id == ID {
            self.pool().push(stream);
        }
        match (response.result, response.error) {
            (_, Some(error)) => Err(error.into()),
            (Some(reply), None) => Ok(*reply),
            (None, None) => Err(gone(&io::ErrorKind::InvalidData.into())),
        }
    }

    fn pool(&self) -> MutexGuard<'_, Vec<BufReader<UnixStream>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection to a client's socket.
pub(crate) fn dial(path: &Path) -> io::Result<UnixStream> {
    with_short_path(path, |short| UnixStream::connect(short))
}

fn exchange(stream: &mut BufReader<UnixStream>, command: &Command) -> io::Result<Response> {
    let mut line = request(ID, command)?;
    // a client that refuses the connection has said so before it closed it
    let written = stream.get_mut().write_all(&line);
    line.clear();
    stream.take(MAX_LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        written?;
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&line).map_err(io::Error::from)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

fn gone(error: &io::Error) -> CommandError {
    let message = format!("the running client does not answer ({error}); start it again");
    CommandError::new(ErrorKind::Failed, message)
}
