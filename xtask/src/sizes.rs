//! No file grows past one reason to change.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::process::Outcome;

/// Most lines of a source file, its test module not counted.
const MAX_LINES: usize = 500;
/// Most lines of the map for newcomers.
const MAX_MAP_LINES: usize = 150;
/// Files that may be longer, each with its reason. None is.
const ALLOWED: [&str; 0] = [];

pub(crate) fn check() -> Outcome {
    let mut files = Vec::new();
    for dir in ["crates", "xtask", "fuzz"] {
        if Path::new(dir).is_dir() {
            collect(Path::new(dir), &mut files)
                .map_err(|e| format!("{dir} cannot be read: {e}"))?;
        }
    }
    let mut long = Vec::new();
    for file in files {
        let text = read(&file)?;
        let lines = code_lines(&text);
        if lines > MAX_LINES && !ALLOWED.iter().any(|allowed| file.ends_with(allowed)) {
            long.push(format!("{} ({lines} lines)", file.display()));
        }
    }
    let map = read(Path::new("ARCHITECTURE.md"))?.lines().count();
    if map > MAX_MAP_LINES {
        long.push(format!(
            "ARCHITECTURE.md ({map} lines, {MAX_MAP_LINES} allowed)"
        ));
    }
    if long.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "longer than {MAX_LINES} lines, split by reason to change: {}",
            long.join(", ")
        ))
    }
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|e| format!("{} cannot be read: {e}", file.display()))
}

/// Lines before the test module, which stands last.
fn code_lines(text: &str) -> usize {
    text.lines()
        .zip(text.lines().skip(1).chain([""]))
        .take_while(|(line, next)| !(*line == "#[cfg(test)]" && next.starts_with("mod ")))
        .count()
}

/// Every `.rs` file below `dir` that is not only tests.
fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() {
            if name != "tests" && name != "target" {
                collect(&path, files)?;
            }
        } else if name != "tests.rs" && path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_module_does_not_count() {
        assert_eq!(code_lines("a\nb\n#[cfg(test)]\nmod tests {\n}\n"), 2);
        assert_eq!(code_lines("a\n#[cfg(test)]\nuse b;\nc\n"), 4);
    }
}
