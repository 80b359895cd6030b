//! `sremp verify`: the safety number and its comparison.

use std::io::{self, Write};

use sremp_client::{
    card,
    shell::word,
    view::{Command, ErrorKind, Trust, VerifyView},
};

use super::{DONE, Ending, Failure, context::Context, peer};
use crate::ask::Ask as _;

/// Digits of a safety number.
const DIGITS: usize = 60;

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp verify ben                             show the number; read it to each other
  sremp verify ben 24644 03752 14453 56130 95279 21617 50766 15029 48916 16064 44656 04635

Spaces, hyphens and dots between the digits do not matter.")]
pub(crate) struct Args {
    /// Alias, unique name, or at least 6 digits of the id
    contact: String,
    /// The 60 digits that the other reads out, or the text of their verification code; if they
    /// agree with yours the contact becomes trusted
    #[arg(value_name = "NUMBER")]
    number: Vec<String>,
}

impl Args {
    /// The digits of the number, or the text of the other's code, if one was given.
    fn number(&self) -> Result<Option<String>, Failure> {
        if self.number.is_empty() {
            return Ok(None);
        }
        let code: String = self.number.concat().split_whitespace().collect();
        if card::looks_like_one(&code) {
            return Ok(Some(code));
        }
        // as people write it down
        let digits = code.replace(['-', '.'], "");
        if digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Ok(Some(digits));
        }
        Err(Failure::new(
            ErrorKind::Usage,
            "a safety number has 60 digits in groups of five; ask the other to run `sremp verify` \
             and read them out again",
        ))
    }

    pub(crate) fn run(self, context: &Context) -> Ending {
        let command = Command::Verify {
            number: self.number()?,
            contact: self.contact,
        };
        let verified: VerifyView = context.locally(|client| Ok(client.face.ask(&command)?))?;
        context.out.one(&verified, |to| show(to, &verified))?;
        Ok(match verified.matches {
            Some(false) => ErrorKind::Failed.exit_code(),
            _ => DONE,
        })
    }
}

fn show(to: &mut dyn Write, view: &VerifyView) -> io::Result<()> {
    let alias = peer::line(&view.alias);
    match view.matches {
        Some(true) if view.trust == Trust::Rejected => writeln!(
            to,
            "The numbers are equal, and {alias} stays rejected: `sremp trust {}` takes that back.",
            word(&alias)
        ),
        Some(true) => writeln!(
            to,
            "The numbers are equal: {alias} is verified and trusted."
        ),
        Some(false) => {
            writeln!(
                to,
                "The numbers DIFFER: this is not the key that the other has."
            )?;
            writeln!(
                to,
                "Read the number again; if it still differs, do not trust {alias},"
            )?;
            writeln!(to, "and exchange cards anew by another way. Yours is:")?;
            number(to, &view.safety_number)
        }
        None => {
            writeln!(to, "Safety number with {alias}:")?;
            number(to, &view.safety_number)?;
            writeln!(
                to,
                "Read it to each other over a call or side by side. If it is the same, enter"
            )?;
            writeln!(
                to,
                "the digits you heard: sremp verify {} NUMBER",
                word(&alias)
            )
        }
    }
}

/// Three lines of four groups, as people read them out.
fn number(to: &mut dyn Write, digits: &str) -> io::Result<()> {
    let digits = peer::line(digits);
    let groups: Vec<&str> = digits.split(' ').collect();
    for line in groups.chunks(4) {
        writeln!(to, "    {}", line.join(" "))?;
    }
    Ok(())
}
