//! What documents point at has to be there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::process::Outcome;

/// The table that names tests.
const CONFORMANCE: &str = "docs/protocol/conformance.md";

pub(crate) fn check() -> Outcome {
    let mut wrong = Vec::new();
    for document in files(&[".", "docs"], "md")? {
        let text = read(&document)?;
        let from = document.parent().unwrap_or(Path::new("."));
        wrong.extend(
            links(&text)
                .into_iter()
                .filter(|link| !from.join(link).exists())
                .map(|link| format!("{} links to {link}", document.display())),
        );
    }
    let mut tests = String::new();
    for file in files(&["crates"], "rs")? {
        tests += &read(&file)?;
    }
    wrong.extend(
        named_tests(&read(Path::new(CONFORMANCE))?)
            .into_iter()
            .filter(|name| !tests.contains(&format!("fn {name}(")))
            .map(|name| format!("{CONFORMANCE} names the test {name}")),
    );
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("not there: {}", wrong.join(", ")))
    }
}

/// Targets of relative links, without their fragment.
fn links(markdown: &str) -> Vec<&str> {
    markdown
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#']).next())
        .filter(|link| !link.is_empty() && !link.contains("://"))
        .collect()
}

/// What stands in backticks and reads like a sentence; `…` at its end stands for any end.
fn named_tests(markdown: &str) -> Vec<&str> {
    markdown
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| code.matches('_').count() >= 3 && !code.contains('…'))
        .filter(|code| code.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
        .collect()
}

fn files(dirs: &[&str], extension: &str) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for dir in dirs {
        // the top level is read flat: everything else in it has its own name here
        collect(Path::new(dir), extension, *dir != ".", &mut found)
            .map_err(|e| format!("{dir} cannot be read: {e}"))?;
    }
    Ok(found)
}

fn collect(
    dir: &Path,
    extension: &str,
    deep: bool,
    found: &mut Vec<PathBuf>,
) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            if deep {
                collect(&path, extension, deep, found)?;
            }
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|e| format!("{} cannot be read: {e}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_relative_links_are_followed() {
        let text = "[a](b.md#c) [d](https://e) [f](#g) [h](../i)";
        assert_eq!(links(text), ["b.md", "../i"]);
    }

    #[test]
    fn a_test_is_named_in_backticks_like_a_sentence() {
        let text = "`wire::codec` `a_value_has_one` `case_04_…` `msg_id`";
        assert_eq!(named_tests(text), ["a_value_has_one"]);
    }
}
