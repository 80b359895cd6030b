//! Usernames (D2.4): RFC 8266 nicknames that cannot hide, reorder or impersonate by layout.

use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

use crate::constants::{MAX_MARKS_IN_A_ROW, MAX_USERNAME_BYTES, MAX_USERNAME_CHARS};

/// A name as its owner chose it: a claim, never a key, a file name or a log entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Username(String);

/// Why a text is no username.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsernameError {
    /// No visible character.
    Empty,
    /// More than 40 characters or 160 bytes.
    TooLong,
    /// A control, invisible, bidirectional, private or unassigned character.
    Forbidden(char),
    /// Starts with a combining mark, or carries more than three in a row.
    Marks,
    /// Not in its normal form (NFKC, single inner spaces, trimmed).
    NotNormal,
}

impl std::fmt::Display for UsernameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("a name needs at least one visible character"),
            Self::TooLong => f.write_str("a name has at most 40 characters and 160 bytes"),
            Self::Forbidden(c) => {
                write!(
                    f,
                    "a name must not contain the character U+{:04X}",
                    u32::from(*c)
                )
            }
            Self::Marks => f.write_str("a name has too many combining marks in a row"),
            Self::NotNormal => f.write_str("a name must be in its normal form"),
        }
    }
}

impl std::error::Error for UsernameError {}

impl Username {
    /// Parses a name that a peer sent: it must already be in its enforced form.
    ///
    /// # Errors
    /// [`UsernameError`] names the rule that is broken.
    pub fn parse(text: &str) -> Result<Self, UsernameError> {
        let name = Self::enforce(text)?;
        if name.0 != text {
            return Err(UsernameError::NotNormal);
        }
        Ok(name)
    }

    /// Makes a name of what the user typed: NFKC, single inner spaces, trimmed (RFC 8266, 2.1).
    ///
    /// # Errors
    /// [`UsernameError`] names the rule that is broken.
    pub fn enforce(text: &str) -> Result<Self, UsernameError> {
        if text.len() > 4 * MAX_USERNAME_BYTES {
            return Err(UsernameError::TooLong);
        }
        let normal: String = text
            .chars()
            .map(|c| if is_space(c) { ' ' } else { c })
            .nfkc()
            .collect();
        let normal = normal
            .split(' ')
            .filter(|w| !w.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        check(&normal)?;
        Ok(Self(normal))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Username {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether two names look alike (UTS #39 skeleton) to somebody who does not compare keys.
pub fn confusable(a: &str, b: &str) -> bool {
    let skeleton = |s: &str| unicode_security::skeleton(&s.to_lowercase()).collect::<String>();
    skeleton(a) == skeleton(b)
}

fn is_space(c: char) -> bool {
    c.general_category() == GeneralCategory::SpaceSeparator
}

fn is_mark(c: char) -> bool {
    matches!(
        c.general_category(),
        GeneralCategory::NonspacingMark
            | GeneralCategory::SpacingMark
            | GeneralCategory::EnclosingMark
    )
}

fn is_forbidden(c: char) -> bool {
    use GeneralCategory as G;
    let variation_selector =
        matches!(c, '\u{180B}'..='\u{180F}' | '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}');
    // letters and marks that take no room on a screen
    let invisible = matches!(
        c,
        '\u{034F}'
            | '\u{115F}'
            | '\u{1160}'
            | '\u{17B4}'
            | '\u{17B5}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{FFA0}'
    );
    variation_selector
        || invisible
        || matches!(
            c.general_category(),
            G::Control
                | G::Format
                | G::PrivateUse
                | G::Unassigned
                | G::Surrogate
                | G::LineSeparator
                | G::ParagraphSeparator
        )
}

fn check(name: &str) -> Result<(), UsernameError> {
    if let Some(c) = name.chars().find(|c| is_forbidden(*c)) {
        return Err(UsernameError::Forbidden(c));
    }
    if name.is_empty() {
        return Err(UsernameError::Empty);
    }
    if name.chars().count() > MAX_USERNAME_CHARS || name.len() > MAX_USERNAME_BYTES {
        return Err(UsernameError::TooLong);
    }
    let mut marks = 0;
    for (i, c) in name.chars().enumerate() {
        marks = if is_mark(c) { marks + 1 } else { 0 };
        if marks > MAX_MARKS_IN_A_ROW || (i == 0 && marks > 0) {
            return Err(UsernameError::Marks);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_11_usernames_that_deceive_are_refused() {
        assert!(
            Username::parse(&"𝄞".repeat(40)).is_ok(),
            "40 astral scalars"
        );
        assert_eq!(
            Username::parse(&"a".repeat(41)),
            Err(UsernameError::TooLong)
        );
        assert_eq!(Username::parse(""), Err(UsernameError::Empty));
        assert_eq!(Username::parse("   "), Err(UsernameError::Empty));
        for c in [
            '\u{202E}', '\u{200B}', '\0', '\u{200D}', '\u{2066}', '\u{FE0F}', '\u{E000}',
            '\u{2028}', '\u{1b}', '\u{3164}',
        ] {
            let refused = Username::parse(&format!("a{c}b"));
            assert!(matches!(refused, Err(UsernameError::Forbidden(_))), "{c:?}");
        }
        let stacked = format!("a{}", "\u{0323}".repeat(200));
        assert!(Username::parse(&stacked).is_err());
        assert_eq!(Username::parse("\u{0323}a"), Err(UsernameError::Marks));
        assert!(confusable("раypal", "paypal"), "Cyrillic against Latin");
        assert!(!confusable("alice", "bob"));
    }

    #[test]
    fn typed_names_are_brought_to_their_one_form() {
        assert_eq!(
            Username::enforce("  Ann\u{a0} \u{3000}Lee ")
                .unwrap()
                .as_str(),
            "Ann Lee"
        );
        assert_eq!(Username::enforce("ﬁn").unwrap().as_str(), "fin");
        assert_eq!(Username::parse("ﬁn"), Err(UsernameError::NotNormal));
        assert_eq!(Username::parse(" a"), Err(UsernameError::NotNormal));
        assert_eq!(Username::parse("a  b"), Err(UsernameError::NotNormal));
    }
}
