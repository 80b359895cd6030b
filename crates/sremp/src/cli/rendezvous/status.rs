//! `sremp rendezvous status`: beside a server that runs.

use serde_json::json;
use sremp_rendezvous::{directory::registrations, operate};

use super::Operator;
use crate::cli::{DONE, Ending};

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sremp rendezvous status --json")]
pub(crate) struct Args {}

impl Args {
    pub(crate) fn run(self, operator: &Operator) -> Ending {
        let config = operator.home.config()?;
        let link = operate::link_of(&operator.home)?;
        let running = operator.home.is_served()?;
        let database = operator.home.database_path();
        let registrations = match database.exists() {
            true => registrations(&database)?,
            false => 0,
        };
        let view = json!({
            "server": link.server.to_string(),
            "link": link.to_string(),
            "running": running,
            "listen": config.listen.to_string(),
            "self_signed": link.spki.is_some(),
            "registrations": registrations,
            "allow_private_addresses": config.allow_private_addresses,
        });
        let yes = |yes: bool| if yes { "yes" } else { "no" };
        operator.out.one(&view, |to| {
            writeln!(to, "server             {}", link.server)?;
            writeln!(to, "link               {link}")?;
            writeln!(to, "listen             {}", config.listen)?;
            writeln!(to, "running            {}", yes(running))?;
            writeln!(to, "registrations      {registrations}")?;
            writeln!(
                to,
                "private addresses  {}",
                yes(config.allow_private_addresses)
            )
        })?;
        Ok(DONE)
    }
}
