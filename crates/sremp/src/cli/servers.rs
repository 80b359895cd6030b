//! `sremp servers`: rendezvous servers in use, and others.

use std::io::{self, Write};

use sremp_client::view::{Command, ServerView, ServersView};

use super::{DONE, Ending, context::Context, peer, words};
use crate::ask::Ask as _;

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp servers

Servers tell of each other. One that is only told of is not used until you put its link into
`rendezvous` in the home's config.toml and start the client again.")]
pub(crate) struct Args {}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let view: ServersView =
            context.locally(|client| Ok(client.face.ask(&Command::Servers)?))?;
        context.out.one(&view, |to| show(to, &view))?;
        Ok(DONE)
    }
}

fn show(to: &mut dyn Write, view: &ServersView) -> io::Result<()> {
    if view.servers.is_empty() {
        writeln!(
            to,
            "No rendezvous server is set: put a link into `rendezvous` in the home's config.toml."
        )?;
    }
    for server in &view.servers {
        writeln!(to, "{}", line(server))?;
    }
    if !view.candidates.is_empty() {
        writeln!(to, "\nThey tell of these, which are not used:")?;
    }
    for other in &view.candidates {
        let until = words::moment(other.until);
        writeln!(to, "{} (until {until})", peer::line(&other.server))?;
        writeln!(to, "  {}", peer::line(&other.link))?;
    }
    Ok(())
}

/// One server, `host:port connected, registered until …`.
pub(crate) fn line(view: &ServerView) -> String {
    let whose = if view.own { "" } else { "a contact's, " };
    let state = words::link(view.state);
    let mut text = format!("{} {whose}{state}", peer::line(&view.server));
    if let Some(until) = view.registered_until {
        text.push_str(&format!(", registered until {}", words::moment(until)));
    }
    if view.relays_only {
        text.push_str(" with your relays only");
    }
    if let Some(error) = &view.last_error {
        text.push_str(&format!("; {}", peer::line(error)));
    }
    if let Some(next) = view.next_try {
        text.push_str(&format!("; next try {}", words::moment(next)));
    }
    text
}
