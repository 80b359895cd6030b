//! What has to be on the machine, and how it gets there.

use std::{path::Path, process::Command};

use crate::process::{Outcome, exists, run};

/// The packages that know the feature `system-openssl`.
const WITH_OPENSSL: [&str; 5] = [
    "sremp",
    "sremp-client",
    "sremp-relay",
    "sremp-rendezvous",
    "sremp-sim",
];

/// The packages that know the feature `acme`.
const WITH_ACME: [&str; 2] = ["sremp", "sremp-rendezvous"];

/// Arguments that choose where SQLCipher's OpenSSL comes from: Debian's libssl-dev where it is
/// installed (one minute), else the default, which builds OpenSSL (four minutes).
fn openssl_features() -> &'static [&'static str] {
    if has_libcrypto() {
        &["--no-default-features", "--features", "system-openssl"]
    } else {
        &[]
    }
}

/// Arguments that say which packages, with which features: those that `args` names, else all.
pub(crate) fn selection(args: &[String]) -> Vec<&'static str> {
    let named: Vec<&str> = args
        .windows(2)
        .filter(|pair| matches!(pair, [flag, _] if flag == "-p" || flag == "--package"))
        .filter_map(|pair| pair.last().map(String::as_str))
        .collect();
    let mut selection = Vec::new();
    if named.is_empty() {
        selection.push("--workspace");
    }
    // cargo refuses a feature that none of the selected packages has
    if named.is_empty() || named.iter().any(|name| WITH_OPENSSL.contains(name)) {
        selection.extend(openssl_features());
    }
    // off for who builds it, so that what is not on by default is built and tested all the same
    if named.is_empty() || named.iter().any(|name| WITH_ACME.contains(name)) {
        selection.extend(["--features", "acme"]);
    }
    selection
}

fn has_libcrypto() -> bool {
    std::env::var_os("OPENSSL_DIR").is_some()
        || Path::new("/usr/include/openssl/crypto.h").exists()
        || (exists("pkg-config")
            && Command::new("pkg-config")
                .args(["--exists", "libcrypto"])
                .status()
                .is_ok_and(|status| status.success()))
}

/// Makes sure that the C parts of the tree can be built: installs what is missing as root with
/// apt-get, else says which command does it.
pub(crate) fn ensure_build_tools() -> Outcome {
    // one of the examples is a script that a test runs
    let mut wanted = vec![("cc", "gcc"), ("python3", "python3")];
    if !has_libcrypto() {
        // OpenSSL's own build
        wanted.extend([("make", "make"), ("perl", "perl")]);
    }
    // without recommended packages gcc comes without the C headers
    install(&wanted, &["libc6-dev"])
}

/// Makes sure that these programs, each with its package of Debian, are there: installs what is missing
/// as root with apt-get, else says which command does it.
pub(crate) fn ensure_programs(wanted: &[(&str, &str)]) -> Outcome {
    install(wanted, &[])
}

/// With something missing `besides` is installed, too.
fn install(wanted: &[(&str, &str)], besides: &[&str]) -> Outcome {
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|(program, _)| !exists(program))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    if !(is_root() && exists("apt-get")) {
        return Err(format!(
            "missing: {packages}; install with `apt-get install {packages}` as root"
        ));
    }
    run(Command::new("apt-get").arg("update"))?;
    run(Command::new("apt-get")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["install", "--yes", "--no-install-recommends"])
        .args(missing)
        .args(besides))
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|out| out.stdout.trim_ascii() == b"0")
}

/// In CI the lock file is the truth; at a desk cargo may update it.
pub(crate) fn locked() -> &'static [&'static str] {
    if std::env::var_os("CI").is_some() {
        &["--locked"]
    } else {
        &[]
    }
}
