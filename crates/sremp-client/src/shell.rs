//! Commands that are told to be typed: names in them have to come through a shell as they are.

/// A name as one word of a shell: as it is if no shell would change it, else in quotes.
pub fn word(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | '+');
    match !name.is_empty() && name.chars().all(plain) {
        true => name.to_owned(),
        false => format!("'{}'", name.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_quoted_where_a_shell_would_take_it_apart() {
        for plain in ["ben", "Jörg", "ben-2", "2a1364fe", "ben@work"] {
            assert_eq!(word(plain), plain);
        }
        assert_eq!(word("gus (2a1364fe)"), "'gus (2a1364fe)'");
        assert_eq!(word("ann's; rm *"), r"'ann'\''s; rm *'");
        assert_eq!(word(""), "''");
    }
}
