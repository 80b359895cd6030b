//! Two more people, who know no more of each other than an id: a rendezvous server tells where they are.

use std::path::Path;

use sremp_client::view::{ErrorKind, EventKind, Path as Way, Status, Wait};

use super::{person::Person, report::Report};
use crate::{
    cli::Failure,
    server_process::{Kind, ServerProcess},
};

const FIRST: &str = "Hello Finn, I have nothing of you but your id.";
const SECOND: &str = "And here I am, Elsa.";

/// It is all on loopback; metrics would need a port of their own.
const SETTINGS: &str = "allow_private_addresses = true\noperations = \"\"\n";

/// Found by id, written to, and not found any more once away.
pub(super) fn play(report: &mut Report, stage: &Path) -> Result<(), Failure> {
    report
        .step("Elsa has no card of Finn's, only his id: a rendezvous server tells where he is")?;
    let server = ServerProcess::start(Kind::Rendezvous, &stage.join("rendezvous"), SETTINGS)?;
    let mut elsa = Person::found_at("Elsa", stage, server.link())?;
    let mut finn = Person::found_at("Finn", stage, server.link())?;
    for person in [&elsa, &finn] {
        let servers = person.until_registered()?;
        let pinned = servers.iter().all(|s| s.pinned);
        let what = format!(
            "{} is registered there, over TLS with the key that the server's link names",
            person.name
        );
        report.check(servers.len() == 1 && pinned, what)?;
    }
    let id = finn.id()?.id;
    let found = elsa.find(&id)?;
    report.check(
        found.id == id && found.endpoints.iter().cloned().eq(finn.listening.clone()),
        format!(
            "Elsa asks for {}… and learns his address, signed by him",
            &found.id.get(..8).unwrap_or_default()
        ),
    )?;
    elsa.add(&id, "finn")?;
    let sent = elsa.send("finn", FIRST, Wait::Outbox)?;
    let asks = finn.until("Elsa's request", |seen| {
        seen.iter().find_map(|event| match &event.event {
            EventKind::Request { from, text, .. } if text == FIRST => Some(from.clone()),
            _ => None,
        })
    })?;
    report.check(asks == elsa.id()?.id, "Finn sees her request")?;
    finn.add(&asks, "elsa")?;
    elsa.until_on_device(&sent.msg_id)?;
    let back = finn.send("elsa", SECOND, Wait::Device)?;
    report.check(
        back.status == Status::OnDevice && back.path == Some(Way::Direct),
        "he accepts and answers: on her device, by the direct path",
    )?;
    finn.sleep();
    let gone = elsa.find(&id);
    report.check(
        gone.is_err_and(|error| error.kind == ErrorKind::Contact),
        "Finn's client has ended, and the server tells nothing of him",
    )?;
    elsa.sleep();
    Ok(())
}
