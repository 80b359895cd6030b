//! Everything that has to hold before a change lands.

use std::path::{Path, PathBuf};

use crate::{
    dependencies, documents,
    process::{Outcome, cargo, exists, run},
    sizes, test,
    tools::{ensure_build_tools, locked, selection},
};

type Step = (&'static str, fn() -> Outcome);

/// Runs every check, the quick ones first and the tests last, and names all that failed.
pub(crate) fn check() -> Outcome {
    ensure_build_tools()?;
    let steps: [Step; 8] = [
        ("format", format),
        ("sizes", sizes::check),
        ("documents", documents::check),
        ("dependencies", dependencies::check),
        ("cargo-deny", deny),
        ("clippy", clippy),
        ("docs", docs),
        ("tests", || test::test(&[])),
    ];
    let mut failed = Vec::new();
    for (name, step) in steps {
        if let Err(what) = step() {
            eprintln!("xtask: {name}: {what}");
            failed.push(name);
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("failed: {}", failed.join(", ")))
    }
}

fn format() -> Outcome {
    run(cargo().args(["fmt", "--all", "--check"]))
}

fn clippy() -> Outcome {
    run(cargo()
        .args(["clippy", "--all-targets"])
        .args(locked())
        .args(selection(&[]))
        .args(["--", "-D", "warnings"]))
}

fn docs() -> Outcome {
    run(cargo()
        .env("RUSTDOCFLAGS", "-D warnings")
        .args(["doc", "--no-deps"])
        .args(locked())
        .args(selection(&[])))
}

/// cargo-deny is used where it is installed and never installed here: building it takes longer
/// than everything else together, and what it would find in the tree itself (licences, bans,
/// sources, duplicates) [`dependencies`] finds from the same `deny.toml`. Advisories need a
/// database, which is read if it is there and never fetched: a check must not fail, or pass,
/// because of the network.
fn deny() -> Outcome {
    if !exists("cargo-deny") {
        eprintln!(
            "cargo-deny is not installed: advisories are not checked \
             (`cargo install cargo-deny --locked`, then `cargo deny fetch`)"
        );
        return Ok(());
    }
    run(cargo().args(["deny", "--offline", "check", "licenses", "bans", "sources"]))?;
    if has_advisories() {
        run(cargo().args(["deny", "--offline", "check", "advisories"]))
    } else {
        eprintln!("no advisory database here: advisories are not checked (`cargo deny fetch`)");
        Ok(())
    }
}

fn has_advisories() -> bool {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    home.is_some_and(|home| home.join("advisory-dbs").is_dir())
}
