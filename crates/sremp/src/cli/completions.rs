//! `sremp completions`: for the user's shell.

use std::io::{self, Write as _};

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{DONE, Ending, args::Typed};

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp completions bash > ~/.local/share/bash-completion/completions/sremp
  sremp completions fish > ~/.config/fish/completions/sremp.fish")]
pub(crate) struct Args {
    /// Which shell
    shell: Shell,
}

impl Args {
    pub(crate) fn run(self) -> Ending {
        // clap_complete panics when it cannot write, so it writes to memory.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Typed::command(), "sremp", &mut script);
        io::stdout().write_all(&script)?;
        Ok(DONE)
    }
}
