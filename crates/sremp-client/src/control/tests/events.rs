//! Subscribers, and faces that do not read.

use super::*;

#[test]
fn subscribers_get_every_event_once_in_order_from_where_they_say() {
    let stage = Stage::set();
    stage.client.emit(1_500);
    let mut early = stage.subscriber(0);
    let mut late = stage.subscriber(1_490);
    let mut now = stage.subscriber(1_500);
    stage.client.emit(700);
    assert_eq!(early.seqs(2_200), (1..=2_200).collect::<Vec<_>>());
    assert_eq!(late.seqs(710), (1_491..=2_200).collect::<Vec<_>>());
    assert_eq!(now.seqs(700), (1_501..=2_200).collect::<Vec<_>>());
}

#[test]
fn whoever_ends_a_subscription_gets_nothing_more_until_it_begins_again() {
    let stage = Stage::set();
    let mut face = stage.subscriber(0);
    stage.client.emit(2);
    assert_eq!(face.seqs(2), [1, 2]);
    let answer = face.ask(r#"{"jsonrpc":"2.0","id":5,"method":"unsubscribe"}"#);
    assert_eq!(answer["id"], 5);
    // nobody reads events for nobody
    stage.client.wait_until_waiting(0);
    stage.client.emit(1);
    assert_eq!(
        face.ask(r#"{"jsonrpc":"2.0","id":6,"method":"stop"}"#)["id"],
        6
    );
    face.say(r#"{"jsonrpc":"2.0","id":7,"method":"subscribe","params":{"after":1}}"#);
    assert_eq!(face.hear()["id"], 7);
    assert_eq!(face.seqs(2), [2, 3]);
}

#[test]
fn faces_that_never_read_slow_nobody_and_the_engine_is_asked_once_for_all() {
    const FACES: usize = 50;
    let stage = Stage::set();
    let stuck = [stage.subscriber(0), stage.subscriber(0)];
    let mut faces: Vec<Face> = (0..FACES).map(|_| stage.subscriber(0)).collect();
    stage.client.wait_until_waiting(1);
    // ten batches, together more than a socket that nobody reads takes
    let started = Instant::now();
    for round in 0..10u64 {
        stage.client.emit(500);
        for face in &mut faces {
            let first = round * 500 + 1;
            assert_eq!(face.seqs(500), (first..first + 500).collect::<Vec<_>>());
        }
    }
    assert!(
        started.elapsed() < face::PATIENCE,
        "{:?}",
        started.elapsed()
    );
    let state = stage.client.state.lock().unwrap();
    let by_hub = state.pages.iter().filter(|face| **face == HUB).count();
    assert!(by_hub < 50, "{by_hub} pages for 5,000 events");
    assert!(
        state.pages.len() - by_hub <= FACES,
        "{} pages by faces",
        state.pages.len() - by_hub
    );
    drop(stuck);
}
