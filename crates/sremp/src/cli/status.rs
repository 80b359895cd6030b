//! `sremp status`: what the client is doing.

use std::io::{self, Write};

use serde::Serialize;
use sremp_client::view::{Command, RegisterAs, RelayView, StatusView};

use super::{DONE, Ending, context::Context, peer, servers, words};
use crate::ask::Ask as _;

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp status
  sremp status --json")]
pub(crate) struct Args {}

/// The client's status, and whether there is a client at all.
#[derive(Serialize)]
struct Shown {
    /// Whether a client runs in another process.
    running: bool,
    #[serde(flatten)]
    status: StatusView,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let shown = context.locally(|client| {
            Ok(Shown {
                running: !client.ours,
                status: client.face.ask(&Command::Status)?,
            })
        })?;
        context.out.one(&shown, |to| show(to, &shown))?;
        Ok(DONE)
    }
}

fn show(to: &mut dyn Write, shown: &Shown) -> io::Result<()> {
    let status = &shown.status;
    let client = if shown.running {
        format!("running for {} s", status.uptime)
    } else {
        "not running; start it with `sremp up`".to_owned()
    };
    let connected: Vec<String> = status.connected.iter().map(|a| peer::line(a)).collect();
    let or_none = |text: Option<&str>| text.map_or_else(|| "-".to_owned(), peer::line);
    let row = |label: &str, value: String| [label.to_owned(), value];
    let mut rows = vec![
        row("client", client),
        row("name", peer::line(&status.username)),
        row("id", peer::line(&status.id)),
        row("listening", or_none(status.listening.as_deref())),
        row("advertised", or_none(status.advertised.as_deref())),
        row(
            "connected",
            or_none(Some(connected.join(", ").as_str()).filter(|c| !c.is_empty())),
        ),
        row("queued", queued(status)),
        row("contacts", status.contacts.to_string()),
        row("requests", status.requests.to_string()),
        row(
            "events",
            format!(
                "{}, {} acknowledged",
                status.last_event, status.acknowledged
            ),
        ),
    ];
    rows.extend(status.relays.iter().map(|r| row("relay", relay(r))));
    let servers = status.rendezvous.iter();
    rows.extend(servers.map(|s| row("rendezvous", servers::line(s))));
    if !status.rendezvous.is_empty() {
        let found = match status.visibility {
            RegisterAs::Off => "by nobody",
            RegisterAs::Unlisted => "by whoever knows the id",
            RegisterAs::Listed => "by whoever browses",
        };
        rows.push(row("found", found.to_owned()));
    }
    rows.extend(status.mapped.iter().map(|at| row("mapped", peer::line(at))));
    if status.screens > 0 {
        rows.push(row("screens", format!("{} follow", status.screens)));
    }
    if status.allow_private_addresses {
        let what = "private addresses that others name are dialled";
        rows.push(row("allowed", what.to_owned()));
    }
    if status.prefers_async {
        rows.push(row("wish", "to be reached by relays alone".to_owned()));
    }
    for (names, what) in [(&status.direct_on, "on"), (&status.direct_off, "off")] {
        let names: Vec<String> = names.iter().map(|a| peer::line(a)).collect();
        if !names.is_empty() {
            rows.push(row("direct", format!("{what} for {}", names.join(", "))));
        }
    }
    rows.extend(
        status
            .warnings
            .iter()
            .map(|w| row("warning", peer::line(w))),
    );
    rows.extend(
        status
            .refused
            .iter()
            .map(|(cause, count)| row("refused", format!("{count} × {}", peer::line(cause)))),
    );
    words::table(to, &rows)
}

fn queued(status: &StatusView) -> String {
    match status.oldest_unsent {
        Some(oldest) => format!(
            "{}, the oldest unsent since {}",
            status.queued,
            words::moment(oldest)
        ),
        None => status.queued.to_string(),
    }
}

/// One relay, `host:port (id) connected, 50 prekeys`.
fn relay(view: &RelayView) -> String {
    let whose = match (view.own, view.left_until) {
        (_, Some(until)) => &format!("left, fetched from until {}, ", words::moment(until)),
        (true, None) => "",
        (false, None) => "a contact's, ",
    };
    let state = words::link(view.state);
    let mut text = format!(
        "{} ({}) {whose}{state}",
        peer::line(&view.endpoint),
        words::short(&view.relay)
    );
    if let Some(left) = view.prekeys {
        text.push_str(&format!(", {left} prekeys"));
    }
    if let Some(error) = &view.last_error {
        text.push_str(&format!("; {}", peer::line(error)));
    }
    if let Some(next) = view.next_try {
        text.push_str(&format!("; next try {}", words::moment(next)));
    }
    text
}
