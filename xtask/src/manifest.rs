//! Reads the few lists that are needed from our own TOML files, which cargo fmt-like tools keep in
//! one form: a key, `[`, one entry a line, `]`.

/// The entries of the list `key` in `section` of a TOML text: of each line the first quoted text.
pub(crate) fn list<'a>(toml: &'a str, section: &str, key: &str) -> Vec<&'a str> {
    toml.lines()
        .map(str::trim)
        .skip_while(|line| *line != format!("[{section}]"))
        .skip(1)
        .take_while(|line| !line.starts_with('[') || line.starts_with("[["))
        .skip_while(|line| *line != format!("{key} = ["))
        .skip(1)
        .take_while(|line| *line != "]")
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split('"').nth(1))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_from_its_section_only() {
        let toml = "[a]\nx = [\n  \"no\",\n]\n[b]\ny = [\n  \"never\",\n]\nx = [\n  # \"out\",\n  \
                    \"one\",\n  { crate = \"two@1\", reason = \"why\" },\n]\n[c]\nx = [\n  \"no\",\n]\n";
        assert_eq!(list(toml, "b", "x"), ["one", "two@1"]);
        assert!(list(toml, "d", "x").is_empty());
    }
}
