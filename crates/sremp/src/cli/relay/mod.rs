//! `sremp relay`: everything that an operator does.

mod fsck;
mod init;
mod invite;
mod run;
mod status;

use clap::Subcommand;
use sremp_client::view::ErrorKind;

use sremp_relay::{
    home::RelayHome,
    mailbox::StoreError,
    operate::OperateError,
    run::{RelayLink, RunError},
};

use super::{Ending, Failure, Out, args::Shared, server::home_path};

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp relay init --advertise relay.example.org:33399
  sremp relay run
  sremp relay invite")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Make a relay: its identity, its settings, its directory
    Init(init::Args),
    /// Serve until SIGTERM or SIGINT
    Run(run::Args),
    /// Make an invite to a mailbox
    Invite(invite::Args),
    /// Show what the relay keeps
    Status(status::StatusArgs),
    /// Copy everything that is stored to a file, also while the relay runs
    Backup(status::BackupArgs),
    /// Check everything that is stored, also while the relay runs
    Fsck(fsck::Args),
}

impl Args {
    pub(crate) fn run(self, shared: &Shared, out: Out) -> Ending {
        let operator = Operator {
            home: RelayHome::at(home_path(shared, "sremp-relay")?),
            out,
        };
        match self.what {
            What::Init(args) => args.run(&operator),
            What::Run(args) => args.run(&operator),
            What::Invite(args) => args.run(&operator),
            What::Status(args) => args.run(&operator),
            What::Backup(args) => args.run(&operator),
            What::Fsck(args) => args.run(&operator),
        }
    }
}

/// Whose relay it is, and how results are printed.
struct Operator {
    home: RelayHome,
    out: Out,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::Damaged(_) | StoreError::InUse | StoreError::Newer { .. } => {
                ErrorKind::Home
            }
            _ => ErrorKind::Storage,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Store(error) => error.into(),
            RunError::Listen(..) => Self::new(ErrorKind::Network, error.to_string()),
            RunError::System(_) => Self::new(ErrorKind::Failed, error.to_string()),
            RunError::Advertise(_) => Self::new(ErrorKind::Usage, error.to_string()),
        }
    }
}

impl From<OperateError> for Failure {
    fn from(error: OperateError) -> Self {
        match error {
            OperateError::Home(error) => error.into(),
            OperateError::Run(error) => error.into(),
        }
    }
}

/// A link as JSON shows it.
fn link_view(link: &RelayLink) -> serde_json::Value {
    serde_json::json!({
        "link": link.to_string(),
        "relay": link.relay().to_string(),
        "endpoint": link.endpoint().to_string(),
    })
}
