//! Questions to the person at the terminal.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

/// Whether somebody can be asked and would see the question.
pub(crate) fn present() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// A line in answer to a question, without the white space around it; `None` at the end of input.
///
/// # Errors
/// Those of the terminal.
pub(crate) fn ask(question: &str) -> io::Result<Option<String>> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question} ")?;
    stderr.flush()?;
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line)? == 0 {
        writeln!(stderr)?;
        return Ok(None);
    }
    Ok(Some(line.trim().to_owned()))
}

/// Whether the person says yes; anything else is a no.
///
/// # Errors
/// Those of the terminal.
pub(crate) fn agrees(question: &str) -> io::Result<bool> {
    let answer = ask(&format!("{question} [y/N]"))?;
    Ok(answer.is_some_and(|answer| matches!(answer.to_lowercase().as_str(), "y" | "yes")))
}
