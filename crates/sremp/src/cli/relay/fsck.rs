//! `sremp relay fsck`: whether everything is as it was written.

use serde_json::json;
use sremp_client::view::ErrorKind;
use sremp_relay::mailbox::fsck;

use super::Operator;
use crate::cli::{DONE, Ending, Failure};

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sremp relay fsck")]
pub(crate) struct Args {}

impl Args {
    pub(crate) fn run(self, operator: &Operator) -> Ending {
        operator.home.identity()?;
        let faults = fsck(&operator.home.database_path())?;
        operator.out.one(&json!({ "faults": faults }), |to| {
            for fault in &faults {
                writeln!(to, "{fault}")?;
            }
            match faults.is_empty() {
                true => writeln!(to, "Everything is as it was written."),
                false => Ok(()),
            }
        })?;
        match faults.len() {
            0 => Ok(DONE),
            count => {
                let message = format!(
                    "{count} faults were found; stop the relay and put back the last backup"
                );
                Err(Failure::new(ErrorKind::Home, message))
            }
        }
    }
}
