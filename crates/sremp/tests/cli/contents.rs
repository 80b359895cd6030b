//! Messages that are edited, taken back, answered, reacted to, and that disappear, between real
//! processes.

use serde_json::Value;

use crate::support::{acquainted, keys, parse_lines, text};

fn event(kind: &str) -> impl Fn(&Value) -> bool {
    move |object| object["event"] == kind
}

#[test]
fn a_message_is_edited_answered_reacted_to_and_taken_back() {
    let (ann, ben) = acquainted();
    let (_ann_up, _ben_up) = (ann.up(), ben.up());
    let reader = ben.start(&["recv", "--json", "--follow", "--ack"]);
    let id = ann.delivers("ben", "at eight");
    let came = reader.object(event("message"));
    assert_eq!(came["text"], "at eight");

    let edited = ann.json(&["edit", &id, "at nine", "--wait", "device"]);
    assert_eq!(keys(&edited), ["msg_id", "path", "status"]);
    assert_eq!(edited["status"], "on-device");
    assert_ne!(text(&edited, "msg_id"), id, "it has an id of its own");
    let told = reader.object(event("edited"));
    assert_eq!(
        keys(&told),
        ["alias", "at", "event", "from", "msg_id", "seq", "text"]
    );
    assert_eq!(
        (&told["text"], &told["msg_id"]),
        (&"at nine".into(), &id.clone().into())
    );
    let why = ann.json(&["why", &text(&edited, "msg_id")]);
    assert_eq!(why["status"], "on-device");

    ben.json(&["react", &id[..8], "👍", "--wait", "device"]);
    let answer = ben.json(&["send", "ann", "fine", "--reply-to", &id, "--wait", "device"]);
    for home in [&ann, &ben] {
        let who = if std::ptr::eq(home, &ann) {
            "ben"
        } else {
            "ann"
        };
        let lines = home.objects(&["history", who]);
        assert_eq!(lines[0]["text"], "at nine");
        assert!(text(&lines[0], "edited_at").ends_with('Z'));
        assert_eq!(lines[0]["reactions"][0]["reaction"], "👍");
        assert_eq!(keys(&lines[0]["reactions"][0]), ["at", "own", "reaction"]);
        assert_eq!(
            (&lines[1]["reply_to"], &lines[1]["quote"]),
            (&id.clone().into(), &"at nine".into())
        );
        assert_eq!(lines[1]["msg_id"], answer["msg_id"]);
        let shown = home.ok(&["history", who, "--plain"]);
        assert!(shown.contains("at nine (edited 20"), "{shown}");
        assert!(shown.contains("[> \"at nine\"] fine"), "{shown}");
        assert!(shown.contains(": 👍]"), "{shown}");
    }
    let markdown = ann.ok(&["export", "ben", "--format", "markdown"]);
    assert!(markdown.contains("*edited 20"), "{markdown}");
    assert!(markdown.contains("*ben: 👍*"), "{markdown}");
    assert_eq!(
        ann.ok(&["export", "ben"]),
        ann.ok(&["history", "ben", "--json"])
    );

    let answers = ann.objects(&["recv", "--timeout", "0"]);
    let answer = answers.iter().find(|e| e["event"] == "message").unwrap();
    assert_eq!(
        (&answer["reply_to"], &answer["quote"]),
        (&id.clone().into(), &"at nine".into())
    );
    assert!(ann.ok(&["recv"]).contains("ben: [> \"at nine\"] fine"));
    ben.json(&["react", &id, "--remove", "--wait", "device"]);
    ann.json(&["delete", &id, "--wait", "device"]);
    let told = reader.object(event("deleted"));
    assert_eq!(
        keys(&told),
        ["alias", "at", "event", "from", "msg_id", "seq"]
    );
    for (home, who) in [(&ann, "ben"), (&ben, "ann")] {
        let lines = home.objects(&["history", who]);
        assert_eq!(
            (&lines[0]["text"], &lines[0]["deleted"]),
            (&"".into(), &true.into())
        );
        assert!(home.ok(&["history", who]).contains("[message deleted]"));
        assert!(
            home.ok(&["history", who])
                .contains("[> an earlier message] fine")
        );
        assert_eq!(home.objects(&["search", "nine"]).len(), 0);
    }
    let markdown = ann.ok(&["export", "ben", "--format", "markdown"]);
    assert!(markdown.contains("> *message deleted*"), "{markdown}");
    let again = ben.objects(&["recv", "--timeout", "0"]);
    assert!(again.is_empty(), "{again:?}");
}

#[test]
fn a_timer_is_set_told_and_taken_back() {
    let (ann, ben) = acquainted();
    let (_ann_up, _ben_up) = (ann.up(), ben.up());
    ann.delivers("ben", "before");
    let reader = ben.start(&["recv", "--json", "--follow"]);
    let set = ann.json(&["timer", "ben", "1d", "--wait", "device"]);
    assert_eq!(set["status"], "on-device");
    let told = reader.object(event("timer"));
    assert_eq!(
        keys(&told),
        ["alias", "at", "event", "from", "seconds", "seq"]
    );
    assert_eq!(told["seconds"], 86_400);
    assert_eq!(ben.objects(&["contacts"])[0]["timer"], 86_400);
    ann.delivers("ben", "after");
    let came = reader.object(event("message"));
    let until = text(&came, "disappears_at");
    for (home, who, by) in [(&ann, "ben", "you"), (&ben, "ann", "ann")] {
        let lines = home.objects(&["history", who]);
        assert!(lines[0].get("disappears_at").is_none());
        assert_eq!(lines[1]["kind"], "notice");
        let notice = format!("new messages disappear after 1 day, set by {by}");
        assert_eq!(text(&lines[1], "text"), notice);
        assert!(text(&lines[2], "disappears_at") <= until);
        assert!(home.ok(&["history", who]).contains("(until 20"));
    }
    ben.json(&["timer", "ann", "off", "--wait", "device"]);
    assert!(ann.objects(&["contacts"])[0].get("timer").is_none());
}

#[test]
fn a_message_is_erased_on_this_side_alone() {
    let (ann, ben) = acquainted();
    let (_ann_up, _ben_up) = (ann.up(), ben.up());
    let id = ann.delivers("ben", "too much");
    let erased = ben.json(&["delete", &id, "--here"]);
    assert_eq!(keys(&erased), ["erased"]);
    assert!(ben.objects(&["history", "ann"]).is_empty());
    assert_eq!(ann.objects(&["history", "ben"])[0]["text"], "too much");
}

#[test]
fn an_action_that_waits_exits_with_3_and_is_done_later() {
    let (ann, ben) = acquainted();
    let id = text(&ann.json(&["send", "ben", "hello"]), "msg_id");
    let args = [
        "edit",
        &id,
        "hello again",
        "--wait",
        "device",
        "--timeout",
        "1",
        "--json",
    ];
    let ran = ann.run(&args);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert_eq!(parse_lines(&ran.stdout)[0]["status"], "queued");
    let reader = ben.start(&["recv", "--json", "--follow"]);
    let _up = ann.up();
    assert_eq!(reader.object(event("edited"))["text"], "hello again");
}

#[test]
fn what_cannot_be_done_is_refused_with_2_and_a_reason() {
    let (ann, ben) = acquainted();
    let (_ann_up, _ben_up) = (ann.up(), ben.up());
    let id = ann.delivers("ben", "mine");
    for (args, word) in [
        (&["edit", &id, "yours"][..], "not yours"),
        (&["delete", &id], "not yours"),
        (&["react", "abcdef", "x"], "no message"),
        (&["react", "abc", "x"], "at least 6"),
        (&["send", "ann", "x", "--reply-to", "abcdef"], "no message"),
        (&["timer", "ann", "29s"], "30 seconds"),
        (&["timer", "ann", "soon"], "off"),
        (&["react", &id, "two words"], "one emoji or a word"),
        (&["react", &id, "a\nb"], "one emoji or a word"),
        (&["react", &id, "\u{1b}"], "one emoji or a word"),
        (&["react", &id, "\u{1b}[31mred"], "one emoji or a word"),
        (&["react", &id, " "], "empty"),
        (&["react", &id, &"x".repeat(33)], "32 bytes"),
    ] {
        let ran = ben.run(args);
        assert_eq!(ran.code, 2, "{args:?}: {ran:?}");
        assert!(ran.stderr.contains(word), "{args:?}: {ran:?}");
    }
    // several characters each, one emoji
    for emoji in ["❤\u{fe0f}", "👩\u{200d}💻", "👍🏽"] {
        ben.ok(&["react", &id, emoji]);
        let line = &ben.objects(&["history", "ann"])[0];
        assert_eq!(line["reactions"][0]["reaction"], emoji);
    }
    let nobody = ben.run(&["timer", "nobody", "1d"]);
    assert_eq!(nobody.code, 8, "{nobody:?}");
}

#[test]
fn a_chat_shows_what_is_done_to_messages() {
    let (ann, ben) = acquainted();
    let _ben_up = ben.up();
    let mut chat = ann.start(&["chat", "ben", "--json"]);
    chat.write("hello");
    chat.object(|e| e["event"] == "status" && e["status"] == "on-device");
    let id = text(&ben.objects(&["history", "ann"])[0], "msg_id");
    ben.json(&["react", &id, "👍", "--wait", "device"]);
    assert_eq!(chat.object(event("reaction"))["reaction"], "👍");
    ben.json(&["timer", "ann", "1h", "--wait", "device"]);
    assert_eq!(chat.object(event("timer"))["seconds"], 3_600);
    chat.write("/quit");
    assert_eq!(chat.end().0, 0);
}
