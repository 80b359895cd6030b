//! SIGINT and SIGTERM as a request to end in good order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use sremp_client::view::{CommandError, ErrorKind};
use tokio::signal::unix::{SignalKind, signal};

/// What a terminal that closes means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hangup {
    /// The end, as the other signals.
    Ends,
    /// Nothing: the process has left the terminal.
    Ignored,
}

/// Calls back once, on another thread, when the process is asked to end. A second request ends it
/// at once: the store is safe at any moment.
///
/// # Errors
/// [`ErrorKind::Failed`] if the system gives no signal handler.
pub(crate) fn on_end(
    hangup: Hangup,
    notify: impl FnOnce() + Send + 'static,
) -> Result<(), CommandError> {
    let failed = |error: std::io::Error| {
        CommandError::new(
            ErrorKind::Failed,
            format!("signals cannot be handled: {error}; end other programs and try again"),
        )
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(failed)?;
    let entered = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut hung_up = signal(SignalKind::hangup()).map_err(failed)?;
    drop(entered);
    thread::spawn(move || {
        runtime.block_on(async {
            let mut next = async || loop {
                tokio::select! {
                    _ = interrupt.recv() => return 130,
                    _ = terminate.recv() => return 143,
                    _ = hung_up.recv() => if hangup == Hangup::Ends { return 129 },
                }
            };
            next().await;
            notify();
            let code = next().await;
            std::process::exit(code);
        });
    });
    Ok(())
}

/// A flag that is raised when the process is asked to end.
///
/// # Errors
/// As [`on_end`].
pub(crate) fn end_flag() -> Result<Arc<AtomicBool>, CommandError> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&flag);
    on_end(Hangup::Ends, move || raised.store(true, Ordering::Relaxed))?;
    Ok(flag)
}
