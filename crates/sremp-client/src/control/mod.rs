//! The running client's socket: JSON-RPC 2.0, one object or batch a line, for faces of the same user.

mod desk;
mod doubt;
mod face;
mod hub;
mod remote;
mod rpc;
mod strict;
#[cfg(test)]
mod tests;

use std::{
    fs,
    io::{self, Write as _},
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
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::sync_channel,
    },
    thread::JoinHandle,
    time::Duration,
};

pub(crate) use self::remote::{Remote, dial};
use self::{
    face::Serving,
    hub::Hub,
    rpc::{Response, RpcError, line},
};
use crate::{
    runtime::{Answer, FaceId, Respond, STOPPED},
    view::{Command, CommandError, ErrorKind},
};

/// Rest after a failing accept.
const REST: Duration = Duration::from_millis(100);
/// Faces at once; one more is refused.
const MAX_FACES: usize = 64;
/// Who reads events for all.
const HUB: FaceId = FaceId(1);

/// What the socket serves.
pub(crate) trait Client: Send + Sync + 'static {
    /// Asks; the answer is called back, on a thread that must not be held up.
    fn ask(&self, face: FaceId, command: Command, respond: Respond);
    /// A face has left: it waits for no event any more.
    fn left(&self, face: FaceId);
}

/// Asks and waits for the answer.
fn ask(client: &Arc<dyn Client>, face: FaceId, command: Command) -> Answer {
    let (tell, told) = sync_channel(1);
    let respond = move |answer| {
        let _ = tell.send(answer);
    };
    client.ask(face, command, Box::new(respond));
    let stopped = |_| CommandError::new(ErrorKind::Failed, STOPPED);
    told.recv().map_err(stopped)?
}

/// The listening socket; removed when dropped.
pub(crate) struct ControlServer {
    path: PathBuf,
    listener: UnixListener,
    stopping: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
    hub: Arc<Hub>,
}

impl ControlServer {
    /// Opens the socket, mode 0600. The caller holds the home's lock, so a socket that is there
    /// already is a dead one.
    pub(crate) fn open(path: &Path, client: Arc<dyn Client>) -> io::Result<Self> {
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let listener = with_short_path(path, |short| UnixListener::bind(short))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let own = listener.try_clone()?;
        let hub = Arc::new(Hub::default());
        let (reading, asked) = (Arc::clone(&hub), Arc::clone(&client));
        std::thread::Builder::new()
            .name("sremp-hub".to_owned())
            .spawn(move || reading.run(&asked, HUB))?;
        let told = Arc::clone(&hub);
        let accepting = std::thread::Builder::new()
            .name("sremp-control".to_owned())
            .spawn(move || accept(&listener, &stop, &client, &told))?;
        Ok(Self {
            path: path.to_owned(),
            listener: own,
            stopping,
            accepting: Some(accepting),
            hub,
        })
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        self.hub.end();
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

fn accept(
    listener: &UnixListener,
    stopping: &AtomicBool,
    client: &Arc<dyn Client>,
    hub: &Arc<Hub>,
) {
    let faces = Arc::new(AtomicUsize::new(0));
    for (stream, id) in listener.incoming().zip(HUB.0 + 1..) {
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
            turn_away(&stream);
            continue;
        }
        let counted = Arc::clone(&faces);
        let serving = Serving {
            id: FaceId(id),
            client: Arc::clone(client),
            hub: Arc::clone(hub),
            hub_id: HUB,
            patience: face::PATIENCE,
        };
        let started = std::thread::Builder::new()
            .name("sremp-face".to_owned())
            .spawn(move || {
                serving.run(&stream);
                counted.fetch_sub(1, Ordering::AcqRel);
            });
        if started.is_err() {
            faces.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Says why, as far as that does not hold anybody up.
fn turn_away(mut stream: &UnixStream) {
    let error = RpcError::too_many(format!(
        "{MAX_FACES} faces are attached already; close one and try again"
    ));
    let refusal = line(&Response::new(serde_json::Value::Null, Err(error)));
    let _ = stream.set_nonblocking(true);
    let _ = refusal.map(|refusal| stream.write_all(&refusal));
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
