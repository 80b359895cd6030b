//! `sremp relay invite`: a link with which somebody gets a mailbox.

use std::time::Duration;

use sremp_client::clock::Rfc3339;
use sremp_relay::operate;

use super::{Operator, link_view};
use crate::cli::{DONE, Ending, qr, words};

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp relay invite
  sremp relay invite --many --expires 86400")]
pub(crate) struct Args {
    /// Life of the invite in seconds; 7 days unless given
    #[arg(long, value_name = "SECONDS", default_value_t = 7 * 24 * 60 * 60)]
    expires: u32,
    /// Let everybody use it who has it, not just the first
    #[arg(long)]
    many: bool,
}

impl Args {
    pub(crate) fn run(self, operator: &Operator) -> Ending {
        let life = Duration::from_secs(self.expires.into());
        let (link, expires) = operate::invite(&operator.home, life, !self.many)?;
        let expires = Rfc3339(expires);
        let mut view = link_view(&link);
        view["expires"] = expires.to_string().into();
        view["single_use"] = (!self.many).into();
        operator.out.one(&view, |to| {
            writeln!(to, "link     {link}")?;
            writeln!(to, "expires  {}", words::moment(expires))?;
            qr::draw_text(to, &link.to_string(), operator.out)?;
            match self.many {
                true => writeln!(to, "\nWhoever uses it until then gets a mailbox."),
                false => writeln!(to, "\nThe first who uses it gets a mailbox."),
            }
        })?;
        Ok(DONE)
    }
}
