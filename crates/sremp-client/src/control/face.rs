//! One face at the socket: a thread reads what it asks, another writes answers and events.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;

use super::{
    Client, ask,
    desk::{Body, Desk, MAX_UNDER_WAY, Outgoing, Subscription},
    hub::{Hub, News},
    rpc::{Asked, Call, Id, Response, RpcError, line, notification, read},
};
use crate::{
    runtime::{Answer, FaceId, STOPPED},
    view::{Command, CommandError, ErrorKind, Reply},
};

/// Longest request in bytes: the largest text, escaped.
const MAX_REQUEST: u64 = 1024 * 1024;
/// A face that takes nothing for so long is let go.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Events written before answers have their turn again.
const EVENTS_A_TURN: usize = 256;

/// What serves one connection.
pub(super) struct Serving {
    pub(super) id: FaceId,
    pub(super) client: Arc<dyn Client>,
    pub(super) hub: Arc<Hub>,
    /// Who the hub is for the client.
    pub(super) hub_id: FaceId,
    /// How long a face may take nothing.
    pub(super) patience: Duration,
}

impl Serving {
    /// Serves until the face has left and what it asked is answered.
    pub(super) fn run(&self, stream: &UnixStream) {
        let desk = Arc::new(Desk::default());
        std::thread::scope(|scope| {
            let writing = std::thread::Builder::new().name("sremp-face-out".to_owned());
            let started = writing.spawn_scoped(scope, || {
                let _ = self.write(stream, &desk);
                desk.break_off();
                let _ = stream.shutdown(Shutdown::Both);
                self.end_subscription(&desk);
            });
            if started.is_ok() {
                let _ = self.read(stream, &desk);
            }
            desk.leave();
            self.client.left(self.id);
        });
    }

    fn read(&self, stream: &UnixStream, desk: &Arc<Desk>) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut request = Vec::new();
        while desk.wait_for_room() {
            request.clear();
            let n = (&mut reader)
                .take(MAX_REQUEST)
                .read_until(b'\n', &mut request)?;
            if n == 0 {
                return Ok(());
            }
            if !request.ends_with(b"\n") {
                refuse(desk, Value::Null, RpcError::unframed());
                return Ok(());
            }
            match read(&request) {
                Asked::One(call) => self.take_one(desk, call),
                Asked::Batch(calls) => self.take_batch(desk, calls),
            }
        }
        Ok(())
    }

    fn take_one(&self, desk: &Arc<Desk>, call: Call) {
        let command = match call.command {
            Ok(command) if desk.take_in(1) => command,
            Ok(_) => return refuse_some(desk, call.id, too_many_under_way()),
            Err(error) => return refuse_some(desk, call.id, error),
        };
        let batch = Batch::of(desk, 1, false);
        self.submit(&batch, call.id, command);
    }

    fn take_batch(&self, desk: &Arc<Desk>, calls: Vec<Call>) {
        let batch = Batch::of(desk, calls.len(), true);
        for call in calls {
            match call.command {
                Ok(command) if desk.take_in(1) => self.submit(&batch, call.id, command),
                Ok(_) => batch.answer(call.id, Err(too_many_under_way()), 0),
                Err(error) => batch.answer(call.id, Err(error), 0),
            }
        }
    }

    fn submit(&self, batch: &Arc<Batch>, id: Option<Id>, command: Command) {
        let pending = Pending {
            batch: Arc::clone(batch),
            id: Some(id),
            ends_subscription: command == Command::Unsubscribe,
        };
        let respond = Box::new(move |answer| pending.answer(answer));
        self.client.ask(self.id, command, respond);
    }

    fn write(&self, mut stream: &UnixStream, desk: &Arc<Desk>) -> io::Result<()> {
        stream.set_write_timeout(Some(self.patience))?;
        let mut place = None;
        let mut more = false;
        loop {
            let turn = desk.turn(more);
            for outgoing in turn.outgoing {
                match outgoing.body {
                    Body::Nothing => {}
                    Body::One(response) => stream.write_all(&line(&response)?)?,
                    Body::Batch(responses) => stream.write_all(&line(&responses)?)?,
                }
                match outgoing.then {
                    None => {}
                    Some(Subscription::End) => {
                        self.end_subscription(desk);
                        place = None;
                    }
                    Some(Subscription::After { after, last }) => {
                        // again: from another place
                        if place.is_none() {
                            self.hub.subscribe(desk, last);
                        }
                        place = Some(after);
                    }
                }
            }
            if turn.over {
                return Ok(());
            }
            more = match &mut place {
                Some(place) => self.pass_on(stream, place)?,
                None => false,
            };
        }
    }

    /// Writes some of the events after a place; tells whether there may be more.
    fn pass_on(&self, mut stream: &UnixStream, place: &mut u64) -> io::Result<bool> {
        match self.hub.after(*place, EVENTS_A_TURN) {
            News::Nothing => Ok(false),
            News::Lines(lines, upto) => {
                stream.write_all(&lines.concat())?;
                *place = upto;
                Ok(true)
            }
            News::Behind(base) => {
                let page = Command::Events {
                    after: Some(*place),
                    limit: u32::try_from(EVENTS_A_TURN).unwrap_or(u32::MAX),
                    wait_ms: 0,
                };
                let Ok(Reply::Events { events, upto }) = ask(&self.client, self.id, page) else {
                    // it attaches again, and has lost nothing
                    return Err(io::ErrorKind::Other.into());
                };
                let lines: Result<Vec<_>, _> = events.iter().map(notification).collect();
                stream.write_all(&lines?.concat())?;
                *place = match upto > *place {
                    true => upto,
                    false => base,
                };
                Ok(true)
            }
        }
    }

    fn end_subscription(&self, desk: &Arc<Desk>) {
        if self.hub.unsubscribe(desk) {
            self.client.left(self.hub_id);
        }
    }
}

fn too_many_under_way() -> RpcError {
    RpcError::too_many(format!(
        "{MAX_UNDER_WAY} requests of this connection are under way; wait for an answer"
    ))
}

fn refuse_some(desk: &Desk, id: Option<Id>, error: RpcError) {
    if let Some(id) = id {
        refuse(desk, id, error);
    }
}

fn refuse(desk: &Desk, id: Id, error: RpcError) {
    desk.put(Outgoing {
        body: Body::One(Box::new(Response::new(id, Err(error)))),
        then: None,
        answers: 0,
    });
}

/// Requests that are answered together.
struct Batch {
    desk: Arc<Desk>,
    /// Answered as an array.
    several: bool,
    state: Mutex<Collected>,
}

struct Collected {
    missing: usize,
    answers: usize,
    responses: Vec<Response>,
    then: Option<Subscription>,
}

impl Batch {
    fn of(desk: &Arc<Desk>, missing: usize, several: bool) -> Arc<Self> {
        Arc::new(Self {
            desk: Arc::clone(desk),
            several,
            state: Mutex::new(Collected {
                missing,
                answers: 0,
                responses: Vec::new(),
                then: None,
            }),
        })
    }

    /// The outcome of one request, which was one of `taken` under way.
    fn answer(&self, id: Option<Id>, outcome: Result<Reply, RpcError>, taken: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(Reply::Subscribed(view)) = &outcome {
            let (after, last) = (view.after, view.last);
            state.then = Some(Subscription::After { after, last });
        }
        state
            .responses
            .extend(id.map(|id| Response::new(id, outcome)));
        state.answers += taken;
        state.missing = state.missing.saturating_sub(1);
        if state.missing > 0 {
            return;
        }
        let responses = std::mem::take(&mut state.responses);
        let body = match self.several {
            _ if responses.is_empty() => Body::Nothing,
            true => Body::Batch(responses),
            false => responses
                .into_iter()
                .next()
                .map_or(Body::Nothing, |one| Body::One(Box::new(one))),
        };
        self.desk.put(Outgoing {
            body,
            then: state.then.take(),
            answers: state.answers,
        });
    }
}

/// A request that the client has. If it is dropped unanswered, the client has ended.
struct Pending {
    batch: Arc<Batch>,
    /// `None` once it is answered.
    id: Option<Option<Id>>,
    ends_subscription: bool,
}

impl Pending {
    fn answer(mut self, answer: Answer) {
        self.finish(answer);
    }

    fn finish(&mut self, answer: Answer) {
        let Some(id) = self.id.take() else { return };
        if self.ends_subscription && answer.is_ok() {
            let mut state = self.batch.state.lock();
            let state = state.as_mut().map_err(|e| e.get_mut());
            match state {
                Ok(state) => state.then = Some(Subscription::End),
                Err(state) => state.then = Some(Subscription::End),
            }
        }
        self.batch.answer(id, answer.map_err(RpcError::from), 1);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.finish(Err(CommandError::new(ErrorKind::Failed, STOPPED)));
    }
}
