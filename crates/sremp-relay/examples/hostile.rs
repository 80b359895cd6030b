//! What others notice of hostile clients, for longer than a test can take:
//! `cargo run --release -p sremp-relay --example hostile -- SECONDS`.
#![allow(clippy::unwrap_used, reason = "whoever runs it reads the panic")]

use std::{
    io::Read,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use sremp_core::{
    contact_card::RelayLink,
    identity::{SecretIdentity, Username},
    time::UnixMillis,
};
use sremp_relay::{
    config::{Config, Policy},
    home::RelayHome,
    invite::UsedInvites,
    load::{self, Load, hostile},
    mailbox::{DiskGuard, EmbeddedStore, Limits},
    run::{self, Running, Start},
};

/// Says to this program that it is the attackers.
const ATTACK: &str = "--attack";

/// A relay with the limits that it has by default.
async fn relay(home: &RelayHome) -> Running {
    let config = Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        policy: Policy::Open,
        operations: None,
        ..Config::default()
    };
    let store = EmbeddedStore::open(
        &home.database_path(),
        Limits::default(),
        DiskGuard {
            full: 100,
            ..DiskGuard::default()
        },
    );
    let start = Start {
        identity: home.identity().unwrap(),
        config,
        store: store.unwrap(),
        used_invites: UsedInvites::open(&home.invites_path()).unwrap(),
    };
    run::start(start).await.unwrap()
}

fn resident_kib() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap_or_default().trim().to_owned()
}

/// Fewer requests than the relay allows one address.
async fn honest(running: &Running, time: Duration, when: &str) {
    let load = Load {
        senders: 16,
        window: 1,
        mailboxes: 16,
        online: true,
        size: 1_024,
        time,
        rate: Some(60.0),
    };
    let report = load::run(running.link(), &load).await.unwrap();
    println!(
        "{when:7} store p50 {:.2} ms, p99 {:.2} ms; delivery p99 {:.2} ms; {} stored, {} refused; {}",
        report.store_p50_ms,
        report.store_p99_ms,
        report.delivery_p99_ms,
        report.stored,
        report.refused,
        resident_kib(),
    );
}

/// The attackers are a process that gets what processor time nobody else wants: elsewhere they have
/// processors of their own.
fn attack(link: &RelayLink) -> Child {
    let mut command = Command::new("chrt");
    command
        .args(["--idle", "0"])
        .arg(std::env::current_exe().unwrap())
        .args([ATTACK, &link.to_string()])
        .stdin(Stdio::piped());
    command.spawn().unwrap()
}

/// Attacks until nobody holds the other end of standard input.
async fn attacker(link: &str) {
    let name = Username::parse("victim").unwrap();
    let victim = SecretIdentity::generate(&name, UnixMillis::ZERO, &mut rand::rng());
    let attack = hostile::start(&link.parse().unwrap(), victim.id().into()).unwrap();
    let told = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    told.await.unwrap().unwrap();
    println!("{:?}", attack.stop());
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [first, link] = &*args
        && first == ATTACK
    {
        return attacker(link).await;
    }
    let seconds = args.first().map_or(10, |n| n.parse().unwrap());
    let time = Duration::from_secs(seconds);
    let dir = tempfile::tempdir().unwrap();
    let home = RelayHome::at(dir.path().join("relay"));
    home.create(Config::DEFAULT, UnixMillis::ZERO, &mut rand::rng())
        .unwrap();
    let running = relay(&home).await;
    honest(&running, time, "before").await;
    let mut attack = attack(running.link());
    honest(&running, time, "during").await;
    drop(attack.stdin.take());
    attack.wait().unwrap();
    honest(&running, time, "after").await;
    let metrics = running.metrics();
    let refusals = metrics.lines().filter(|line| line.contains("cause="));
    refusals.for_each(|line| println!("{line}"));
    running.shutdown().await;
}
