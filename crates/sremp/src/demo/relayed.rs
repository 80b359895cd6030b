//! Two more people, who cannot be dialled: what they write waits at a relay.

use std::path::Path;

use sremp_client::view::{Path as Way, Status, Wait};

use super::{person::Person, report::Report};
use crate::{
    cli::Failure,
    server_process::{Kind, ServerProcess},
};

const ACQUAINTED: &str = "Hello Dora, neither of us listens.";
const FOR_LATER: &str = "You are away, and it keeps this for you.";

/// Everybody gets a mailbox; metrics would need a port of their own.
/// A few kilobytes find room on any disk.
const SETTINGS: &str = "policy = \"open\"\noperations = \"\"\n[guards]\ndisk_full = 100\n";

/// A message through the relay; one that waits there over a kill; the confirmation of each.
pub(super) fn play(report: &mut Report, stage: &Path) -> Result<(), Failure> {
    report.step("Cleo and Dora listen nowhere: a relay keeps what it cannot read")?;
    let mut relay = ServerProcess::start(Kind::Relay, &stage.join("relay"), SETTINGS)?;
    let mut cleo = Person::behind("Cleo", stage, relay.link())?;
    let mut dora = Person::behind("Dora", stage, relay.link())?;
    report.check(
        cleo.listening.is_none() && dora.listening.is_none(),
        "neither listens, both have a mailbox at the relay",
    )?;
    cleo.add(&dora.id()?.card, "dora")?;
    dora.add(&cleo.id()?.card, "cleo")?;
    let sent = cleo.send("dora", ACQUAINTED, Wait::Device)?;
    let (_, path) = dora.until_message(ACQUAINTED)?;
    report.check(
        sent.status == Status::OnDevice && path == Way::Relay,
        format!("Dora reads {ACQUAINTED:?} by the relay, and Cleo knows it"),
    )?;

    report.step("Dora is away, and the relay is killed before she is back")?;
    dora.sleep();
    let sent = cleo.send("dora", FOR_LATER, Wait::Relay)?;
    report.check(
        sent.status == Status::AtRelay,
        format!("Cleo writes {FOR_LATER:?}: at the relay"),
    )?;
    relay.kill();
    relay.run()?;
    report.check(true, "the relay is killed with -9 and started again")?;
    dora.wake()?;
    let (_, path) = dora.until_message(FOR_LATER)?;
    report.check(path == Way::Relay, "Dora is back and reads it")?;
    cleo.until_on_device(&sent.msg_id)?;
    report.check(true, "her signed confirmation reaches Cleo by the relay")?;
    cleo.sleep();
    dora.sleep();
    Ok(())
}
