//! `sremp rendezvous`: everything that an operator does.

mod init;
mod run;
mod status;

use clap::Subcommand;
use sremp_client::view::ErrorKind;
use sremp_rendezvous::{
    directory::StoreError,
    home::RendezvousHome,
    run::{RendezvousLink, RunError},
};

use super::{Ending, Failure, Out, args::Shared, server::home_path};

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp rendezvous init --self-signed --advertise 192.0.2.7:33400
  sremp rendezvous run")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Make a rendezvous server: its identity, its settings, its directory
    Init(init::Args),
    /// Serve until SIGTERM or SIGINT
    Run(run::Args),
    /// Show what the server keeps
    Status(status::Args),
}

impl Args {
    pub(crate) fn run(self, shared: &Shared, out: Out) -> Ending {
        let operator = Operator {
            home: RendezvousHome::at(home_path(shared, "sremp-rendezvous")?),
            out,
        };
        match self.what {
            What::Init(args) => args.run(&operator),
            What::Run(args) => args.run(&operator),
            What::Status(args) => args.run(&operator),
        }
    }
}

/// Whose server it is, and how results are printed.
struct Operator {
    home: RendezvousHome,
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
            RunError::Home(error) => error.into(),
            RunError::Store(error) => error.into(),
            RunError::Certificate(_) => Self::new(ErrorKind::Home, error.to_string()),
            RunError::Listen(..) => Self::new(ErrorKind::Network, error.to_string()),
            RunError::System(_) => Self::new(ErrorKind::Failed, error.to_string()),
            RunError::Advertise(_) | RunError::PrivatePeer(_) => {
                Self::new(ErrorKind::Usage, error.to_string())
            }
        }
    }
}

/// A link as JSON shows it.
fn link_view(link: &RendezvousLink) -> serde_json::Value {
    serde_json::json!({
        "link": link.to_string(),
        "server": link.server.to_string(),
        "endpoint": link.endpoint.to_string(),
        "self_signed": link.spki.is_some(),
    })
}
