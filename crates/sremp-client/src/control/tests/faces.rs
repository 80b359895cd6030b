//! Faces that come, leave, or take nothing.

use super::*;

#[test]
fn a_face_that_leaves_waits_no_more() {
    let stage = Stage::set();
    let mut face = stage.face();
    face.say(WAITING);
    stage.client.wait_until_waiting(1);
    drop(face);
    stage.client.wait_until_waiting(0);
    // a face that only has nothing more to ask is answered
    let mut face = stage.face();
    face.say(WAITING);
    stage.client.wait_until_waiting(1);
    face.0.get_mut().shutdown(Shutdown::Write).unwrap();
    assert_eq!(face.hear()["result"]["upto"], 0);
}

#[test]
fn the_65th_face_is_told_why_it_is_turned_away() {
    let stage = Stage::set();
    let mut faces: Vec<Face> = (0..64).map(|_| stage.face()).collect();
    for face in &mut faces {
        face.ask(r#"{"jsonrpc":"2.0","id":1,"method":"stop"}"#);
    }
    let answer = stage.face().hear();
    assert_eq!(refusal(&answer), (-32_000, &Value::Null));
    let remote = Remote::connect(&stage.home()).unwrap().unwrap();
    let error = remote.call(&Command::Stop).unwrap_err();
    assert!(error.message.contains("64 faces"), "{error}");
}

/// A face that is served alone, and what tells that it no longer is.
fn served_alone(client: &Arc<Played>, patience: Duration) -> (Face, Receiver<()>) {
    let (face, stream) = UnixStream::pair().unwrap();
    face.set_read_timeout(Some(PATIENCE)).unwrap();
    let client: Arc<dyn Client> = client.clone();
    let serving = Serving {
        id: FaceId(7),
        client,
        hub: Arc::new(Hub::default()),
        hub_id: HUB,
        patience,
    };
    let (tell, told) = sync_channel(1);
    std::thread::spawn(move || {
        serving.run(&stream);
        tell.send(()).unwrap();
    });
    (Face(BufReader::new(face)), told)
}

const EVERYTHING: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"events","params":{"after":0,"limit":20000}}"#;

#[test]
fn a_face_that_takes_nothing_is_let_go_and_what_it_waits_for_with_it() {
    let client = Arc::new(Played::default());
    client.emit(20_000);
    let (mut face, let_go) = served_alone(&client, Duration::from_millis(50));
    let waiting = WAITING.replace("\"after\":0", "\"after\":20000");
    assert_ne!(waiting, WAITING);
    face.say(&waiting);
    client.wait_until_waiting(1);
    // more than a socket takes
    face.say(EVERYTHING);
    let_go.recv_timeout(PATIENCE).unwrap();
    client.wait_until_waiting(0);
    // what it had taken is whole lines and a rest
    let mut rest = Vec::new();
    face.0.read_to_end(&mut rest).unwrap();
    assert!(!rest.is_empty() && !rest.ends_with(b"\n"));
}

#[test]
fn a_face_that_leaves_in_the_middle_of_an_answer_is_served_no_longer() {
    let client = Arc::new(Played::default());
    client.emit(20_000);
    let (mut face, let_go) = served_alone(&client, 2 * PATIENCE);
    face.say(EVERYTHING);
    let mut start = [0; 100];
    face.0.get_mut().read_exact(&mut start).unwrap();
    assert!(start.starts_with(b"{"));
    drop(face);
    let_go.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn a_client_that_ends_answers_what_is_under_way() {
    let stage = Stage::set();
    let mut face = stage.face();
    face.say(WAITING);
    stage.client.wait_until_waiting(1);
    // the engine is gone: its questions are dropped
    stage.client.state.lock().unwrap().waiting.clear();
    assert_eq!(refusal(&face.hear()), (-32_001, &json!("wait")));
}
