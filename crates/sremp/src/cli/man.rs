//! `sremp man`: the manual.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
};

use clap::CommandFactory as _;

use super::{DONE, Ending, args::Typed};

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp man | man -l -
  sremp man ~/.local/share/man/man1")]
pub(crate) struct Args {
    /// Write a page for every verb to this directory, instead of the main page to standard output
    dir: Option<PathBuf>,
}

impl Args {
    pub(crate) fn run(self) -> Ending {
        match self.dir {
            Some(dir) => {
                fs::create_dir_all(&dir)?;
                clap_mangen::generate_to(Typed::command(), dir)?;
            }
            None => {
                let mut page = Vec::new();
                clap_mangen::Man::new(Typed::command()).render(&mut page)?;
                io::stdout().write_all(&page)?;
            }
        }
        Ok(DONE)
    }
}
