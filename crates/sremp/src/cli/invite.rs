//! `sremp invite`: cards that work once.

use serde_json::json;
use sremp_client::view::{Command, InviteView};

use super::{DONE, Ending, context::Context, peer, qr, words};
use crate::ask::Ask as _;

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp invite
  sremp invite --expires 3600
  sremp invite --list
  sremp invite --revoke 1a2b3c4d")]
pub(crate) struct Args {
    /// Life of the invite in seconds; 7 days unless given
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["list", "revoke"],
          value_parser = clap::value_parser!(u32).range(1..))]
    expires: Option<u32>,
    /// List the invites that are still open
    #[arg(long, conflicts_with = "revoke")]
    list: bool,
    /// Close an invite before it is used
    #[arg(long, value_name = "ID")]
    revoke: Option<String>,
}

/// What is meant.
enum Meant {
    Make { expires: Option<u32> },
    List,
    Revoke { invite: String },
}

impl Args {
    fn meant(self) -> Meant {
        match self.revoke {
            Some(invite) => Meant::Revoke { invite },
            None if self.list => Meant::List,
            None => Meant::Make {
                expires: self.expires,
            },
        }
    }

    pub(crate) fn run(self, context: &Context) -> Ending {
        match self.meant() {
            Meant::Make { expires } => make(context, expires),
            Meant::List => list(context),
            Meant::Revoke { invite } => revoke(context, invite),
        }
    }
}

fn make(context: &Context, expires: Option<u32>) -> Ending {
    let command = Command::Invite { expires };
    let made: InviteView = context.locally(|client| Ok(client.face.ask(&command)?))?;
    context.out.one(&made, |to| {
        writeln!(to, "invite   {}", peer::line(&made.invite))?;
        writeln!(to, "expires  {}", words::moment(made.expires))?;
        writeln!(to, "card     {}", peer::line(&made.card))?;
        qr::draw_card(to, &made.card, context.out)?;
        writeln!(
            to,
            "\nThe first who uses it is let in; afterwards it is worth nothing."
        )
    })?;
    Ok(DONE)
}

fn list(context: &Context) -> Ending {
    let open: Vec<InviteView> =
        context.locally(|client| Ok(client.face.ask(&Command::Invites)?))?;
    context.out.list(&open, |to| {
        if open.is_empty() {
            return writeln!(to, "No invite is open.");
        }
        let mut rows = vec![["INVITE".to_owned(), "EXPIRES".to_owned()]];
        rows.extend(
            open.iter()
                .map(|invite| [peer::line(&invite.invite), words::moment(invite.expires)]),
        );
        words::table(to, &rows)
    })?;
    Ok(DONE)
}

fn revoke(context: &Context, invite: String) -> Ending {
    let command = Command::RevokeInvite {
        invite: invite.clone(),
    };
    context.locally(|client| Ok(client.face.ask::<()>(&command)?))?;
    context.out.one(&json!({ "revoked": invite }), |to| {
        writeln!(to, "The invite {} is closed.", peer::line(&invite))
    })?;
    Ok(DONE)
}
