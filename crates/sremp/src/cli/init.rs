//! `sremp init`: an identity and its home.

use sremp_client::{
    client::{self, InitParams},
    home::Passphrase,
    view::{ErrorKind, IdView},
};

use super::{DONE, Ending, Failure, context::Context, peer, qr, terminal};

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp init --name ann
  sremp init --name ann --listen 0.0.0.0:4017 --advertise ann.example.org:4017
  sremp init --name ann --relay 'sremp-relay:1#…' --rendezvous 'sremp-rdv:1#…'")]
pub(crate) struct Args {
    /// What you want to be called; stands on your card
    #[arg(long)]
    name: Option<String>,
    /// Address to listen on; 127.0.0.1:0 takes any free port
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// Address that others dial, if it differs from the one to listen on
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// A relay that keeps your messages while you are away; up to three, the preferred one first
    #[arg(long = "relay", value_name = "LINK")]
    relays: Vec<String>,
    /// A rendezvous server, where you find people by their ids and are found: its link, or a domain
    /// that names one
    #[arg(long, value_name = "LINK|DOMAIN")]
    rendezvous: Vec<String>,
    /// Protect the home by its file permissions alone
    #[arg(long)]
    no_passphrase: bool,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let path = context.path.display();
        if context.home.exists() {
            return Err(Failure::new(
                ErrorKind::Home,
                format!(
                    "{path} already holds an identity; use it, or choose another place with --home DIR"
                ),
            ));
        }
        let params = InitParams {
            name: name(self.name)?,
            passphrase: if self.no_passphrase {
                Passphrase::None
            } else {
                context.unlock.choose()?
            },
            listen: self.listen,
            advertise: self.advertise,
            relays: self.relays,
            rendezvous: self.rendezvous,
        };
        let relayed = !params.relays.is_empty();
        let id: IdView = client::init(&context.home, &params)?;
        context.out.one(&id, |to| {
            writeln!(to, "Your identity is made and lies in {path}.")?;
            writeln!(to, "name  {}", peer::line(&id.username))?;
            writeln!(to, "id    {}", id.id)?;
            writeln!(to, "card  {}", id.card)?;
            qr::draw_card(to, &id.card, context.out)?;
            writeln!(
                to,
                "\nGive the card to others, add theirs with `sremp add CARD --as ALIAS`,"
            )?;
            writeln!(to, "and write to them with `sremp chat ALIAS`.")?;
            match relayed {
                true => writeln!(
                    to,
                    "Run `sremp up` first: your relay takes messages for you from then on."
                ),
                false => Ok(()),
            }
        })?;
        Ok(DONE)
    }
}

/// The name that was given, or that the person at the terminal gives.
fn name(given: Option<String>) -> Result<String, Failure> {
    let given = match given {
        None if terminal::present() => terminal::ask("What do you want to be called?")?,
        given => given,
    };
    given.filter(|name| !name.is_empty()).ok_or_else(|| {
        Failure::new(
            ErrorKind::Usage,
            "an identity needs a name; give it with --name NAME",
        )
    })
}
