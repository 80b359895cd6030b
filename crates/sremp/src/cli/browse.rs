//! `sremp browse`: those who want to be found by whoever looks.

use std::io::{self, Write};

use sremp_client::view::{BrowseView, Command, FoundView};

use super::{DONE, Ending, context::Context, find::presence, peer, words};
use crate::ask::Ask as _;

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp browse
  sremp browse ann --limit 20

Only who is registered may browse: run `sremp up` first. Names are what people call themselves, and
anybody may take any name; an id belongs to one person.")]
pub(crate) struct Args {
    /// Only names that contain this
    name: Option<String>,
    /// Most people to list
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let command = Command::Browse {
            name: self.name,
            limit: self.limit,
        };
        let view: BrowseView = context.locally(|client| Ok(client.face.ask(&command)?))?;
        context
            .out
            .list(&view.people, |to| show(to, &view.people))?;
        let mut to = io::stderr().lock();
        for failure in &view.failures {
            writeln!(to, "{}", peer::line(failure))?;
        }
        if view.refused > 0 {
            writeln!(
                to,
                "{} entries did not hold and were left out",
                view.refused
            )?;
        }
        if view.more {
            writeln!(
                to,
                "there are more; narrow it down with a name, or look again in a minute"
            )?;
        }
        Ok(DONE)
    }
}

fn show(to: &mut dyn Write, people: &[FoundView]) -> io::Result<()> {
    if people.is_empty() {
        return writeln!(to, "Nobody is listed.");
    }
    let mut rows = vec![["NAME", "ID", "CONTACT", "SEEN"].map(str::to_owned)];
    rows.extend(people.iter().map(|found| {
        [
            peer::line(&found.username),
            peer::line(&found.id),
            found
                .alias
                .as_deref()
                .map_or_else(|| "-".to_owned(), peer::line),
            presence(found).unwrap_or_else(|| "-".to_owned()),
        ]
    }));
    words::table(to, &rows)?;
    for found in people {
        for warning in &found.warnings {
            let who = words::short(&found.id);
            writeln!(to, "warning: {who}: {}", peer::line(warning))?;
        }
    }
    writeln!(to, "Add one with `sremp add ID --as ALIAS`.")
}
