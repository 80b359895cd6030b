//! Who may use whom, and what may come from outside.

use std::{collections::BTreeSet, fs};

use crate::{
    licence, manifest,
    process::{Outcome, cargo, output},
    tools::locked,
};

/// The table of ARCHITECTURE.md: each crate and the crates of ours that it may use, in its code and
/// in its tests.
const MAY_USE: [(&str, &[&str]); 9] = [
    ("sremp-core", &[]),
    ("sremp-net", &["sremp-core"]),
    ("sremp-server", &["sremp-core"]),
    ("sremp-relay", &["sremp-core", "sremp-net", "sremp-server"]),
    (
        "sremp-rendezvous",
        &["sremp-core", "sremp-net", "sremp-server"],
    ),
    ("sremp-client", &["sremp-core", "sremp-net", "sremp-relay"]),
    (
        "sremp",
        &["sremp-client", "sremp-relay", "sremp-rendezvous"],
    ),
    ("sremp-sim", &["sremp-core", "sremp-net", "sremp-client"]),
    ("xtask", &[]),
];

/// What must not be anywhere below the core: it has no IO (architecture, rule 1).
const NEVER_IN_CORE: [&str; 6] = ["tokio", "mio", "socket2", "rusqlite", "async-std", "smol"];

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(crate) fn check() -> Outcome {
    let deny = fs::read_to_string("deny.toml").map_err(|e| format!("deny.toml: {e}"))?;
    let mut wrong = Vec::new();
    wrong.extend(wrong_uses()?);
    wrong.extend(io_in_core()?);
    wrong.extend(duplicates(&manifest::list(&deny, "bans", "skip"))?);
    wrong.extend(bans_and_licences(&deny)?);
    wrong.extend(sources()?);
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("; "))
    }
}

/// Lines of `cargo tree`, without indentation.
fn tree(args: &[&str]) -> Result<Vec<String>, String> {
    let text = output(
        cargo()
            .args(["tree", "--prefix", "none"])
            .args(locked())
            .args(args),
    )?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(lines.map(str::to_owned).collect())
}

/// The package name of a line of `cargo tree`.
fn name(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

fn wrong_uses() -> Result<Vec<String>, String> {
    let mut wrong = Vec::new();
    let members: BTreeSet<String> = tree(&["--workspace", "--depth", "0"])?
        .iter()
        .map(|line| name(line).to_owned())
        .collect();
    for member in &members {
        let Some((_, allowed)) = MAY_USE.iter().find(|(of, _)| of == member) else {
            wrong.push(format!("{member} is not in the table of dependencies"));
            continue;
        };
        let used = tree(&["--package", member, "--depth", "1", "--edges", "all"])?;
        let used: BTreeSet<&str> = used.iter().map(|line| name(line)).collect();
        for used in used {
            if used != member && members.contains(used) && !allowed.contains(&used) {
                wrong.push(format!("{member} must not use {used}"));
            }
        }
    }
    Ok(wrong)
}

fn io_in_core() -> Result<Vec<String>, String> {
    let below = tree(&["--package", "sremp-core", "--edges", "normal,build"])?;
    let below: BTreeSet<&str> = below.iter().map(|line| name(line)).collect();
    Ok(NEVER_IN_CORE
        .into_iter()
        .filter(|banned| below.contains(banned))
        .map(|banned| format!("{banned} is in the tree of sremp-core, which does no IO"))
        .collect())
}

/// Two versions of one crate are built only where `deny.toml` says why.
fn duplicates(allowed: &[&str]) -> Result<Vec<String>, String> {
    let twice = tree(&[
        "--workspace",
        "--all-features",
        "--edges",
        "normal,build",
        "--duplicates",
        "--depth",
        "0",
    ])?;
    let twice: BTreeSet<&str> = twice.iter().map(|line| name(line)).collect();
    Ok(twice
        .into_iter()
        .filter(|twice| !allowed.iter().any(|a| a.split('@').next() == Some(twice)))
        .map(|twice| format!("{twice} is in the tree in two versions (deny.toml, [bans] skip)"))
        .collect())
}

fn bans_and_licences(deny: &str) -> Result<Vec<String>, String> {
    let allowed = manifest::list(deny, "licenses", "allow");
    let banned = manifest::list(deny, "bans", "deny");
    let lines: BTreeSet<String> = tree(&[
        "--workspace",
        "--all-features",
        "--edges",
        "normal,build,dev",
        "--no-dedupe",
        "--format",
        "{p}|{l}",
    ])?
    .into_iter()
    .collect();
    let mut wrong = Vec::new();
    for line in &lines {
        let (package, expression) = line.split_once('|').unwrap_or((line, ""));
        if banned.contains(&name(package)) {
            wrong.push(format!("{} is banned by deny.toml", name(package)));
        }
        if !licence::is_allowed(expression, &allowed) {
            wrong.push(format!(
                "{package} is under `{expression}`, which deny.toml does not allow"
            ));
        }
    }
    Ok(wrong)
}

/// Everything from outside comes from the registry, with its checksum in the lock file.
fn sources() -> Result<Vec<String>, String> {
    let lock = fs::read_to_string("Cargo.lock").map_err(|e| format!("Cargo.lock: {e}"))?;
    Ok(lock
        .lines()
        .filter_map(|line| line.strip_prefix("source = "))
        .map(|source| source.trim_matches('"'))
        .filter(|source| *source != REGISTRY)
        .map(|source| format!("a package comes from {source}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_only_crates_that_it_knows_and_has_no_circle() {
        for (at, (_, uses)) in MAY_USE.iter().enumerate() {
            for used in *uses {
                assert!(MAY_USE[..at].iter().any(|(name, _)| name == used), "{used}");
            }
        }
    }
}
