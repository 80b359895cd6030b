//! `sremp contacts`: who is known, and who asks to be.

use std::io::{self, Write};

use sremp_client::view::{Choice, Command, ContactView};

use super::{DONE, Ending, context::Context, peer, words};
use crate::ask::Ask as _;

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp contacts
  sremp contacts --requests
  sremp contacts --declined")]
pub(crate) struct Args {
    /// Strangers who wait for an answer, instead of contacts
    #[arg(long)]
    requests: bool,
    /// Strangers whose request was declined, instead of contacts
    #[arg(long, conflicts_with = "requests")]
    declined: bool,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let command = Command::Contacts {
            requests: self.requests,
            declined: self.declined,
        };
        let contacts: Vec<ContactView> =
            context.locally(|client| Ok(client.face.ask(&command)?))?;
        context.out.list(&contacts, |to| {
            if self.requests || self.declined {
                show_requests(to, &contacts, self.declined)
            } else {
                show(to, &contacts)
            }
        })?;
        Ok(DONE)
    }
}

fn show(to: &mut dyn Write, contacts: &[ContactView]) -> io::Result<()> {
    if contacts.is_empty() {
        return writeln!(
            to,
            "No contacts yet; add one with `sremp add CARD --as ALIAS`."
        );
    }
    let mut rows = vec![["ALIAS", "ID", "TRUST", "LINK", "QUEUED", "NAME"].map(str::to_owned)];
    rows.extend(contacts.iter().map(|contact| {
        [
            peer::line(&contact.alias),
            words::short(&contact.id),
            words::trust(contact.trust, contact.verified_via).to_owned(),
            link(contact).to_owned(),
            contact.queued.to_string(),
            peer::line(&contact.username),
        ]
    }));
    words::table(to, &rows)?;
    for contact in contacts {
        for warning in &contact.warnings {
            writeln!(
                to,
                "warning: {}: {}",
                peer::line(&contact.alias),
                peer::line(warning)
            )?;
        }
    }
    Ok(())
}

fn link(contact: &ContactView) -> &'static str {
    match (contact.connected, contact.direct) {
        (true, _) => "direct",
        (false, Choice::Off) => "off",
        (false, Choice::On | Choice::Default) => "-",
    }
}

fn show_requests(to: &mut dyn Write, requests: &[ContactView], declined: bool) -> io::Result<()> {
    if requests.is_empty() {
        let nobody = match declined {
            true => "Nobody was declined.",
            false => "Nobody waits for an answer.",
        };
        return writeln!(to, "{nobody}");
    }
    for request in requests {
        let short = words::short(&request.id);
        writeln!(
            to,
            "{} [{short}] since {}, {}",
            peer::line(&request.username),
            words::moment(request.first_seen),
            words::trust(request.trust, request.verified_via)
        )?;
        if let Some(text) = &request.request_text {
            writeln!(to, "    {}", words::quoted(text))?;
        }
        for warning in &request.warnings {
            writeln!(to, "    warning: {}", peer::line(warning))?;
        }
        // a name that warns is nobody's at its bearer's word
        let add = match request.warnings.is_empty() {
            true => format!("sremp add {short}"),
            false => format!("sremp add {short} --as NAME"),
        };
        match declined {
            true => writeln!(to, "    take in after all: {add}")?,
            false => writeln!(to, "    accept: {add}   decline: sremp reject {short}")?,
        }
    }
    Ok(())
}

/// The contact that a name means: alias, unique name, or at least six digits of the id. The client
/// decides; this only finds the same again in a list.
pub(crate) fn named<'a>(contacts: &'a [ContactView], who: &str) -> Option<&'a ContactView> {
    let unique = |is: &dyn Fn(&ContactView) -> bool| {
        let mut found = contacts.iter().filter(|contact| is(contact));
        found.next().filter(|_| found.next().is_none())
    };
    unique(&|contact| contact.alias == who)
        .or_else(|| unique(&|contact| contact.username == who))
        .or_else(|| {
            let digits = who.to_ascii_lowercase();
            unique(&|contact| digits.len() >= 6 && contact.id.starts_with(&digits))
        })
}
