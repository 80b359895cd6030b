//! What a peer wrote, made safe to show: no terminal sequence, no reordering, nothing hidden.
//!
//! Everything of a peer passes through here before a person sees it: [`clean`] where lines may
//! break, [`clean_line`] in names and lists, [`isolate`] where a name stands inside other text. The
//! stored text stays as it came.
//!
//! | what | becomes | because |
//! |---|---|---|
//! | ESC and C1 sequences (CSI, OSC, DCS …) | nothing | they write to the clipboard, make links that lie, move the cursor |
//! | other controls | nothing; CR, VT, FF, NEL, U+2028, U+2029 a newline | a CR overwrites what stood before it |
//! | bidi controls, tags, other Cf | nothing | they reorder or hide |
//! | ZWJ, ZWNJ | kept between letters of scripts that join, ZWJ also between emoji | Persian and Indic words and families need them; anywhere else they are invisible |
//! | a variation selector | kept once behind a visible character | ❤️ needs it; runs of them carry hidden bytes |
//! | combining marks | the first eight behind a base | stacks paint over other lines; a mark without a base would land on ours |
//! | blank letters (Hangul fillers, CGJ) | nothing; U+2800 a space | they look like no letter |
//! | private use, unassigned | U+FFFD | nobody can say what a font makes of them, but that something stood there is worth seeing |

use std::{iter::Peekable, str::Chars};

use unicode_properties::{GeneralCategory as G, UnicodeGeneralCategory as _};

/// Combining marks that are shown on one base; the most that an orthography stacks is about five.
const MAX_MARKS: usize = 8;

/// Drawn as a space, though no white space to Unicode.
const BRAILLE_BLANK: char = '\u{2800}';
const ESC: char = '\u{1B}';
const BEL: char = '\u{07}';
const ZWNJ: char = '\u{200C}';
const ZWJ: char = '\u{200D}';
/// FIRST STRONG ISOLATE: what follows chooses its own direction and moves nothing around it.
const FSI: char = '\u{2068}';
/// POP DIRECTIONAL ISOLATE.
const PDI: char = '\u{2069}';

/// The text as it may be shown where lines may break: `\n` and `\t` are the only controls left.
pub fn clean(text: &str) -> String {
    let mut out = Shown::default();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            // most text, and the look-up of a category costs more than all the rest
            ' '..='~' => out.base(c, Some(0)),
            '\r' if rest.peek() == Some(&'\n') => {}
            '\r' | '\u{0B}' | '\u{0C}' | '\u{85}' | '\u{2028}' | '\u{2029}' => out.push('\n'),
            BRAILLE_BLANK => out.push(' '),
            ESC => skip_escape(&mut rest),
            '\u{9B}' => skip_csi(&mut rest),
            '\u{90}' | '\u{98}' | '\u{9D}'..='\u{9F}' => skip_string(&mut rest),
            ZWJ | ZWNJ => out.join(c, rest.peek().copied()),
            c => out.push(c),
        }
    }
    out.text
}

/// The text as it may be shown where it has one line: white space of any kind and length is one
/// space, so that nothing is pushed out of sight either.
pub fn clean_line(text: &str) -> String {
    let clean = clean(text);
    let words: Vec<&str> = clean.split_whitespace().collect();
    // a mark whose space was at the start has lost its base
    let line = words.join(" ");
    line.trim_start_matches(|c| c == ' ' || is_mark(c))
        .to_owned()
}

/// A name as it may stand inside other text: one clean line between FSI and PDI, so that a
/// right-to-left name does not reorder its surroundings.
pub fn isolate(name: &str) -> String {
    format!("{FSI}{}{PDI}", clean_line(name))
}

/// What is shown so far, and what the next character may attach to.
#[derive(Default)]
struct Shown {
    text: String,
    /// Combining marks at the end; `None` when there is nothing that a mark could stand on.
    marks: Option<usize>,
    /// The last character is a variation selector.
    varied: bool,
}

impl Shown {
    fn push(&mut self, c: char) {
        if is_variation_selector(c) {
            let on_ink = !self.text.ends_with(char::is_whitespace);
            if self.marks == Some(0) && !self.varied && on_ink {
                self.text.push(c);
                self.varied = true;
            }
            return;
        }
        match c.general_category() {
            _ if matches!(c, '\n' | '\t') => self.base(c, None),
            _ if is_blank_letter(c) => {}
            G::Control | G::Surrogate => {}
            G::Format if !is_visible_format(c) => {}
            G::PrivateUse | G::Unassigned => self.base(char::REPLACEMENT_CHARACTER, Some(0)),
            _ if is_mark(c) => self.mark(c),
            _ => self.base(c, Some(0)),
        }
    }

    fn base(&mut self, c: char, marks: Option<usize>) {
        self.text.push(c);
        self.marks = marks;
        self.varied = false;
    }

    fn mark(&mut self, c: char) {
        if let Some(marks) = self.marks.filter(|n| *n < MAX_MARKS) {
            self.base(c, Some(marks + 1));
        }
    }

    /// Keeps a joiner that stands between two characters which it can join.
    fn join(&mut self, joiner: char, next: Option<char>) {
        let (Some(last), Some(next)) = (self.text.chars().next_back(), next) else {
            return;
        };
        let letters = is_joining_letter(last) && is_joining_letter(next);
        let emoji = joiner == ZWJ && ends_emoji(last) && starts_emoji(next);
        // without room the next mark will be dropped, and the joiner would stand alone
        let room = self.marks.is_some_and(|n| n < MAX_MARKS);
        if room && (letters || emoji) {
            self.text.push(joiner);
        }
    }
}

fn is_mark(c: char) -> bool {
    let category = c.general_category();
    matches!(
        category,
        G::NonspacingMark | G::SpacingMark | G::EnclosingMark
    )
}

fn is_variation_selector(c: char) -> bool {
    matches!(c, '\u{180B}'..='\u{180D}' | '\u{180F}' | '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}')
}

/// Letters and marks that take no ink.
fn is_blank_letter(c: char) -> bool {
    matches!(
        c,
        '\u{034F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{3164}' | '\u{FFA0}'
    )
}

/// Cf that have a shape of their own: the signs that Arabic, Syriac and Kaithi write under a number.
fn is_visible_format(c: char) -> bool {
    matches!(
        c,
        '\u{0600}'
            ..='\u{0605}'
                | '\u{06DD}'
                | '\u{070F}'
                | '\u{0890}'
                | '\u{0891}'
                | '\u{08E2}'
                | '\u{110BD}'
                | '\u{110CD}'
    )
}

/// Letters without case and their marks: the scripts with joining or conjuncts are all caseless, so
/// no joiner stays in a Latin, Greek or Cyrillic word.
fn is_joining_letter(c: char) -> bool {
    let category = matches!(
        c.general_category(),
        G::OtherLetter | G::ModifierLetter | G::NonspacingMark | G::SpacingMark
    );
    category && !is_variation_selector(c) && !is_blank_letter(c)
}

/// A pictograph, its skin tone or its variation selector.
fn ends_emoji(c: char) -> bool {
    matches!(c, '\u{FE0F}' | '\u{1F3FB}'..='\u{1F3FF}') || starts_emoji(c)
}

fn starts_emoji(c: char) -> bool {
    matches!(c.general_category(), G::OtherSymbol | G::MathSymbol) && !c.is_ascii()
}

/// Skips what belongs to an ESC that was just read (ECMA-48, section 5). What is no complete
/// sequence stays as text, without its controls.
fn skip_escape(rest: &mut Peekable<Chars<'_>>) {
    match rest.peek() {
        Some('[') => {
            rest.next();
            skip_csi(rest);
        }
        Some('P' | 'X' | ']' | '^' | '_') => {
            rest.next();
            skip_string(rest);
        }
        _ => skip_if(rest, |rest| {
            while rest.next_if(|c| matches!(c, ' '..='/')).is_some() {}
            rest.next_if(|c| matches!(c, '0'..='~')).is_some()
        }),
    }
}

/// Skips parameters, intermediates and the final byte.
fn skip_csi(rest: &mut Peekable<Chars<'_>>) {
    skip_if(rest, |rest| {
        while rest.next_if(|c| matches!(c, '0'..='?')).is_some() {}
        while rest.next_if(|c| matches!(c, ' '..='/')).is_some() {}
        rest.next_if(|c| matches!(c, '@'..='~')).is_some()
    });
}

/// Skips a control string to its end, BEL or ST. It has to end before any other control: otherwise
/// one ESC would hide all that follows, and many would be searched again and again.
fn skip_string(rest: &mut Peekable<Chars<'_>>) {
    skip_if(rest, |rest| {
        loop {
            match rest.next() {
                Some(BEL | '\u{9C}') => return true,
                Some(ESC) => return rest.next_if_eq(&'\\').is_some(),
                Some(c) if !c.is_control() => {}
                _ => return false,
            }
        }
    });
}

/// Moves on if `sequence` finds what it looks for.
fn skip_if(
    rest: &mut Peekable<Chars<'_>>,
    sequence: impl FnOnce(&mut Peekable<Chars<'_>>) -> bool,
) {
    let mut ahead = rest.clone();
    if sequence(&mut ahead) {
        *rest = ahead;
    }
}
