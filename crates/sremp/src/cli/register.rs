//! `sremp register`: who may find one, and where one is registered.

use std::io::{self, Write};

use sremp_client::view::{Command, RegisterAs, RegisterView};

use super::{DONE, Ending, context::Context, servers};
use crate::ask::Ask as _;

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp register               show where you are registered
  sremp register --listed      be found by whoever browses, too
  sremp register --off         not be found at all

While `sremp up` runs, your rendezvous servers are told where you are; whoever has your id can ask
them. It is taken back when the client ends; your relays stay known for a day.")]
pub(crate) struct Args {
    #[command(flatten)]
    wish: Wish,
}

#[derive(clap::Args)]
#[group(multiple = false)]
struct Wish {
    /// Be found by whoever browses, and by whoever knows your id
    #[arg(long)]
    listed: bool,
    /// Be found by whoever knows your id; so it is unless you change it
    #[arg(long)]
    unlisted: bool,
    /// Be found by nobody
    #[arg(long)]
    off: bool,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let wish = [
            (self.wish.listed, RegisterAs::Listed),
            (self.wish.unlisted, RegisterAs::Unlisted),
            (self.wish.off, RegisterAs::Off),
        ];
        let visibility = wish
            .into_iter()
            .find_map(|(chosen, wish)| chosen.then_some(wish));
        let command = Command::Register { visibility };
        let mut running = false;
        let view: RegisterView = context.locally(|client| {
            running = !client.ours;
            Ok(client.face.ask(&command)?)
        })?;
        context.out.one(&view, |to| show(to, &view, running))?;
        Ok(DONE)
    }
}

fn show(to: &mut dyn Write, view: &RegisterView, running: bool) -> io::Result<()> {
    let found = match view.visibility {
        RegisterAs::Off => "You are not found through rendezvous servers.",
        RegisterAs::Unlisted => "Whoever knows your id finds you while your client runs.",
        RegisterAs::Listed => "Whoever browses finds you while your client runs.",
    };
    writeln!(to, "{found}")?;
    for server in &view.servers {
        writeln!(to, "  {}", servers::line(server))?;
    }
    if let Some(warning) = &view.warning {
        writeln!(to, "warning: {warning}")?;
    }
    if view.servers.is_empty() {
        writeln!(
            to,
            "No rendezvous server is set: put a link into `rendezvous` in the home's config.toml."
        )?;
    } else if !running && view.visibility != RegisterAs::Off {
        writeln!(to, "The client is not running; start it with `sremp up`.")?;
    }
    Ok(())
}
