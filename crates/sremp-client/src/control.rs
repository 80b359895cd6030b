//! The running client's socket: JSON-RPC 2.0, one object a line, for faces of the same user.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::Shutdown,
    os::{
        fd::OwnedFd,
        unix::{
            fs::PermissionsExt as _,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

use serde::{Deserialize, Serialize};

use crate::view::{Command, CommandError, ErrorKind, Reply};

/// Rest after a failing accept.
const REST: std::time::Duration = std::time::Duration::from_millis(100);
/// Faces at once; one more is refused.
const MAX_FACES: usize = 64;
/// Longest request or reply in bytes, its newline included.
const MAX_LINE: u64 = 64 * 1024 * 1024;
/// Longest request in bytes: the largest text, escaped.
const MAX_REQUEST: u64 = 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct Request {
    jsonrpc: Version,
    id: u64,
    #[serde(flatten)]
    command: Command,
}

#[derive(Serialize, Deserialize)]
struct Response {
    jsonrpc: Version,
    id: u64,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Result(Box<Reply>),
    Error(RpcError),
}

#[derive(Serialize, Deserialize)]
struct RpcError {
    code: i32,
    message: String,
    data: Option<ErrorKind>,
}

#[derive(Serialize, Deserialize)]
enum Version {
    #[serde(rename = "2.0")]
    V2,
}

impl From<CommandError> for RpcError {
    fn from(error: CommandError) -> Self {
        Self {
            code: -32_000 - i32::from(error.kind.exit_code()),
            message: error.message,
            data: Some(error.kind),
        }
    }
}

impl From<RpcError> for CommandError {
    fn from(error: RpcError) -> Self {
        Self::new(error.data.unwrap_or(ErrorKind::Failed), error.message)
    }
}

/// Answers one command.
pub(crate) type Handler = dyn Fn(Command) -> Result<Reply, CommandError> + Send + Sync;

/// The listening socket; removed when dropped.
pub(crate) struct ControlServer {
    path: PathBuf,
    listener: UnixListener,
    stopping: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl ControlServer {
    /// Opens the socket, mode 0600. The caller holds the home's lock, so a socket that is there
    /// already is a dead one.
    pub(crate) fn open(path: &Path, handler: Arc<Handler>) -> io::Result<Self> {
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let listener = with_short_path(path, |short| UnixListener::bind(short))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let own = listener.try_clone()?;
        let accepting = std::thread::Builder::new()
            .name("sremp-control".to_owned())
            .spawn(move || accept(&listener, &stop, &handler))?;
        Ok(Self {
            path: path.to_owned(),
            listener: own,
            stopping,
            accepting: Some(accepting),
        })
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // wakes the thread that accepts, also if somebody has removed the socket's file
        if let Ok(listener) = self.listener.try_clone() {
            let _ = UnixStream::from(OwnedFd::from(listener)).shutdown(Shutdown::Both);
        }
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        let _ = fs::remove_file(&self.path);
    }
}

fn accept(listener: &UnixListener, stopping: &AtomicBool, handler: &Arc<Handler>) {
    let faces = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        if stopping.load(Ordering::Acquire) {
            return;
        }
        let Ok(stream) = stream else {
            // out of file handles, most likely
            std::thread::sleep(REST);
            continue;
        };
        if faces.fetch_add(1, Ordering::AcqRel) >= MAX_FACES {
            faces.fetch_sub(1, Ordering::AcqRel);
            continue;
        }
        let counted = Arc::clone(&faces);
        let handler = Arc::clone(handler);
        let serving = std::thread::Builder::new()
            .name("sremp-face".to_owned())
            .spawn(move || {
                let _ = serve(&stream, &handler);
                counted.fetch_sub(1, Ordering::AcqRel);
            });
        if serving.is_err() {
            faces.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

fn serve(stream: &UnixStream, handler: &Arc<Handler>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let n = (&mut reader)
            .take(MAX_REQUEST)
            .read_until(b'\n', &mut line)?;
        if n == 0 {
            return Ok(());
        }
        if !line.ends_with(b"\n") {
            return refuse(
                stream,
                -32_600,
                "a request has at most 1 MiB and ends with a newline",
            );
        }
        let request: Request = match serde_json::from_slice(&line) {
            Ok(request) => request,
            Err(error) => {
                refuse(stream, -32_600, &format!("not a request: {error}"))?;
                continue;
            }
        };
        let outcome = match handler(request.command) {
            Ok(reply) => Outcome::Result(Box::new(reply)),
            Err(error) => Outcome::Error(error.into()),
        };
        answer(stream, request.id, outcome)?;
    }
}

fn refuse(stream: &UnixStream, code: i32, message: &str) -> io::Result<()> {
    let error = RpcError {
        code,
        message: message.to_owned(),
        data: Some(ErrorKind::Usage),
    };
    answer(stream, 0, Outcome::Error(error))
}

fn answer(mut stream: &UnixStream, id: u64, outcome: Outcome) -> io::Result<()> {
    let jsonrpc = Version::V2;
    let mut line = serde_json::to_vec(&Response {
        jsonrpc,
        id,
        outcome,
    })?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// A face's end of the socket. Calls that overlap use a connection each.
pub(crate) struct Remote {
    path: PathBuf,
    idle: Mutex<Vec<BufReader<UnixStream>>>,
}

impl Remote {
    /// The running client of a home, `None` if there is none.
    pub(crate) fn connect(path: &Path) -> io::Result<Option<Self>> {
        match with_short_path(path, |short| UnixStream::connect(short)) {
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
            None => with_short_path(&self.path, |short| UnixStream::connect(short))
                .map(BufReader::new)
                .map_err(|e| gone(&e))?,
        };
        let response = exchange(&mut stream, command).map_err(|e| gone(&e))?;
        self.pool().push(stream);
        match response.outcome {
            Outcome::Result(reply) => Ok(*reply),
            Outcome::Error(error) => Err(error.into()),
        }
    }

    fn pool(&self) -> std::sync::MutexGuard<'_, Vec<BufReader<UnixStream>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn exchange(stream: &mut BufReader<UnixStream>, command: &Command) -> io::Result<Response> {
    let mut line = serde_json::to_vec(&Request {
        jsonrpc: Version::V2,
        id: 1,
        command: command.clone(),
    })?;
    line.push(b'\n');
    stream.get_mut().write_all(&line)?;
    line.clear();
    stream.take(MAX_LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
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

/// Unix socket paths end at 108 bytes: a longer one is reached through its open directory.
fn with_short_path<T>(path: &Path, action: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    use std::os::fd::AsRawFd as _;
    if path.as_os_str().len() < 100 {
        return action(path);
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return action(path);
    };
    let directory = fs::File::open(parent)?;
    let short = format!("/proc/self/fd/{}", directory.as_raw_fd());
    action(&Path::new(&short).join(name))
}
