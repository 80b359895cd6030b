//! `sremp doctor`: checks of the client and its surroundings, with remedies.

use std::io::{self, Write};

use sremp_client::view::{CheckView, Command, CommandError, DoctorView, Outcome};

use super::{DONE, Ending, context::Context, peer};
use crate::ask::Ask as _;

/// Something does not work.
const ILL: u8 = 1;
/// Columns of the text.
const WIDTH: usize = 80;
/// Columns before the words.
const INDENT: usize = 21;

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp doctor
  sremp doctor --json

Takes up to ten seconds. Exit code 1 if something does not work, 0 if all does or is only not at
its best.")]
pub(crate) struct Args {}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let (found, deaf): (DoctorView, _) =
            context.online_although_deaf(|client| Ok(client.face.ask(&Command::Doctor)?))?;
        let mut checks = context.home.examine();
        checks.extend(found.checks);
        if let Some(why) = deaf {
            put_in(&mut checks, cannot_listen(&why));
        }
        let found = DoctorView { checks };
        context.out.one(&found, |to| show(to, &found))?;
        let ill = found.checks.iter().any(|c| c.outcome == Outcome::Fail);
        Ok(if ill { ILL } else { DONE })
    }
}

/// What is said of a listener that could not be opened. The advice of the error names an option of
/// `up`: it is left off.
fn cannot_listen(why: &CommandError) -> CheckView {
    let words = why.message.split(';').next().unwrap_or_default();
    CheckView::new("listening", Outcome::Fail, words).remedy(
        "End the program that has the place, or choose another: `sremp config listen ADDR:PORT`.",
    )
}

/// Puts a check in the place of the one of the same name, which knows less.
fn put_in(checks: &mut Vec<CheckView>, check: CheckView) {
    match checks.iter_mut().find(|other| other.check == check.check) {
        Some(other) => *other = check,
        None => checks.push(check),
    }
}

fn show(to: &mut dyn Write, found: &DoctorView) -> io::Result<()> {
    for check in &found.checks {
        show_one(to, check)?;
    }
    let count = |outcome| found.checks.iter().filter(|c| c.outcome == outcome).count();
    let (bad, poor) = (count(Outcome::Fail), count(Outcome::Warn));
    match (bad, poor) {
        (0, 0) => writeln!(to, "all is well"),
        (0, poor) => writeln!(to, "all works; {poor} could be better"),
        (1, 0) => writeln!(to, "1 does not work"),
        (1, poor) => writeln!(to, "1 does not work, {poor} could be better"),
        (bad, 0) => writeln!(to, "{bad} do not work"),
        (bad, poor) => writeln!(to, "{bad} do not work, {poor} could be better"),
    }
}

fn show_one(to: &mut dyn Write, check: &CheckView) -> io::Result<()> {
    let outcome = match check.outcome {
        Outcome::Ok => "ok",
        Outcome::Warn => "WARN",
        Outcome::Fail => "FAIL",
        Outcome::Skipped => "skipped",
    };
    let words = match &check.subject {
        Some(subject) => format!("{}: {}", peer::line(subject), peer::line(&check.words)),
        None => peer::line(&check.words),
    };
    let mut label = format!("{outcome:<7}  {:<10}  ", check.check);
    for line in wrapped(&words, WIDTH - INDENT) {
        writeln!(to, "{label}{line}")?;
        label = " ".repeat(INDENT);
    }
    let remedy = check.remedy.as_deref().map(peer::line).unwrap_or_default();
    let mut label = format!("{}-> ", " ".repeat(INDENT));
    for line in wrapped(&remedy, WIDTH - INDENT - 3) {
        writeln!(to, "{label}{line}")?;
        label = " ".repeat(INDENT + 3);
    }
    Ok(())
}

/// Lines of at most so many characters, broken between words; a longer word has its own line.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_broken_at_eighty_columns_and_none_is_lost() {
        let long = "word ".repeat(60);
        let check = CheckView::new("rendezvous", Outcome::Warn, long.trim_end())
            .of("host:1")
            .remedy(long.trim_end());
        let mut shown = Vec::new();
        show_one(&mut shown, &check).unwrap();
        let shown = String::from_utf8(shown).unwrap();
        assert!(
            shown.lines().all(|line| line.chars().count() <= WIDTH),
            "{shown}"
        );
        assert_eq!(shown.matches("word").count(), 120);
        assert!(
            shown.starts_with("WARN     rendezvous  host:1: word"),
            "{shown}"
        );
    }
}
