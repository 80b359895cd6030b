//! What may be asked, how often at once, and what is said of what may not.

use super::*;

#[test]
fn ids_come_back_as_they_went() {
    let stage = Stage::set();
    let mut face = stage.face();
    for id in [
        json!(7),
        json!(-3),
        json!(u64::MAX),
        json!(i64::MIN),
        json!("seven"),
        json!(""),
        json!("x".repeat(128)),
        json!("é".repeat(64)),
        Value::Null,
    ] {
        let request = json!({"jsonrpc": "2.0", "id": id, "method": "ack", "params": {"seq": 1}});
        let answer = face.ask(&request.to_string());
        assert_eq!(answer, json!({"jsonrpc": "2.0", "id": id, "result": {}}));
    }
    for id in [
        json!(1.5),
        json!(7.0),
        json!(1e30),
        json!([1]),
        json!({}),
        json!(true),
        json!("x".repeat(129)),
        json!("é".repeat(65)),
    ] {
        let request = json!({"jsonrpc": "2.0", "id": id, "method": "stop"});
        assert_eq!(
            refusal(&face.ask(&request.to_string())),
            (-32_600, &Value::Null)
        );
    }
}

#[test]
fn faults_are_told_apart_and_the_connection_goes_on() {
    let stage = Stage::set();
    let mut face = stage.face();
    let deep = "[".repeat(100_000);
    let (null, one) = (Value::Null, json!(1));
    for (line, code, id) in [
        ("garbage", -32_700, &null),
        ("", -32_700, &null),
        ("{\"jsonrpc\":\"2.0\",", -32_700, &null),
        (deep.as_str(), -32_700, &null),
        ("\u{1b}[2J", -32_700, &null),
        ("17", -32_600, &null),
        ("[]", -32_600, &null),
        ("{}", -32_600, &null),
        (r#"{"id":1,"method":"status"}"#, -32_600, &one),
        (
            r#"{"jsonrpc":"1.0","id":1,"method":"status"}"#,
            -32_600,
            &one,
        ),
        (r#"{"jsonrpc":"2.0","id":1}"#, -32_600, &one),
        (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, -32_600, &one),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"status","extra":1}"#,
            -32_600,
            &one,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"status","params":3}"#,
            -32_600,
            &one,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"status","params":null}"#,
            -32_600,
            &one,
        ),
        // no request, so no notification either
        (
            r#"{"jsonrpc":"2.0","method":"status","params":3}"#,
            -32_600,
            &null,
        ),
        (r#"{"jsonrpc":"2.0","method":5}"#, -32_600, &null),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#,
            -32_601,
            &null,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"status"}"#,
            -32_600,
            &null,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ack","params":{"seq":1,"seq":2}}"#,
            -32_600,
            &null,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"nothing"}"#,
            -32_601,
            &one,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ack"}"#, -32_602, &one),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ack","params":[1]}"#,
            -32_602,
            &one,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ack","params":{"seq":-1}}"#,
            -32_602,
            &one,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ack","params":{"seq":1,"x":1}}"#,
            -32_602,
            &one,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"status","params":{"x":1}}"#,
            -32_602,
            &one,
        ),
    ] {
        let answer = face.ask(line);
        assert_eq!(refusal(&answer), (code, id), "{line:.80}: {answer}");
        assert_eq!(answer["error"]["data"], json!({"kind": "usage"}));
    }
    let failed = face.ask(r#"{"jsonrpc":"2.0","id":1,"method":"id","params":{}}"#);
    assert_eq!(refusal(&failed), (-32_008, &one));
    assert_eq!(failed["error"]["data"], json!({"kind": "contact"}));
}

#[test]
fn a_method_without_parameters_says_so_of_every_parameter() {
    let stage = Stage::set();
    let mut face = stage.face();
    let request = r#"{"jsonrpc":"2.0","id":1,"method":"id","params":{"x":1}}"#;
    let answer = face.ask(request);
    assert_eq!(refusal(&answer), (-32_602, &json!(1)));
    let told = "id takes no parameters; leave params out";
    assert_eq!(answer["error"]["message"], told);
}

#[test]
fn what_a_command_leaves_open_may_be_left_out_with_params_or_without() {
    let stage = Stage::set();
    let mut face = stage.face();
    for line in [
        r#"{"jsonrpc":"2.0","id":1,"method":"status"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"status","params":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"events"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"events","params":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"events","params":{"after":0}}"#,
    ] {
        let answer = face.ask(line);
        assert!(answer["result"].is_object(), "{line}: {answer}");
    }
}

#[test]
fn a_complaint_repeats_three_hundred_characters_at_most_of_what_was_wrong() {
    let stage = Stage::set();
    let mut face = stage.face();
    let long = "ü".repeat(1_000);
    for request in [
        json!({"jsonrpc": "2.0", "id": 1, "method": long}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "ack", "params": {long: 1}}),
    ] {
        let answer = face.ask(&request.to_string());
        let message = answer["error"]["message"].as_str().unwrap();
        assert_eq!(message.chars().count(), 300, "{message}");
    }
}

#[test]
fn a_request_has_one_mebibyte_at_most_with_its_newline() {
    let stage = Stage::set();
    let mut face = stage.face();
    let request = r#"{"jsonrpc":"2.0","id":1,"method":"stop"}"#;
    let padded = |bytes: usize| format!("{request}{}", " ".repeat(bytes - request.len() - 1));
    assert_eq!(face.ask(&padded(1024 * 1024))["result"], json!({}));
    // what comes after the refusal may not be taken any more
    let _ = writeln!(face.0.get_mut(), "{}", padded(1024 * 1024 + 1));
    assert_eq!(refusal(&face.hear()), (-32_600, &Value::Null));
}

#[test]
fn a_request_whose_newline_never_comes_is_refused_and_not_carried_out() {
    let stage = Stage::set();
    let mut face = stage.face();
    let request = r#"{"jsonrpc":"2.0","id":1,"method":"stop"}"#;
    face.0.get_mut().write_all(request.as_bytes()).unwrap();
    face.0.get_mut().shutdown(Shutdown::Write).unwrap();
    assert_eq!(refusal(&face.hear()), (-32_600, &Value::Null));
}

#[test]
fn a_line_without_end_is_refused_and_ends_the_connection() {
    let stage = Stage::set();
    let mut face = stage.face();
    // what comes after the refusal may not be taken any more
    let _ = face.0.get_mut().write_all(&vec![b' '; 1024 * 1024]);
    assert_eq!(refusal(&face.hear()), (-32_600, &Value::Null));
    let mut rest = Vec::new();
    assert_eq!(face.0.read_to_end(&mut rest).unwrap_or(0), 0);
}

#[test]
fn notifications_get_no_answer_also_when_they_fail() {
    let stage = Stage::set();
    let mut face = stage.face();
    face.say(r#"{"jsonrpc":"2.0","method":"ack","params":{"seq":1}}"#);
    face.say(r#"{"jsonrpc":"2.0","method":"nothing"}"#);
    face.say(r#"{"jsonrpc":"2.0","method":"ack","params":[1]}"#);
    face.say(r#"{"jsonrpc":"2.0","method":"ack","params":{"seq":-1}}"#);
    face.say(r#"[{"jsonrpc":"2.0","method":"id"},{"jsonrpc":"2.0","method":"nothing"}]"#);
    let answer = face.ask(r#"{"jsonrpc":"2.0","id":"last","method":"stop"}"#);
    assert_eq!(answer["id"], "last");
}

#[test]
fn a_batch_is_answered_together_and_has_at_most_64_requests() {
    let stage = Stage::set();
    let mut face = stage.face();
    let answer = face.ask(
        r#"[{"jsonrpc":"2.0","id":1,"method":"id"},1,{"jsonrpc":"2.0","method":"id"},
            {"jsonrpc":"2.0","id":1,"method":"stop"}]"#
            .replace('\n', " ")
            .as_str(),
    );
    let mut ids: Vec<String> = answer
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["id"].to_string())
        .collect();
    ids.sort();
    assert_eq!(ids, ["1", "1", "null"], "{answer}");
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "stop"});
    let of = |count| Value::Array(vec![request.clone(); count]).to_string();
    assert_eq!(face.ask(&of(64)).as_array().unwrap().len(), 64);
    assert_eq!(refusal(&face.ask(&of(65))), (-32_600, &Value::Null));
}

#[test]
fn a_wait_holds_nothing_up_and_the_65th_request_under_way_is_refused() {
    let stage = Stage::set();
    let mut face = stage.face();
    face.say(WAITING);
    let answer = face.ask(r#"{"jsonrpc":"2.0","id":"stop","method":"stop"}"#);
    assert_eq!(answer["id"], "stop");
    for _ in 1..64 {
        face.say(WAITING);
    }
    stage.client.wait_until_waiting(64);
    let refused = face.ask(r#"{"jsonrpc":"2.0","id":"more","method":"stop"}"#);
    assert_eq!(refusal(&refused), (-32_000, &json!("more")));
    stage.client.emit(1);
    for _ in 0..64 {
        assert_eq!(face.hear()["id"], "wait");
    }
    assert_eq!(
        face.ask(r#"{"jsonrpc":"2.0","id":"now","method":"stop"}"#)["id"],
        "now"
    );
}

#[test]
fn what_is_refused_of_a_batch_takes_no_room_and_gives_none() {
    let stage = Stage::set();
    let mut face = stage.face();
    for _ in 0..63 {
        face.say(WAITING);
    }
    stage.client.wait_until_waiting(63);
    // what fails at once was never under way
    let answer = face.ask(r#"[17,{"jsonrpc":"2.0","id":1,"method":"nothing"}]"#);
    assert_eq!(answer.as_array().unwrap().len(), 2, "{answer}");
    // there is room for one of two
    let two = format!("[{WAITING},{WAITING}]").replace("\"wait\"", "\"two\"");
    face.say(&two);
    stage.client.wait_until_waiting(64);
    let refused = face.ask(r#"{"jsonrpc":"2.0","id":"more","method":"stop"}"#);
    assert_eq!(refusal(&refused), (-32_000, &json!("more")));
    let refused = face.ask(r#"[{"jsonrpc":"2.0","id":"more","method":"stop"}]"#);
    assert_eq!(refusal(&refused[0]), (-32_000, &json!("more")));
    let refused = face.ask(r#"{"jsonrpc":"2.0","id":"still","method":"stop"}"#);
    assert_eq!(refusal(&refused), (-32_000, &json!("still")));
    // a notification for which there is no room has no answer either
    face.say(r#"{"jsonrpc":"2.0","method":"stop"}"#);
    stage.client.emit(1);
    let (mut waited, mut batch) = (0, Value::Null);
    for _ in 0..64 {
        match face.hear() {
            answer if answer["id"] == "wait" => waited += 1,
            answer => batch = answer,
        }
    }
    assert_eq!(waited, 63);
    let mut of_two: Vec<bool> = batch
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| answer["error"]["code"] == -32_000)
        .collect();
    of_two.sort_unstable();
    assert_eq!(of_two, [false, true], "{batch}");
}
