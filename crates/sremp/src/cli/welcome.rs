//! `sremp` alone: where to go from here.

use std::io::{self, Write as _};

use sremp_client::home::Home;

use super::{DONE, Ending, Out, args::Shared, context::home_path};

const NEWCOMER: &str = "\
SREMP is a messenger in which a key is the identity: no account, no phone number, no server.

  sremp demo               watch two people write to each other on this machine
  sremp init --name NAME   make your identity
  sremp --help             everything else
";

const AT_HOME: &str = "\
  sremp id                 show your card, for others to add
  sremp add CARD --as BEN  add somebody by their card
  sremp chat BEN           write with BEN
  sremp send BEN TEXT      send one message
  sremp up                 stay reachable
  sremp --help             everything else
";

/// Prints the next steps for somebody with or without a home.
///
/// # Errors
/// Those of writing.
pub(crate) fn run(shared: &Shared, _: Out) -> Ending {
    let path = home_path(shared.home.as_deref())?;
    let text = if Home::at(&path).exists() {
        AT_HOME
    } else {
        NEWCOMER
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(DONE)
}
