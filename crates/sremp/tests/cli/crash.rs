//! Both clients killed with -9 in the middle of a conversation.

use serde_json::Value;

use crate::support::{Home, Running, acquainted};

/// Messages each way.
const EACH: usize = 100;

fn say(home: &Home, to: &str, from: usize, until: usize) {
    for n in from..until {
        home.ok(&["send", to, &n.to_string()]);
    }
}

/// Reads on until the last message of the other has come.
fn read_all(reader: &Running) {
    let last = (EACH - 1).to_string();
    reader.object(|event| event["event"] == "message" && event["text"] == last.as_str());
}

fn of_kind(history: &[Value], kind: &str) -> Vec<String> {
    let lines = history.iter().filter(|line| line["kind"] == kind);
    lines
        .map(|line| line["text"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_message_is_in_both_histories_once_and_in_order_after_kill_9() {
    let (ann, ben) = acquainted();
    let (ann_up, ben_up) = (ann.up(), ben.up());
    std::thread::scope(|scope| {
        scope.spawn(|| say(&ann, "ben", 0, EACH / 2));
        scope.spawn(|| say(&ben, "ann", 0, EACH / 2));
    });
    ann_up.kill();
    ben_up.kill();
    // Written while no client runs at all.
    say(&ann, "ben", EACH / 2, EACH / 2 + 5);
    let (_ann_up, _ben_up) = (ann.up(), ben.up());
    std::thread::scope(|scope| {
        scope.spawn(|| say(&ann, "ben", EACH / 2 + 5, EACH));
        scope.spawn(|| say(&ben, "ann", EACH / 2, EACH));
    });
    let (anns, bens) = (
        ann.start(&["recv", "--json", "--follow"]),
        ben.start(&["recv", "--json", "--follow"]),
    );
    read_all(&anns);
    read_all(&bens);
    let said: Vec<String> = (0..EACH).map(|n| n.to_string()).collect();
    for (home, other) in [(&ann, "ben"), (&ben, "ann")] {
        let history = home.objects(&["history", other, "--limit", "1000"]);
        assert_eq!(of_kind(&history, "sent"), said);
        assert_eq!(of_kind(&history, "received"), said);
    }
}
