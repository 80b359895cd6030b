//! The last line of defence against texts that others wrote: nothing of theirs reaches a terminal
//! or a script without passing here, although the client has cleaned it already.

use sremp_client::text;

/// A text of several lines without control, escape and bidirectional characters.
pub(crate) fn text(text: &str) -> String {
    text::clean(text).to_string()
}

/// The same on one line: for names, and for texts in a table.
pub(crate) fn line(text: &str) -> String {
    text::clean_line(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_clear_the_screen_or_turn_the_line_around() {
        let name = line("eve\u{1b}[2J\u{9b}2J\u{202e}nna\nroot");
        assert!(!name.chars().any(char::is_control), "{name:?}");
        assert!(!name.contains('\u{202e}'), "{name:?}");
    }

    #[test]
    fn a_text_keeps_its_lines() {
        assert_eq!(text("one\ntwo"), "one\ntwo");
    }
}
