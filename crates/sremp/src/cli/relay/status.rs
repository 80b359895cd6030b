//! `sremp relay status` and `sremp relay backup`: beside a relay that runs.

use std::path::PathBuf;

use serde_json::json;
use sremp_client::{clock::Rfc3339, view::ErrorKind};
use sremp_relay::{
    mailbox::{backup, stats},
    operate,
};

use super::Operator;
use crate::cli::{DONE, Ending, Failure, words};

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sremp relay status --json")]
pub(crate) struct StatusArgs {}

impl StatusArgs {
    pub(crate) fn run(self, operator: &Operator) -> Ending {
        let identity = operator.home.identity()?;
        let config = operator.home.config()?;
        let link = operate::link_of(&operator.home)?;
        let running = operator.home.is_served()?;
        let database = operator.home.database_path();
        let found = match database.exists() {
            true => stats(&database)?,
            false => Default::default(),
        };
        let view = json!({
            "relay": identity.id().to_string(),
            "link": link.to_string(),
            "running": running,
            "listen": config.listen.to_string(),
            "operations": config.operations.map(|address| address.to_string()),
            "mailboxes": found.mailboxes,
            "items": found.items,
            "bytes": found.bytes,
            "confirmations": found.confirmations,
            "oldest": found.oldest.map(Rfc3339).map(|at| at.to_string()),
            "disk": found.disk,
        });
        operator.out.one(&view, |to| {
            writeln!(to, "relay          {}", identity.id())?;
            writeln!(to, "link           {link}")?;
            writeln!(to, "listen         {}", config.listen)?;
            writeln!(to, "running        {}", if running { "yes" } else { "no" })?;
            writeln!(to, "mailboxes      {}", found.mailboxes)?;
            writeln!(to, "messages       {} ({} bytes)", found.items, found.bytes)?;
            writeln!(to, "confirmations  {}", found.confirmations)?;
            if let Some(oldest) = found.oldest {
                writeln!(to, "oldest         {}", words::moment(Rfc3339(oldest)))?;
            }
            writeln!(to, "on disk        {} bytes", found.disk)
        })?;
        Ok(DONE)
    }
}

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sremp relay backup /var/backups/mailboxes.db")]
pub(crate) struct BackupArgs {
    /// The copy; must not be there yet
    file: PathBuf,
}

impl BackupArgs {
    pub(crate) fn run(self, operator: &Operator) -> Ending {
        let file = self.file.display();
        if self.file.exists() {
            let message = format!("{file} is there already; name a file that is not");
            return Err(Failure::new(ErrorKind::Usage, message));
        }
        operator.home.identity()?;
        backup(&operator.home.database_path(), &self.file)?;
        operator.out.one(&json!({ "file": self.file }), |to| {
            writeln!(to, "Everything that is stored is copied to {file}.")?;
            writeln!(
                to,
                "Keep the files identity and relay.toml with it: without them it is nobody's."
            )
        })?;
        Ok(DONE)
    }
}
