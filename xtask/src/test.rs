//! Tests, fuzz targets, benchmarks.

use std::fs;

use crate::{
    process::{Outcome, cargo, exists, run},
    tools::{ensure_build_tools, locked, selection},
};

/// Measures what others notice of an attack, so nothing may run beside it; `.config/nextest.toml` says
/// the same to nextest.
const ALONE: &str = "hostile_clients_cost_others_neither_time_nor_memory";

/// Runs every test, or what `filter` (arguments of the test runner) selects.
///
/// Doc tests come first, so that the last lines are the runner's own summary. cargo-nextest is
/// used where it is installed; it is not installed here, because its build takes longer than our
/// tests, and `cargo test` runs the same ones.
pub(crate) fn test(filter: &[String]) -> Outcome {
    ensure_build_tools()?;
    if filter.is_empty() {
        run(cargo()
            .args(["test", "--quiet", "--doc"])
            .args(locked())
            .args(selection(filter)))?;
    }
    if exists("cargo-nextest") {
        let mut runner = cargo();
        runner.args(["nextest", "run"]).args(locked());
        return run(runner.args(selection(filter)).args(filter));
    }
    eprintln!("cargo-nextest is not installed: `cargo test` runs the tests");
    let tests = || {
        let mut runner = cargo();
        runner.args(["test", "--tests"]).args(locked());
        runner.args(selection(filter)).args(filter);
        runner
    };
    if !filter.is_empty() {
        return run(&mut tests());
    }
    run(tests().args(["--", ALONE]))?;
    run(tests().args(["--", "--skip", ALONE]))
}

/// Runs every fuzz target for this many seconds.
pub(crate) fn fuzz(seconds: &str) -> Outcome {
    if !exists("cargo-fuzz") {
        return Err(
            "cargo-fuzz is not installed; install it with `cargo install cargo-fuzz --locked`"
                .into(),
        );
    }
    let mut targets: Vec<String> = fs::read_dir("fuzz/fuzz_targets")
        .map_err(|e| format!("fuzz/fuzz_targets cannot be read: {e}"))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".rs").map(str::to_owned))
        .collect();
    targets.sort();
    for target in targets {
        run(cargo()
            // libFuzzer's instrumentation is unstable, the compiler stays the stable one
            .env("RUSTC_BOOTSTRAP", "1")
            // no unsafe code here to sanitise: without, twice as many inputs a second
            .args(["fuzz", "run", "--sanitizer", "none", &target, "--"])
            .arg(format!("-max_total_time={seconds}"))
            .arg("-rss_limit_mb=2048"))?;
    }
    Ok(())
}

/// Runs every benchmark, or what `filter` (arguments of `cargo bench`) selects.
pub(crate) fn bench(filter: &[String]) -> Outcome {
    ensure_build_tools()?;
    run(cargo()
        .args(["bench", "--benches"])
        .args(selection(filter))
        .args(filter))
}
