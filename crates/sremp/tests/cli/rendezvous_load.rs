//! What `sremp bench rendezvous` measures, in short: that the figures are those of what happened.

use serde_json::Value;

use crate::support::{Home, Ran};

/// `sremp bench rendezvous --json` with little of everything.
fn report() -> Value {
    let home = Home::none();
    let what = ["bench", "rendezvous", "--json", "--registrations", "200"];
    let much = ["--clients", "3", "--seconds", "1", "--idle", "5"];
    let args = [&what[..], &much[..]].concat();
    let ran = Ran::of(home.command(&args).env("TMPDIR", home.beside()));
    assert_eq!(ran.code, 0, "{ran:?}");
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn a_bench_of_a_rendezvous_server_measures_all_that_it_names() {
    let report = report();
    let of = |name: &str| {
        let figure = report[name].as_f64();
        figure.unwrap_or_else(|| panic!("{name} is not in {report}"))
    };
    for name in [
        "lookups_per_s",
        "connects_per_s",
        "connect_cpu_us",
        "registers_per_s",
        "register_p99_ms",
        "registers_share",
        "browse_pages_per_s",
        "browse_share",
        "round_p50_ms",
        "restart_s",
        "memory_share",
    ] {
        assert!(of(name) > 0.0, "{name} in {report}");
    }
    assert!(of("lookup_p50_ms") <= of("lookup_p99_ms"));
    assert_eq!(report["registrations"], 200);
    assert_eq!(report["idle_connections"], 5);
    assert_eq!(report["limits"]["restart_s"], "<= 5");
    // an identity, a record and a signature of each
    assert!((50.0..80.0).contains(&of("wire_kib")), "{report}");
}
