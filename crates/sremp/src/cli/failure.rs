//! How failures are told: a sentence on standard error, an object with `--json`, an exit code.

use std::{
    io::{self, ErrorKind as Io, Write as _},
    process::ExitCode,
};

use serde_json::json;
use sremp_client::view::{CommandError, ErrorKind};

use super::peer;

/// Why a verb ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The client, or the verb, says no.
    Refused(CommandError),
    /// What was to be printed could not be.
    Output(io::Error),
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        Self::Refused(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Failure {
    /// A failure of a kind with its sentence.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::Refused(CommandError::new(kind, message))
    }

    /// Tells the user and gives the exit code.
    pub(crate) fn report(self, json: bool) -> ExitCode {
        match self {
            Self::Refused(error) => {
                tell(&error, json);
                ExitCode::from(error.kind.exit_code())
            }
            // Whoever read the output has had enough, as in `sremp history ann | head`.
            Self::Output(error) if error.kind() == Io::BrokenPipe => ExitCode::SUCCESS,
            Self::Output(error) => {
                let error = CommandError::new(
                    ErrorKind::Storage,
                    format!(
                        "the output could not be written: {error}; free space or choose another place"
                    ),
                );
                tell(&error, json);
                ExitCode::from(error.kind.exit_code())
            }
        }
    }
}

/// Prints an error on standard error and goes on.
pub(crate) fn tell(error: &CommandError, json: bool) {
    let message = peer::line(&error.message);
    // Nothing can be told to somebody who has closed standard error.
    let _ = writeln!(io::stderr(), "sremp: {message}");
    if json {
        let _ = writeln!(
            io::stderr(),
            "{}",
            json!({ "error": error.kind, "message": message })
        );
    }
}

/// Prints what clap has to say: help and version on standard output, misuse on standard error.
pub(crate) fn refused(refusal: &clap::Error, json: bool) -> ExitCode {
    let _ = refusal.print();
    if !refusal.use_stderr() {
        return ExitCode::SUCCESS;
    }
    if json {
        let text = refusal.render().to_string();
        let first = text.lines().next().unwrap_or_default();
        let message = first.strip_prefix("error: ").unwrap_or(first);
        let _ = writeln!(
            io::stderr(),
            "{}",
            json!({ "error": ErrorKind::Usage, "message": message })
        );
    }
    ExitCode::from(ErrorKind::Usage.exit_code())
}
