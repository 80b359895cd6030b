//! What `sremp relay` and `sremp rendezvous` have in common.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
};

use etcetera::BaseStrategy as _;
use sremp_client::view::ErrorKind;
use sremp_relay::home::HomeError;
use tokio::sync::mpsc;

use super::{Ending, Failure, Hangup, args::Shared, context::empty_home, on_end};

/// Where the server's directory lies: as given, else `name` in the user's place for data.
pub(super) fn home_path(shared: &Shared, name: &str) -> Result<PathBuf, Failure> {
    let nowhere = |why: &str| {
        let message = format!("there is no place for data: {why}; choose one with --home DIR");
        Failure::new(ErrorKind::Home, message)
    };
    let path = match &shared.home {
        Some(path) if path.as_os_str().is_empty() => return Err(empty_home().into()),
        Some(path) => path.clone(),
        None => etcetera::choose_base_strategy()
            .map_err(|_| nowhere("the user has no home directory"))?
            .data_dir()
            .join(name),
    };
    std::path::absolute(path).map_err(|error| nowhere(&error.to_string()))
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Self {
        let kind = match &error {
            HomeError::Io(..) => ErrorKind::Storage,
            _ => ErrorKind::Home,
        };
        Self::new(kind, error.to_string())
    }
}

/// A port that stays: links that name it are good after a restart too.
pub(super) fn fixed(listen: SocketAddr) -> Result<SocketAddr, Failure> {
    if listen.port() != 0 {
        return Ok(listen);
    }
    let bound = TcpListener::bind(listen).and_then(|listener| listener.local_addr());
    bound.map_err(|error| {
        let message =
            format!("cannot listen on {listen}: {error}; choose another address with --listen");
        Failure::new(ErrorKind::Network, message)
    })
}

/// A basic string of TOML (v1.0.0, "String").
pub(super) fn toml_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Runs a server with its log on standard error. It is told once when it has to end: by a signal, or
/// with `with_parent` by the end of standard input.
pub(super) fn until_told<F>(
    with_parent: bool,
    serve: impl FnOnce(mpsc::Receiver<()>) -> F,
) -> Ending
where
    F: Future<Output = Ending>,
{
    log();
    let runtime = tokio::runtime::Runtime::new().map_err(|error| {
        let message = format!("the system gives no threads: {error}");
        Failure::new(ErrorKind::Failed, message)
    })?;
    let (end, ended) = mpsc::channel(2);
    if with_parent {
        let end = end.clone();
        std::thread::spawn(move || {
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            let _ = end.blocking_send(());
        });
    }
    on_end(Hangup::Ends, move || {
        // there is room: full would mean that it has been told
        let _ = end.try_send(());
    })?;
    runtime.block_on(serve(ended))
}

/// Counts and causes, never who or from where (D6.12).
fn log() {
    let subscriber = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_target(false)
        .finish();
    // set already by whoever runs several of them in one process
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// A server that serves waits until it is told to end, or cannot go on: then why.
pub(super) async fn ended<E>(
    mut told: mpsc::Receiver<()>,
    failed: impl Future<Output = E>,
) -> Option<E> {
    // told to systemd, if it asked to be told
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let failure = tokio::select! {
        _ = told.recv() => None,
        failure = failed => Some(failure),
    };
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    failure
}
