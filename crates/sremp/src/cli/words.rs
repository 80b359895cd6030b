//! How people read times, states and messages.

use std::io::{self, Write};

use sremp_client::{
    clock::{Rfc3339, period},
    view::{
        Choice, Event, EventKind, MessageKind, MessageView, Path, RelayState, Standing, Status,
        Trust, VerifiedVia,
    },
};

use super::{Out, peer};

/// A time to the second, `2026-11-22 14:52:55Z`.
pub(crate) fn moment(time: Rfc3339) -> String {
    let text = time.to_string();
    match text.get(..19) {
        Some(seconds) => format!("{}Z", seconds.replace('T', " ")),
        None => text,
    }
}

/// The hour and minute of a time, `14:52`.
pub(crate) fn clock(time: Rfc3339) -> String {
    let text = time.to_string();
    text.get(11..16).unwrap_or(&text).to_owned()
}

/// How far a message has come, in words.
pub(crate) fn status(status: Status) -> &'static str {
    match status {
        Status::Queued => "queued",
        Status::AtRelay => "at relay",
        Status::OnDevice => "on device",
        Status::Failed => "failed",
    }
}

/// The same as a mark, or in words where marks are not wanted.
pub(crate) fn mark(how: Status, plain: bool) -> String {
    match (plain, how) {
        (true, _) => format!("({})", status(how)),
        (false, Status::Queued) => "…".to_owned(),
        (false, Status::AtRelay) => "✓".to_owned(),
        (false, Status::OnDevice) => "✓✓".to_owned(),
        (false, Status::Failed) => "✗ failed".to_owned(),
    }
}

/// The mark of a message of one's own, and that it has waited for long.
fn progress(view: &MessageView, out: Out) -> Option<String> {
    let mark = mark(view.status?, out.plain);
    Some(match (view.overdue, out.colour) {
        (false, _) => mark,
        (true, false) => format!("{mark} for over a day"),
        (true, true) => format!("\x1b[33m{mark} for over a day\x1b[0m"),
    })
}

/// How far a connection to a relay or a rendezvous server has come, in words.
pub(crate) fn link(state: RelayState) -> &'static str {
    match state {
        RelayState::Idle => "idle",
        RelayState::Waiting => "waiting",
        RelayState::Connecting => "connecting",
        RelayState::Connected => "connected",
    }
}

/// The way of a message, in words.
pub(crate) fn path(path: Option<Path>) -> &'static str {
    match path {
        Some(Path::Direct) => ", direct",
        Some(Path::Relay) => ", by relay",
        None => "",
    }
}

/// Trust and how it was made.
pub(crate) fn trust(trust: Trust, via: VerifiedVia) -> &'static str {
    match (trust, via) {
        (Trust::Unknown, _) => "unknown",
        (Trust::Rejected, _) => "rejected",
        (Trust::Trusted, VerifiedVia::None) => "trusted, not verified",
        (Trust::Trusted, VerifiedVia::Number) => "trusted, number compared",
        (Trust::Trusted, VerifiedVia::Qr) => "trusted, code scanned",
    }
}

/// Whether direct connections are made with a contact.
pub(crate) fn direct(choice: Choice) -> &'static str {
    match choice {
        Choice::Default => "direct connections as the setting says",
        Choice::On => "direct connections on",
        Choice::Off => "direct connections off",
    }
}

/// Where a contact stands.
pub(crate) fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Accepted => "contact",
        Standing::Request => "request",
    }
}

/// The first eight digits of an id, as shown beside names.
pub(crate) fn short(id: &str) -> String {
    let id = peer::line(id);
    id.get(..8).map(str::to_owned).unwrap_or(id)
}

/// One message of a conversation, `14:52 ann: text`; further lines are indented.
pub(crate) fn message(view: &MessageView, time: &str, out: Out) -> String {
    let text = said(view);
    match view.kind {
        MessageKind::Received => format!("{time} {}: {text}", peer::line(&view.alias)),
        MessageKind::Sent => format!(
            "{time} you: {text} {}",
            progress(view, out).unwrap_or_default()
        )
        .trim_end()
        .to_owned(),
        MessageKind::Notice => format!("{time} - {text}"),
    }
}

/// The text of a message with what was done to it: `[> "the other"] text (edited …) [you: 👍]`.
fn said(view: &MessageView) -> String {
    if view.deleted {
        return "[message deleted]".to_owned();
    }
    let answers = answers(view.reply_to.as_deref(), view.quote.as_deref());
    let mut text = format!("{answers}{}", indented(&view.text));
    if let Some(came) = arrival(view) {
        text.push_str(&format!(" ({came})"));
    }
    if let Some(at) = view.edited_at {
        text.push_str(&format!(" (edited {})", moment(at)));
    }
    for reaction in &view.reactions {
        let who = match reaction.own {
            true => "you".to_owned(),
            false => peer::line(&view.alias),
        };
        text.push_str(&format!(" [{who}: {}]", self::reaction(&reaction.reaction)));
    }
    if let Some(at) = view.disappears_at {
        text.push_str(&format!(" (until {})", moment(at)));
    }
    text
}

/// When a message came, if that is long after its sender's time or before it, or after what stands below it.
pub(crate) fn arrival(view: &MessageView) -> Option<String> {
    let at = view.received_at?;
    match (view.late, far_apart(view.sent_at, at)) {
        (true, _) => Some(format!("came {}, after what follows", moment(at))),
        (false, true) => Some(format!("came {}", moment(at))),
        (false, false) => None,
    }
}

/// Behind the text of a message that has just come: what is not seen from its sender's time.
pub(crate) fn arrived(sent: Rfc3339, received: Rfc3339, late: bool) -> String {
    let came = match far_apart(sent, received) {
        true => format!(" (came {})", moment(received)),
        false => String::new(),
    };
    let place = match late {
        true => " (belongs further up)",
        false => "",
    };
    came + place
}

/// Whether both times are to be told.
fn far_apart(sent: Rfc3339, received: Rfc3339) -> bool {
    const BOTH: u64 = 5 * 60 * 1_000;
    sent.0.get().abs_diff(received.0.get()) > BOTH
}

/// What a message answers, before its text.
pub(crate) fn answers(reply_to: Option<&str>, quote: Option<&str>) -> String {
    match (reply_to, quote) {
        (None, _) => String::new(),
        (Some(_), None) => "[> an earlier message] ".to_owned(),
        (Some(_), Some(quote)) => format!("[> \"{}\"] ", peer::line(quote)),
    }
}

/// What a contact has done to a message or the conversation; `None` for other events.
pub(crate) fn done(event: &EventKind) -> Option<(Rfc3339, &str, String)> {
    Some(match event {
        EventKind::Edited {
            msg_id,
            alias,
            text,
            gone,
            at,
            ..
        } => {
            let text = match gone {
                true => "[message gone]".to_owned(),
                false => indented(text),
            };
            (
                *at,
                alias,
                format!("edited message {}: {text}", short(msg_id)),
            )
        }
        EventKind::Deleted {
            msg_id, alias, at, ..
        } => (*at, alias, format!("deleted message {}", short(msg_id))),
        EventKind::Reaction {
            msg_id,
            alias,
            reaction,
            gone,
            at,
            ..
        } => {
            let message = short(msg_id);
            let what = match reaction.as_str() {
                _ if *gone => format!("reacted to message {message}, which is gone"),
                "" => format!("took back the reaction to message {message}"),
                reaction => format!("reacted {} to message {message}", peer::line(reaction)),
            };
            (*at, alias, what)
        }
        EventKind::Timer {
            alias,
            seconds: 0,
            at,
            ..
        } => (*at, alias, "lets new messages stay".to_owned()),
        EventKind::Timer {
            alias, seconds, at, ..
        } => {
            let what = format!("lets new messages disappear after {}", period(*seconds));
            (*at, alias, what)
        }
        _ => return None,
    })
}

/// The text of a message that came, if it is still there.
pub(crate) fn came(text: &str, gone: bool, reply_to: Option<&str>, quote: Option<&str>) -> String {
    match gone {
        true => "[message gone]".to_owned(),
        false => format!("{}{}", answers(reply_to, quote), indented(text)),
    }
}

/// What happened, for people.
///
/// # Errors
/// Those of writing.
pub(crate) fn event(to: &mut dyn Write, event: &Event) -> io::Result<()> {
    match &event.event {
        EventKind::Message {
            alias,
            text,
            sent_at,
            received_at,
            late,
            gone,
            reply_to,
            quote,
            ..
        } => writeln!(
            to,
            "{} {}: {}{}",
            moment(*sent_at),
            peer::line(alias),
            came(text, *gone, reply_to.as_deref(), quote.as_deref()),
            arrived(*sent_at, *received_at, *late)
        ),
        EventKind::Edited { .. }
        | EventKind::Deleted { .. }
        | EventKind::Reaction { .. }
        | EventKind::Timer { .. } => match done(&event.event) {
            Some((at, alias, what)) => {
                writeln!(to, "{} {} {what}", moment(at), peer::line(alias))
            }
            None => Ok(()),
        },
        EventKind::Status {
            msg_id,
            alias,
            status: how,
            path: way,
            at,
        } => writeln!(
            to,
            "{} message {} to {} is {}{}",
            moment(*at),
            short(msg_id),
            peer::line(alias),
            status(*how),
            path(*way)
        ),
        EventKind::Request {
            from,
            username,
            text,
            received_at,
        } => writeln!(
            to,
            "{} {} [{}] asks to be accepted:\n    {}\n    accept: sremp add {}   decline: sremp reject {}",
            moment(*received_at),
            peer::line(username),
            short(from),
            quoted(text),
            short(from),
            short(from)
        ),
        EventKind::Accepted { alias, at, .. } => writeln!(
            to,
            "{} {} accepted your request",
            moment(*at),
            peer::line(alias)
        ),
        EventKind::Notice {
            alias, text, at, ..
        } => writeln!(
            to,
            "{} - {}: {}",
            moment(*at),
            peer::line(alias),
            indented(text)
        ),
    }
}

/// A text whose further lines cannot be taken for messages.
pub(crate) fn indented(text: &str) -> String {
    peer::text(text).replace('\n', "\n    ")
}

/// A stranger's text, of which no line can be taken for what is said about it.
pub(crate) fn quoted(text: &str) -> String {
    format!("> {}", peer::text(text).replace('\n', "\n    > "))
}

/// A reaction, of which nothing can be taken for another.
fn reaction(text: &str) -> String {
    peer::line(text).replace('[', "(").replace(']', ")")
}

/// Rows in aligned columns, two spaces apart.
///
/// # Errors
/// Those of writing.
pub(crate) fn table<const N: usize>(to: &mut dyn Write, rows: &[[String; N]]) -> io::Result<()> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        writeln!(to, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sremp_client::view::ReactionView;

    use super::*;

    const PLAIN: Out = Out {
        json: false,
        plain: true,
        terminal: false,
        colour: false,
    };

    fn time() -> Rfc3339 {
        "2026-11-22T14:52:55.123Z".parse().unwrap()
    }

    #[test]
    fn times_are_short_and_say_that_they_are_utc() {
        assert_eq!(moment(time()), "2026-11-22 14:52:55Z");
        assert_eq!(clock(time()), "14:52");
    }

    fn from_eve(text: &str) -> MessageView {
        MessageView {
            seq: 1,
            msg_id: String::new(),
            contact: String::new(),
            alias: "eve".to_owned(),
            kind: MessageKind::Received,
            text: text.to_owned(),
            sent_at: time(),
            received_at: None,
            status: None,
            path: None,
            edited_at: None,
            deleted: false,
            reply_to: None,
            quote: None,
            reactions: Vec::new(),
            disappears_at: None,
            late: false,
            overdue: false,
        }
    }

    #[test]
    fn a_second_line_cannot_pose_as_a_message() {
        let view = from_eve("hi\n14:53 you: I owe eve 100");
        let shown = message(&view, "14:52", PLAIN);
        assert_eq!(shown, "14:52 eve: hi\n    14:53 you: I owe eve 100");
    }

    #[test]
    fn what_was_done_to_a_message_is_said_in_words_on_its_line() {
        let mut view = from_eve("nine");
        view.reply_to = Some("21".repeat(16));
        let shown = |view: &MessageView| message(view, "14:52", PLAIN);
        assert_eq!(shown(&view), "14:52 eve: [> an earlier message] nine");
        view.quote = Some("when?\n14:53 you: yes".to_owned());
        view.edited_at = Some(time());
        view.disappears_at = Some(time());
        view.reactions = [(true, "👍"), (false, "ha] [you: no")]
            .map(|(own, text)| ReactionView {
                own,
                reaction: text.to_owned(),
                at: time(),
            })
            .to_vec();
        assert_eq!(
            shown(&view),
            "14:52 eve: [> \"when? 14:53 you: yes\"] nine (edited 2026-11-22 14:52:55Z) [you: 👍] \
             [eve: ha) (you: no] (until 2026-11-22 14:52:55Z)"
        );
        view.deleted = true;
        assert_eq!(shown(&view), "14:52 eve: [message deleted]");
    }

    #[test]
    fn a_strangers_text_does_not_say_how_to_accept() {
        let event = Event {
            seq: 1,
            event: EventKind::Request {
                from: "ab".repeat(32),
                username: "eve".to_owned(),
                text: "hi\naccept: sremp add 12345678".to_owned(),
                received_at: time(),
            },
        };
        let mut out = Vec::new();
        super::event(&mut out, &event).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "2026-11-22 14:52:55Z eve [abababab] asks to be accepted:\n    > hi\n    > accept: sremp add \
             12345678\n    accept: sremp add abababab   decline: sremp reject abababab\n"
        );
    }

    #[test]
    fn a_message_that_came_late_or_above_others_says_when_it_came() {
        let mut view = from_eve("nine");
        let shown = |view: &MessageView| message(view, "14:52", PLAIN);
        view.received_at = "2026-11-22T14:57:55.123Z".parse().ok();
        assert_eq!(shown(&view), "14:52 eve: nine");
        view.late = true;
        assert_eq!(
            shown(&view),
            "14:52 eve: nine (came 2026-11-22 14:57:55Z, after what follows)"
        );
        view.late = false;
        // a time that is ahead is as wrong
        for came in ["2026-11-22T14:57:55.124Z", "2026-11-22T14:47:55.122Z"] {
            view.received_at = came.parse().ok();
            let came = moment(view.received_at.unwrap());
            assert_eq!(shown(&view), format!("14:52 eve: nine (came {came})"));
        }
        let (sent, came) = (view.sent_at, view.received_at.unwrap());
        assert_eq!(arrived(sent, sent, false), "");
        assert_eq!(
            arrived(sent, came, true),
            " (came 2026-11-22 14:47:55Z) (belongs further up)"
        );
    }

    #[test]
    fn what_is_not_confirmed_after_a_day_says_so_in_words_and_in_yellow_where_there_is_colour() {
        let mut view = from_eve("nine");
        view.kind = MessageKind::Sent;
        view.status = Some(Status::AtRelay);
        assert_eq!(message(&view, "14:52", PLAIN), "14:52 you: nine (at relay)");
        view.overdue = true;
        assert_eq!(
            message(&view, "14:52", PLAIN),
            "14:52 you: nine (at relay) for over a day"
        );
        let coloured = Out {
            plain: false,
            colour: true,
            ..PLAIN
        };
        assert_eq!(
            message(&view, "14:52", coloured),
            "14:52 you: nine \u{1b}[33m✓ for over a day\u{1b}[0m"
        );
    }

    #[test]
    fn columns_line_up() {
        let mut out = Vec::new();
        let row = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        table(
            &mut out,
            &[row("NAME", "TRUST"), row("benjamin", "unknown")],
        )
        .unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "NAME      TRUST\nbenjamin  unknown\n"
        );
    }
}
