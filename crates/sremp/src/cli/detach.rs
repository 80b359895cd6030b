//! `sremp up --detach`: the same program again, away from the terminal.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
};

use sremp_client::{
    home::Passphrase,
    view::{CommandError, ErrorKind},
};

use super::{
    context::Context,
    passphrase::{VARIABLE, text},
    up::Ready,
};

/// Most bytes of a child's complaint that are read.
const MAX_COMPLAINT: u64 = 64 * 1024;

/// Starts the client in the background and returns when it is ready.
///
/// # Errors
/// Those with which the client in the background ended.
pub(crate) fn run(context: &Context, listen: Option<&str>) -> Result<Ready, CommandError> {
    context.unlock.open(&context.home, |passphrase| {
        let mut child = command(context, listen)
            .and_then(|mut command| command.spawn())
            .map_err(|error| failed(&error))?;
        hand_over(&mut child, passphrase);
        ready(child)
    })
}

/// In a process group of its own, which the terminal's Ctrl-C does not reach.
fn command(context: &Context, listen: Option<&str>) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("--home")
        .arg(&context.path)
        .args(["--json", "--passphrase-file", "-", "up", "--detached"])
        .env_remove(VARIABLE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Holds no directory that somebody may want to unmount.
        .current_dir("/")
        .process_group(0);
    if let Some(listen) = listen {
        command.args(["--listen", listen]);
    }
    Ok(command)
}

/// Through a pipe: arguments and environment can be read by others.
fn hand_over(child: &mut Child, passphrase: &Passphrase) {
    if let Some(mut stdin) = child.stdin.take() {
        // A child that ended before it read says why on standard error.
        let _ = stdin.write_all(text(passphrase).as_bytes());
        let _ = stdin.write_all(b"\n");
    }
}

/// What the child says: that it is ready, or why it is not.
fn ready(mut child: Child) -> Result<Ready, CommandError> {
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout)
            .read_line(&mut line)
            .map_err(|error| failed(&error))?;
    }
    if let Ok(ready) = serde_json::from_str(&line) {
        return Ok(ready);
    }
    let mut complaint = String::new();
    if let Some(stderr) = child.stderr.take() {
        stderr
            .take(MAX_COMPLAINT)
            .read_to_string(&mut complaint)
            .map_err(|error| failed(&error))?;
    }
    child.wait().map_err(|error| failed(&error))?;
    Err(understood(&complaint))
}

/// The error object among the lines of a complaint.
fn understood(complaint: &str) -> CommandError {
    let object = complaint
        .lines()
        .rev()
        .find_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let part = |name: &str| object.as_ref().and_then(|object| object.get(name)).cloned();
    let kind = part("error").and_then(|kind| serde_json::from_value(kind).ok());
    let message = part("message").and_then(|message| message.as_str().map(str::to_owned));
    match (kind, message) {
        (Some(kind), Some(message)) => CommandError { kind, message },
        _ => CommandError::new(
            ErrorKind::Failed,
            "the client in the background ended without a word; run `sremp up` without --detach to see why",
        ),
    }
}

fn failed(error: &io::Error) -> CommandError {
    CommandError::new(
        ErrorKind::Failed,
        format!("the client cannot go to the background: {error}; run `sremp up` without --detach"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_childs_error_is_passed_on_with_its_kind() {
        let error = understood(
            "sremp: the passphrase is wrong\n{\"error\":\"passphrase\",\"message\":\"the passphrase is wrong\"}\n",
        );
        assert_eq!(error.kind, ErrorKind::Passphrase);
        assert_eq!(error.message, "the passphrase is wrong");
        assert_eq!(understood("").kind, ErrorKind::Failed);
    }
}
