//! `sremp add`: the contact of a card, or the stranger who asked.

use std::io::{self, Write};

use sremp_client::{
    card::{self, CardView},
    shell::word,
    view::{Command, ContactView, ErrorKind},
};

use super::{DONE, Ending, Failure, context::Context, peer, terminal, words};
use crate::ask::Ask as _;

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp add 'sremp:1#AQAB…' --as ben
  sremp add 1a2b3c4d             accept the request of a stranger
  sremp add 8a88e3dd…6f5c --as ann   add somebody of whom you have the id, all 64 digits; your
                                 rendezvous servers are asked where they are when you write

Nothing is dialled by adding. Compare the safety number with `sremp verify` when you can.")]
pub(crate) struct Args {
    /// A card (sremp:1#… or SREMP:1/…), whose request to accept, or an id
    #[arg(value_name = "CARD|CONTACT|ID")]
    who: String,
    /// What you want to call the contact
    #[arg(long = "as", value_name = "ALIAS")]
    alias: Option<String>,
    /// Add without asking
    #[arg(long, short)]
    yes: bool,
    /// Add although the name looks like another contact's
    #[arg(long)]
    despite_confusable: bool,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        refuse_what_is_none(&self.who)?;
        if card::looks_like_one(&self.who) && !self.yes && terminal::present() {
            let card = card::read(&self.who)?;
            show(&mut io::stderr().lock(), &card)?;
            if !terminal::agrees("Add this contact?")? {
                return Err(Failure::new(
                    ErrorKind::Failed,
                    "nothing was added, as you said",
                ));
            }
        }
        let command = Command::Add {
            who: self.who,
            alias: self.alias,
            despite_confusable: self.despite_confusable,
        };
        let contact: ContactView = context.locally(|client| Ok(client.face.ask(&command)?))?;
        context.out.one(&contact, |to| added(to, &contact))?;
        Ok(DONE)
    }
}

/// Says of what can be neither a card, nor a contact, nor an id what it is instead.
fn refuse_what_is_none(who: &str) -> Result<(), Failure> {
    let who = who.trim();
    let relay = who
        .get(..12)
        .is_some_and(|s| s.eq_ignore_ascii_case("sremp-relay:"));
    let (kind, message) = match who {
        "" => (
            ErrorKind::Usage,
            "nothing was given to add; give a card, an id, or who asks: `sremp contacts --requests`",
        ),
        _ if relay => (
            ErrorKind::Card,
            "this is the link of a relay and no card; for your own relays it is `sremp config relays \
             LINK`, a card is what the other's `sremp id` shows",
        ),
        _ if card::is_broken_id(who) => (
            ErrorKind::Contact,
            "these 64 digits are nobody's id: one of them is wrong; ask for it again, or for a card",
        ),
        _ => return Ok(()),
    };
    Err(Failure::new(kind, message))
}

/// What a card says, before anything is done with it.
fn show(to: &mut dyn Write, card: &CardView) -> io::Result<()> {
    let name = card.username.as_deref().unwrap_or("(no name)");
    writeln!(to, "name       {} (as the card claims)", peer::line(name))?;
    writeln!(to, "id         {}", peer::line(&card.id))?;
    for (label, places) in [
        ("reached at", &card.endpoints),
        ("relay", &card.relays),
        ("looked up", &card.rendezvous),
    ] {
        for place in places {
            writeln!(to, "{label:<10} {}", peer::line(place))?;
        }
    }
    if let Some(expires) = card.expires {
        writeln!(to, "expires    {}", words::moment(expires))?;
    }
    if card.one_time {
        writeln!(to, "This is an invite: it works once.")?;
    }
    Ok(())
}

fn added(to: &mut dyn Write, contact: &ContactView) -> io::Result<()> {
    let alias = peer::line(&contact.alias);
    writeln!(
        to,
        "Added {alias} [{}], trust {}.",
        words::short(&contact.id),
        words::trust(contact.trust, contact.verified_via)
    )?;
    for warning in &contact.warnings {
        writeln!(to, "warning: {}", peer::line(warning))?;
    }
    writeln!(
        to,
        "Write with `sremp chat {0}`; make sure who it is with `sremp verify {0}`.",
        word(&alias)
    )
}
