//! Programs that are spoken with by lines.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use crate::process::Outcome;

/// How long is waited for a line or an end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program that prints lines and ends with its input.
pub(crate) struct Talker {
    child: Child,
    /// In a lock only so that threads may share who holds this.
    lines: Mutex<Receiver<String>>,
}

impl Talker {
    pub(crate) fn start(command: &mut Command) -> Result<Self, String> {
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.map_err(|e| format!("cannot be started: {e}"))?;
        let (sender, lines) = channel();
        if let Some(out) = child.stdout.take() {
            thread::spawn(move || {
                let mut lines = BufReader::new(out).lines().map_while(Result::ok);
                lines.all(|line| sender.send(line).is_ok())
            });
        }
        Ok(Self {
            child,
            lines: Mutex::new(lines),
        })
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line.
    pub(crate) fn line(&mut self) -> Result<String, String> {
        self.line_within(PATIENCE)
    }

    pub(crate) fn line_within(&mut self, patience: Duration) -> Result<String, String> {
        let lines = self.lines.get_mut().map_err(|_| "its lines are lost")?;
        let line = lines.recv_timeout(patience);
        line.map_err(|_| format!("no line within {patience:?}"))
    }

    /// Gives it a line.
    pub(crate) fn say(&mut self, line: &str) -> Outcome {
        let input = self.child.stdin.as_mut().ok_or("its input is closed")?;
        let said = input.write_all(format!("{line}\n").as_bytes());
        said.map_err(|e| format!("it takes no line: {e}"))
    }

    /// Ends it at once (SIGKILL).
    pub(crate) fn kill(&mut self) -> Outcome {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        ended
            .map(drop)
            .map_err(|e| format!("it cannot be killed: {e}"))
    }

    /// Ends the input, and waits for the program.
    pub(crate) fn end(mut self) -> Outcome {
        if let Some(mut input) = self.child.stdin.take() {
            let _ = input.flush();
        }
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("it ended with {status}")),
                Ok(None) => thread::sleep(Duration::from_millis(20)),
                Err(e) => return Err(format!("it cannot be waited for: {e}")),
            }
        }
        Err("it does not end".into())
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}
