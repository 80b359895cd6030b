//! Every system call of a relay between a message and its receipt.

use std::{collections::HashMap, fs, path::Path, process::Command};

use crate::support::{Home, Running, answers};

const CALLS: &str = "trace=recvfrom,read,readv,recvmsg,sendto,write,writev,sendmsg,fdatasync,fsync";

/// A relay that gives everybody a mailbox, under strace, until its standard input closes.
fn traced(home: &Home, trace: &Path) -> Running {
    home.make_relay(&["--open"]);
    // a refusal needs no sync
    home.set_relay("request_items = 64", "request_items = 100000");
    home.set_relay("stores_per_sender = 3000", "stores_per_sender = 0");
    let relay = home.command(&["relay", "run", "--with-parent"]);
    let mut strace = Command::new("strace");
    strace.args([
        "-f",
        "-y",
        "-s",
        "1",
        "-e",
        CALLS,
        "-e",
        "signal=none",
        "-o",
    ]);
    strace
        .arg(trace)
        .arg(relay.get_program())
        .args(relay.get_args());
    strace.env("SREMP_HOME", home.path());
    Running::of(&mut strace)
}

#[derive(Debug)]
enum Call<'a> {
    /// So many bytes have come through this descriptor.
    Received(&'a str, usize),
    /// Bytes are about to leave through this one.
    Sends(&'a str),
    /// This thread is about to sync the log.
    Syncs(&'a str),
    /// It has.
    Synced(&'a str),
}

/// The calls of a trace in the order in which they began or ended.
fn calls(trace: &str) -> Vec<Call<'_>> {
    let mut calls = Vec::new();
    let mut open = HashMap::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else {
            continue;
        };
        let call = call.trim_start();
        let (name, at) = match call.strip_prefix("<... ") {
            Some(_) => match open.remove(thread) {
                Some(begun) => begun,
                None => continue,
            },
            None => {
                let Some((name, rest)) = call.split_once('(') else {
                    continue;
                };
                let at = rest.split([',', ')', ' ']).next().unwrap();
                calls.extend(began(thread, name, at));
                (name, at)
            }
        };
        if call.ends_with("<unfinished ...>") {
            open.insert(thread, (name, at));
        } else if let Some((_, result)) = call.rsplit_once(" = ") {
            calls.extend(ended(thread, name, at, result.parse().ok()));
        }
    }
    calls
}

fn began<'a>(thread: &'a str, name: &str, at: &'a str) -> Option<Call<'a>> {
    match name {
        "sendto" | "write" | "writev" | "sendmsg" => Some(Call::Sends(at)),
        "fdatasync" | "fsync" if at.ends_with("-wal>") => Some(Call::Syncs(thread)),
        _ => None,
    }
}

fn ended<'a>(thread: &'a str, name: &str, at: &'a str, result: Option<usize>) -> Option<Call<'a>> {
    match (name, result?) {
        ("recvfrom" | "read" | "readv" | "recvmsg", count) => Some(Call::Received(at, count)),
        ("fdatasync" | "fsync", 0) if at.ends_with("-wal>") => Some(Call::Synced(thread)),
        _ => None,
    }
}

/// What comes most often of the things as large as an envelope: the stores.
fn store_of(calls: &[Call<'_>]) -> usize {
    let mut sizes: HashMap<usize, usize> = HashMap::new();
    for call in calls {
        if let Call::Received(_, count @ 1_024..) = call {
            *sizes.entry(*count).or_default() += 1;
        }
    }
    sizes.into_iter().max_by_key(|(_, times)| *times).unwrap().0
}

/// How many stores were answered, each after a sync of the log that began when the store had come
/// and had returned when the answer left.
fn answered_after_their_sync(calls: &[Call<'_>]) -> usize {
    let store = store_of(calls);
    let (mut owed, mut syncing) = (HashMap::new(), HashMap::new());
    let (mut synced, mut answered) = (0, 0);
    for (now, call) in calls.iter().enumerate() {
        match call {
            // the number of a request is of one to five bytes
            Call::Received(at, count) if count.abs_diff(store) <= 4 => _ = owed.insert(*at, now),
            Call::Received(..) => {}
            Call::Syncs(thread) => _ = syncing.insert(*thread, now),
            Call::Synced(thread) => synced = syncing.remove(thread).unwrap_or(0).max(synced),
            Call::Sends(at) => {
                if let Some(came) = owed.remove(at) {
                    assert!(came < synced, "answer {answered} left before the sync");
                    answered += 1;
                }
            }
        }
    }
    answered
}

#[test]
fn case_22_no_answer_to_a_store_is_written_to_a_socket_before_the_log_is_synced() {
    if !answers("strace") {
        return;
    }
    let home = Home::none();
    let trace = home.beside().join("trace");
    let mut relay = traced(&home, &trace);
    let ready = relay.line();
    let link = ready.strip_prefix("relay ready ").unwrap();
    let one = ["--senders", "1", "--mailboxes", "1", "--seconds", "1"];
    let load = [&["bench", "relay", "--link", link], &one[..]].concat();
    let report = home.json(&load);
    let stored = report["stored"].as_u64().unwrap() as usize;
    assert!(stored > 20, "{report}");
    relay.close_input();
    assert_eq!(relay.end().0, 0);
    let trace = fs::read_to_string(&trace).unwrap();
    let answered = answered_after_their_sync(&calls(&trace));
    assert!(
        answered >= stored,
        "{answered} of {stored} are in the trace"
    );
}
