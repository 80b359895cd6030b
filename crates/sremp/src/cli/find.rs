//! `sremp find`: where somebody is now.

use std::io::{self, Write};

use sremp_client::view::{Command, FoundView};

use super::{DONE, Ending, context::Context, peer, words};
use crate::ask::Ask as _;

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp find 8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c
  sremp find ben

The rendezvous servers of the settings are asked, and those on the card of a contact. They learn whom
you look for. What they tell is signed by the owner of the id; nobody is dialled or added by looking.")]
pub(crate) struct Args {
    /// An id, or a contact
    #[arg(value_name = "ID|CONTACT")]
    who: String,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let command = Command::Find { who: self.who };
        let found: FoundView = context.online(false, |client| Ok(client.face.ask(&command)?))?;
        context.out.one(&found, |to| show(to, &found))?;
        Ok(DONE)
    }
}

fn show(to: &mut dyn Write, found: &FoundView) -> io::Result<()> {
    let row = |label: &str, value: String| [label.to_owned(), value];
    let mut rows = vec![
        row(
            "name",
            format!("{} (as they say)", peer::line(&found.username)),
        ),
        row("id", peer::line(&found.id)),
    ];
    rows.extend(
        found
            .alias
            .iter()
            .map(|alias| row("contact", peer::line(alias))),
    );
    rows.extend(
        found
            .endpoints
            .iter()
            .map(|place| row("reached at", peer::line(place))),
    );
    rows.extend(
        found
            .relays
            .iter()
            .map(|place| row("relay", peer::line(place))),
    );
    rows.push(row("said", words::moment(found.issued)));
    rows.push(row("holds until", words::moment(found.expires)));
    rows.extend(presence(found).map(|text| row("the server says", text)));
    rows.extend(
        found
            .servers
            .iter()
            .map(|server| row("told by", peer::line(server))),
    );
    rows.extend(found.warnings.iter().map(|w| row("warning", peer::line(w))));
    words::table(to, &rows)?;
    match found.alias {
        Some(_) => Ok(()),
        None => writeln!(
            to,
            "Add them with `sremp add {} --as ALIAS`.",
            peer::line(&found.id)
        ),
    }
}

/// What a server claims of somebody who is listed.
pub(crate) fn presence(found: &FoundView) -> Option<String> {
    match (found.online, found.last_seen) {
        (Some(true), _) => Some("online".to_owned()),
        (_, Some(seen)) => Some(format!("last seen around {}", words::moment(seen))),
        _ => None,
    }
}
