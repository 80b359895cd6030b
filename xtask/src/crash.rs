//! Whether a relay keeps what it acknowledged, over kills and cuts of the power.

use crate::{
    process::{Outcome, cargo, run},
    tools::{ensure_build_tools, locked, selection},
};

/// Kills, unless told: with the default load more than 200,000 acknowledged messages.
const KILLS: &str = "200";

/// Builds the release binary and puts it under load while its relay dies; `args` go to
/// `sremp bench relay`.
pub(crate) fn relay(args: &[String]) -> Outcome {
    ensure_build_tools()?;
    let package = ["-p".to_owned(), "sremp".to_owned()];
    let mut command = cargo();
    command
        .args(["run", "--release", "--quiet"])
        .args(&package)
        .args(locked())
        .args(selection(&package))
        .args(["--", "bench", "relay"])
        .args(args);
    let told = |arg: &String| arg == "--kills" || arg.starts_with("--kills=");
    if !args.iter().any(told) {
        command.args(["--kills", KILLS]);
    }
    run(&mut command)
}
