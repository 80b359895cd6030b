//! The task of one link: pump, commands, admission, events.

use std::{collections::VecDeque, sync::Arc};

use sremp_core::{
    channel::{Admission, Direction, Event},
    error::ErrorCode,
    id::ContactId,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{oneshot, watch},
};

use crate::{
    CloseReason, LinkCommand, LinkEvent, LinkHandle, LinkId, gate::Permit, link::Commands,
    network::Shared, pump::Pump,
};

/// Below this many bytes in the channel's queue, commands are taken.
pub(crate) const LOW_WATER: usize = 64 * 1024;

/// A link and everything that it owns.
pub(crate) struct LinkTask<S> {
    pub(crate) link: LinkId,
    pub(crate) direction: Direction,
    pub(crate) pump: Pump<S>,
    pub(crate) commands: Commands,
    pub(crate) handle: Option<LinkHandle>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) shutdown: watch::Receiver<Option<ErrorCode>>,
    /// Of an inbound link, until it is open.
    pub(crate) permit: Option<Permit>,
}

/// What the owner has not been told yet, and what it has.
#[derive(Default)]
struct Told {
    events: VecDeque<LinkEvent>,
    answer: Option<oneshot::Receiver<Admission>>,
    peer: Option<ContactId>,
    reason: Option<CloseReason>,
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> LinkTask<S> {
    /// Runs the link to its end.
    pub(crate) async fn run(self) {
        self.run_with(Told::default()).await;
    }

    /// Runs a link whose channel has said `first` already.
    pub(crate) async fn run_from(mut self, first: Event) {
        let mut told = Told::default();
        self.tell(first, &mut told);
        self.run_with(told).await;
    }

    async fn run_with(mut self, mut told: Told) {
        let events = self.shared.events.clone();
        let mut going_away = false;
        loop {
            let done = self.pump.is_done();
            self.collect(&mut told);
            if done && told.events.is_empty() {
                break;
            }
            let open_for_commands =
                told.reason.is_none() && self.pump.channel.queued_bytes() < LOW_WATER;
            let reads = told.events.is_empty();
            let now = self.shared.clock.now();
            tokio::select! {
                // The owner is told before more is read, so a slow owner slows the peer.
                permit = events.reserve(), if !told.events.is_empty() => {
                    let event = told.events.pop_front();
                    match (permit, event) {
                        (Ok(permit), Some(event)) => permit.send(event),
                        _ => {
                            told.events.clear();
                            self.pump.channel.close(now, ErrorCode::GoingAway);
                        }
                    }
                }
                stepped = self.pump.step(reads), if !done => {
                    if let Err(kind) = stepped {
                        told.reason.get_or_insert(CloseReason::Io(kind));
                        self.pump.channel.handle_eof(now);
                    }
                }
                admission = answered(&mut told.answer), if told.answer.is_some() => {
                    told.answer = None;
                    self.pump.channel.handle_admission(now, admission);
                }
                command = self.commands.next(), if open_for_commands => self.obey(command),
                () = events.closed(), if !going_away => {
                    going_away = true;
                    self.pump.channel.close(now, ErrorCode::GoingAway);
                }
                code = asked_to_leave(&mut self.shutdown), if !going_away => {
                    going_away = true;
                    // what was queued before still goes out
                    while let Some(command) = self.commands.try_next() {
                        self.obey(command);
                    }
                    self.pump.channel.close(now, code);
                }
            }
        }
        let linger = matches!(told.reason, Some(CloseReason::Own(_)));
        self.pump.finish(linger).await;
    }

    fn obey(&mut self, command: LinkCommand) {
        let now = self.shared.clock.now();
        match command {
            LinkCommand::Send(message) => {
                // there is room and the size was checked, so this fails on a closed link only,
                // and then the owner hears of the end of the link
                let _ = self.pump.channel.send(&message);
            }
            LinkCommand::Probe => self.pump.channel.probe(now, &mut rand::rng()),
            LinkCommand::Close(code) => self.pump.channel.close(now, code),
        }
    }

    /// Takes the channel's events over into those for the owner.
    fn collect(&mut self, told: &mut Told) {
        while let Some(event) = self.pump.channel.poll_event() {
            self.tell(event, told);
        }
    }

    fn tell(&mut self, event: Event, told: &mut Told) {
        let (link, direction) = (self.link, self.direction);
        let event = match event {
            Event::Shown { identity, intro } => {
                let Some(handle) = self.handle.clone() else {
                    return;
                };
                let (answer, receiver) = oneshot::channel();
                told.peer = Some(identity.id());
                told.answer = Some(receiver);
                LinkEvent::Shown {
                    link,
                    direction,
                    identity,
                    intro,
                    handle,
                    answer,
                }
            }
            Event::Opened { peer } => {
                self.permit = None;
                let binding = self.pump.channel.handshake_hash().copied();
                let (Some(handle), Some(channel_binding)) = (self.handle.take(), binding) else {
                    return;
                };
                LinkEvent::Opened {
                    link,
                    direction,
                    peer,
                    channel_binding,
                    handle,
                }
            }
            Event::Message(message) => LinkEvent::Message { link, message },
            Event::Pong => LinkEvent::Pong { link },
            Event::Closed(reason) => return self.closed(told, reason.into()),
        };
        told.events.push_back(event);
    }

    fn closed(&mut self, told: &mut Told, reason: CloseReason) {
        let reason = told.reason.get_or_insert(reason).clone();
        told.answer = None;
        if self.permit.take().is_some() {
            self.shared.count(&reason);
        }
        // strangers that never said who they are are counted, not told
        if self.direction == Direction::Outbound || told.peer.is_some() {
            told.events.push_back(LinkEvent::Closed {
                link: self.link,
                peer: told.peer,
                reason,
            });
        }
    }
}

/// The owner's answer; without one the peer is refused.
async fn answered(answer: &mut Option<oneshot::Receiver<Admission>>) -> Admission {
    let refuse = Admission::Close(ErrorCode::Refused);
    match answer {
        Some(answer) => answer.await.unwrap_or(refuse),
        None => std::future::pending().await,
    }
}

/// Resolves when the network shuts down.
pub(crate) async fn asked_to_leave(shutdown: &mut watch::Receiver<Option<ErrorCode>>) -> ErrorCode {
    match shutdown.wait_for(Option::is_some).await {
        Ok(code) => code.unwrap_or(ErrorCode::GoingAway),
        Err(_) => ErrorCode::GoingAway,
    }
}
