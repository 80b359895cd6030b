//! `sremp rendezvous init`: a directory, an identity, an annotated config, a certificate.

use std::{net::SocketAddr, path::PathBuf};

use sremp_client::view::ErrorKind;
use sremp_rendezvous::{config::Config, operate};

use super::{Operator, link_view};
use crate::cli::{
    DONE, Ending, Failure, qr,
    server::{fixed, toml_string},
};

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp rendezvous init --advertise rdv.example.org:443 --certificate fullchain.pem --key privkey.pem
  sremp rendezvous init --listen 0.0.0.0:443 --acme rdv.example.org
  sremp rendezvous init --home /tmp/rdv --listen 127.0.0.1:0 --self-signed")]
pub(crate) struct Args {
    /// Address to listen on; port 0 takes a free one now
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:33400")]
    listen: SocketAddr,
    /// What others dial, if it differs from the address to listen on
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// Make a certificate, and put its fingerprint into the link: for a LAN and for tests
    #[arg(
        long,
        required_unless_present_any = ["certificate", "acme"],
        conflicts_with = "certificate"
    )]
    self_signed: bool,
    /// The chain of a certificate for the advertised host, PEM; read again when it changes
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// Have Let's Encrypt give a certificate for this name; port 443 of it has to lead here
    #[arg(long, value_name = "DOMAIN", conflicts_with_all = ["certificate", "self_signed"])]
    acme: Option<String>,
    /// A mail address that Let's Encrypt may write to
    #[arg(long, value_name = "MAIL", requires = "acme")]
    contact: Option<String>,
}

impl Args {
    pub(crate) fn run(self, operator: &Operator) -> Ending {
        let text = self.config()?;
        let link = operate::init(&operator.home, &text)?;
        let path = operator.home.path().display();
        operator.out.one(&link_view(&link), |to| {
            writeln!(to, "The rendezvous server is made and lies in {path}.")?;
            writeln!(to, "link  {link}")?;
            qr::draw_text(to, &link.to_string(), operator.out)?;
            if self.advertise.is_none() && self.acme.is_none() && self.listen.ip().is_unspecified() {
                writeln!(
                    to,
                    "\nThe link is good on this machine only. For others set `advertise` in rendezvous.toml\n\
                     to HOST:PORT as they reach it, before you give out the link."
                )?;
            }
            writeln!(to, "\nStart it with `sremp rendezvous run`.")
        })?;
        Ok(DONE)
    }

    /// The annotated file with what was chosen in it.
    fn config(&self) -> Result<String, Failure> {
        let listen = fixed(self.listen)?;
        let mut text = Config::DEFAULT.replace(
            "listen = \"0.0.0.0:33400\"",
            &format!("listen = \"{listen}\""),
        );
        if let Some(advertise) = &self.advertise {
            let line = format!("advertise = {}", toml_string(advertise));
            text = text.replace("advertise = \"\"", &line);
        }
        if listen.port() != 33_400 && listen.ip().is_loopback() {
            // beside another server on this machine: metrics on a free port each
            text = text.replace(
                "operations = \"127.0.0.1:33391\"",
                "operations = \"127.0.0.1:0\"",
            );
        }
        if let (Some(chain), Some(key)) = (&self.certificate, &self.key) {
            let (chain, key) = (absolute(chain)?, absolute(key)?);
            text += &format!("\n[certificate]\nchain = {chain}\nkey = {key}\n");
        }
        if let Some(domain) = &self.acme {
            text += &format!("\n[acme]\ndomains = [{}]\n", toml_string(domain));
        }
        if let Some(contact) = &self.contact {
            text += &format!("contact = {}\n", toml_string(contact));
        }
        Ok(text)
    }
}

/// A server is started from anywhere.
fn absolute(path: &PathBuf) -> Result<String, Failure> {
    let absolute = std::path::absolute(path).ok();
    let text = absolute.as_ref().and_then(|path| path.to_str());
    text.map(toml_string).ok_or_else(|| {
        let message = format!("{} cannot be written into the settings", path.display());
        Failure::new(ErrorKind::Usage, message)
    })
}
