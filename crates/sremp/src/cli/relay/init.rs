//! `sremp relay init`: a directory, an identity, an annotated config.

use std::net::SocketAddr;

use sremp_relay::{config::Config, operate};

use super::{Operator, link_view};
use crate::cli::{
    DONE, Ending, Failure, qr,
    server::{fixed, toml_string},
};

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp relay init --advertise relay.example.org:33399
  sremp relay init --home /tmp/relay --listen 127.0.0.1:0 --open")]
pub(crate) struct Args {
    /// Address to listen on; port 0 takes a free one now
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:33399")]
    listen: SocketAddr,
    /// What others dial, if it differs from the address to listen on
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// Give everybody a mailbox, not just whoever brings an invite
    #[arg(long)]
    open: bool,
}

impl Args {
    pub(crate) fn run(self, operator: &Operator) -> Ending {
        let text = self.config()?;
        let link = operate::init(&operator.home, &text)?;
        let path = operator.home.path().display();
        operator.out.one(&link_view(&link), |to| {
            writeln!(to, "The relay is made and lies in {path}.")?;
            writeln!(to, "link  {link}")?;
            qr::draw_text(to, &link.to_string(), operator.out)?;
            if self.advertise.is_none() && self.listen.ip().is_unspecified() {
                writeln!(
                    to,
                    "\nThe link is good on this machine only. For others set `advertise` in relay.toml to\n\
                     HOST:PORT as they reach it, before you give out links."
                )?;
            }
            writeln!(to, "\nStart it with `sremp relay run`.")?;
            match self.open {
                true => writeln!(to, "Whoever has the link gets a mailbox."),
                false => writeln!(
                    to,
                    "It gives a mailbox to whoever brings an invite: `sremp relay invite`."
                ),
            }
        })?;
        Ok(DONE)
    }

    /// The annotated file with what was chosen in it.
    fn config(&self) -> Result<String, Failure> {
        let mut text = Config::DEFAULT.to_owned();
        let listen = fixed(self.listen)?;
        text = text.replace(
            "listen = \"0.0.0.0:33399\"",
            &format!("listen = \"{listen}\""),
        );
        if let Some(advertise) = &self.advertise {
            let quoted = toml_string(advertise);
            text = text.replace(
                "# advertise = \"relay.example.org:33399\"",
                &format!("advertise = {quoted}"),
            );
        }
        if self.open {
            text = text.replace("policy = \"invite\"", "policy = \"open\"");
        }
        if listen.port() != 33_399 && listen.ip().is_loopback() {
            // beside another relay on this machine: metrics on a free port each
            text = text.replace(
                "operations = \"127.0.0.1:33390\"",
                "operations = \"127.0.0.1:0\"",
            );
        }
        Ok(text)
    }
}
