//! Events for programs: again and again until they are acknowledged.

use serde_json::Value;

use crate::support::{Home, acquainted, parse_lines};

/// Ben's home with messages from Ann in it.
fn received(texts: &[&str]) -> Home {
    let (ann, ben) = acquainted();
    let (_ann_up, _ben_up) = (ann.up(), ben.up());
    for text in texts {
        ann.json(&["send", "ben", text, "--wait", "device"]);
    }
    ben
}

fn messages(lines: &str) -> Vec<Value> {
    let all = parse_lines(lines);
    all.into_iter()
        .filter(|event| event["event"] == "message")
        .collect()
}

#[test]
fn events_come_again_until_they_are_acknowledged() {
    let ben = received(&["one", "two"]);
    let once = ben.ok(&["recv", "--json"]);
    assert_eq!(messages(&once).len(), 2);
    assert_eq!(ben.ok(&["recv", "--json"]), once);
    assert_eq!(ben.ok(&["recv", "--json", "--ack"]), once);
    assert_eq!(ben.ok(&["recv", "--json", "--timeout", "0"]), "");
    let status = ben.json(&["status"]);
    assert_eq!(status["acknowledged"], status["last_event"]);
}

#[test]
fn numbers_rise_from_line_to_line() {
    let ben = received(&["one", "two", "three"]);
    let events = parse_lines(&ben.ok(&["recv", "--json"]));
    let seqs: Vec<u64> = events.iter().map(|e| e["seq"].as_u64().unwrap()).collect();
    assert!(seqs.is_sorted_by(|a, b| a < b), "{seqs:?}");
}

#[test]
fn nothing_there_is_no_error() {
    let home = Home::of("Ann");
    let _up = home.up();
    assert_eq!(home.ok(&["recv", "--json"]), "");
    assert_eq!(home.ok(&["recv", "--follow", "--timeout", "1"]), "");
}

#[test]
fn following_ends_in_good_order_when_asked() {
    let ben = received(&["one"]);
    for signal in ["TERM", "INT"] {
        let reader = ben.start(&["recv", "--json", "--follow"]);
        reader.object(|event| event["event"] == "message");
        reader.signal(signal);
        assert_eq!(reader.end(), (0, String::new()), "{signal}");
    }
    let status = ben.json(&["status"]);
    assert_eq!(status["running"], false);
}
