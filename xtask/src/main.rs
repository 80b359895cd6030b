//! What CI and developers run: `cargo xtask check|test|fuzz|bench|crash-test|nat-test|net-test`.
//!
//! No dependencies: it starts at once on a fresh machine, and what guards the dependency tree is
//! not part of it.

mod check;
mod crash;
mod dependencies;
mod documents;
mod licence;
mod manifest;
mod namespaces;
mod nat;
mod net;
mod process;
mod sizes;
mod test;
mod tools;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <task>

  check           what CI runs: format, sizes, dependencies, licences, clippy, docs, tests
  test [ARGS]     every test; ARGS go to the test runner, e.g. `-p sremp-core frame`
  fuzz [SECONDS]  every fuzz target for SECONDS each (60)
  bench [ARGS]    every benchmark; ARGS go to `cargo bench`
  crash-test relay [ARGS]
                  kill a relay under load 200 times and count what is lost; ARGS go to
                  `sremp bench relay`, e.g. `--kills 10 --cut`
  nat-test        ports of a NAT router in network namespaces, mapped and given back (root)
  net-test [WHAT] what people notice of cut, lossy and idle networks, dead servers and other
                  addresses, measured in network namespaces (root); all of it, or one of
                  `cuts`, `lossy`, `dead`, `moved`, `idle`
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = match args.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("help", &[][..]),
    };
    if let Err(e) = std::env::set_current_dir(process::root()) {
        eprintln!("xtask: the workspace cannot be entered: {e}");
        return ExitCode::FAILURE;
    }
    let done = match (task, rest) {
        ("check", []) => check::check(),
        ("test", args) => test::test(args),
        ("fuzz", []) => test::fuzz("60"),
        ("fuzz", [seconds]) if seconds.parse::<u32>().is_ok() => test::fuzz(seconds),
        ("bench", args) => test::bench(args),
        ("crash-test", [what, args @ ..]) if what == "relay" => crash::relay(args),
        ("nat-test", args) => nat::test(args),
        ("net-test", args) => net::test(args),
        ("help" | "--help" | "-h", _) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("xtask: {what}");
            ExitCode::FAILURE
        }
    }
}
