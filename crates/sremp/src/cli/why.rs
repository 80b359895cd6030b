//! `sremp why`: the way of one message.

use std::io::{self, Write};

use sremp_client::view::{Command, Path, WhyStep, WhyView};

use super::{DONE, Ending, context::Context, peer, words};
use crate::ask::Ask as _;

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp why 5f0c2a7e
  sremp why 5f0c2a7e1b3d4f60718293a4b5c6d7e8 --json

`sremp send` and `sremp history --json` print the ids of messages.")]
pub(crate) struct Args {
    /// The message's id, or at least 6 of its first digits
    #[arg(value_name = "MSG_ID")]
    msg_id: String,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        let command = Command::Why {
            msg_id: self.msg_id,
        };
        let why: WhyView = context.locally(|client| Ok(client.face.ask(&command)?))?;
        context.out.one(&why, |to| show(to, &why))?;
        Ok(DONE)
    }
}

fn show(to: &mut dyn Write, why: &WhyView) -> io::Result<()> {
    let alias = peer::line(&why.alias);
    match why.status {
        Some(status) => writeln!(
            to,
            "message {} to {alias} is {}{}",
            words::short(&why.msg_id),
            words::status(status),
            words::path(why.path)
        )?,
        None => writeln!(
            to,
            "message {} from {alias}{}",
            words::short(&why.msg_id),
            words::path(why.path)
        )?,
    }
    let rows: Vec<[String; 2]> = why.timeline.iter().map(step).collect();
    words::table(to, &rows)?;
    if let Some(reason) = &why.waits_for {
        writeln!(to, "{}", peer::line(reason))?;
    }
    if let Some(next) = why.next_try {
        writeln!(to, "next try {}", words::moment(next))?;
    }
    writeln!(to, "seen: {}", peer::line(&why.privacy.words))?;
    Ok(())
}

fn step(step: &WhyStep) -> [String; 2] {
    let relay = |id: &str| format!("relay {}", words::short(id));
    let holds = |valid: bool| if valid { "holds" } else { "DOES NOT HOLD" };
    let (at, what) = match step {
        WhyStep::Written { at } => (at, "written here".to_owned()),
        WhyStep::Tried {
            at,
            path,
            relay: by,
            cause,
            since: _,
            count,
        } => {
            let way = match (path, by) {
                (Path::Relay, Some(id)) => relay(id),
                (Path::Relay, None) => "relay".to_owned(),
                (Path::Direct, _) => "direct".to_owned(),
            };
            let often = match count {
                0 | 1 => String::new(),
                n => format!(" ({n} times, messages before it included)"),
            };
            (at, format!("{way}: {}{often}", peer::line(cause)))
        }
        WhyStep::AtRelay {
            at,
            relay: by,
            stored_at,
            expires_at,
            receipt_valid,
            ..
        } => (
            at,
            format!(
                "at {}, stored {}, kept until {}; its signed receipt {}",
                relay(by),
                words::moment(*stored_at),
                words::moment(*expires_at),
                holds(*receipt_valid)
            ),
        ),
        WhyStep::OnDevice {
            at,
            relay: by,
            confirmed_at,
            confirmation_valid,
            ..
        } => (
            at,
            on_device(by.as_deref(), *confirmed_at, *confirmation_valid),
        ),
        WhyStep::GivenUp { at } => (at, "given up".to_owned()),
        WhyStep::Sent { at } => (at, "written, by the sender's clock".to_owned()),
        WhyStep::Stored { at, relay: by } => (at, format!("stored at {}, by its clock", relay(by))),
        WhyStep::Received { at, path } => {
            (at, format!("committed here{}", words::path(Some(*path))))
        }
    };
    [words::moment(*at), what]
}

fn on_device(
    relay: Option<&str>,
    confirmed_at: Option<sremp_client::clock::Rfc3339>,
    valid: Option<bool>,
) -> String {
    let Some(relay) = relay else {
        return "on device, confirmed over the direct connection".to_owned();
    };
    let when = confirmed_at.map(words::moment).unwrap_or_default();
    let holds = match valid {
        Some(true) => "holds",
        _ => "DOES NOT HOLD",
    };
    format!(
        "on device since {when} by the contact's clock, confirmed by relay {}; the contact's signature {holds}",
        words::short(relay)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use sremp_client::clock::Rfc3339;

    #[test]
    fn a_signature_that_does_not_hold_is_said_aloud() {
        let at: Rfc3339 = serde_json::from_str("\"2026-01-02T03:04:05.000Z\"").unwrap();
        for (valid, words) in [(true, "holds"), (false, "DOES NOT HOLD")] {
            let receipt = WhyStep::AtRelay {
                at,
                relay: "ab".repeat(32),
                stored_at: at,
                expires_at: at,
                receipt_valid: valid,
                receipt: String::new(),
            };
            let confirmation = WhyStep::OnDevice {
                at,
                path: Path::Relay,
                relay: Some("ab".repeat(32)),
                confirmed_at: Some(at),
                confirmation_valid: Some(valid),
            };
            for told in [receipt, confirmation] {
                let [_, told] = step(&told);
                assert!(told.ends_with(&format!(" {words}")), "{told}");
            }
        }
    }
}
