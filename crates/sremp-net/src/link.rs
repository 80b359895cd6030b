//! Links: their names, and the commands to them.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use sremp_core::{
    channel::Message,
    constants::{MAX_MESSAGE, WRITE_QUEUE},
    error::ErrorCode,
};
use tokio::sync::mpsc;

/// Names a link within this process, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub(crate) u64);

impl LinkId {
    /// A link of a simulated network.
    pub const fn simulated(number: u64) -> Self {
        Self(number)
    }
}

impl std::fmt::Display for LinkId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "link {}", self.0)
    }
}

/// A command to a link.
#[derive(Clone, Debug)]
pub enum LinkCommand {
    /// Send a message, as soon as the link is open.
    Send(Message),
    /// Ask whether the peer is there; `Pong` is the answer. Without effect before the link is open.
    Probe,
    /// Send what is queued, then CLOSE with this code.
    Close(ErrorCode),
}

/// Why a command was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotQueued {
    /// [`WRITE_QUEUE`] bytes wait already.
    Full,
    /// Encoded longer than [`MAX_MESSAGE`]: it is a file.
    TooLarge,
    /// The link has ended.
    Closed,
}

impl std::fmt::Display for NotQueued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Full => "too much waits to be sent on this link",
            Self::TooLarge => "the message is larger than 4 MiB",
            Self::Closed => "the link is closed",
        })
    }
}

impl std::error::Error for NotQueued {}

/// What a queued command costs beside a message's body, in bytes; more than a message's header.
const OVERHEAD: usize = 64;

/// Sends commands to one link. When the last handle is dropped the link closes with `GOING_AWAY`.
#[derive(Clone)]
pub struct LinkHandle {
    link: LinkId,
    queue: mpsc::UnboundedSender<LinkCommand>,
    /// Bytes that wait in `queue`, which they bound.
    queued: Arc<AtomicUsize>,
}

impl LinkHandle {
    /// Which link.
    pub const fn link(&self) -> LinkId {
        self.link
    }

    /// Queues a command.
    ///
    /// # Errors
    /// [`NotQueued`]; the command is dropped then. `Close` is never refused for want of room.
    pub fn try_send(&self, command: LinkCommand) -> Result<(), NotQueued> {
        let cost = cost(&command);
        if cost > MAX_MESSAGE {
            return Err(NotQueued::TooLarge);
        }
        let always = matches!(command, LinkCommand::Close(_));
        // an empty queue takes any message, else one larger than the queue could never leave
        let fits = |queued: usize| {
            let sum = queued.saturating_add(cost);
            (always || queued == 0 || sum <= WRITE_QUEUE).then_some(sum)
        };
        self.queued
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .map_err(|_| NotQueued::Full)?;
        self.queue.send(command).map_err(|_| NotQueued::Closed)
    }
}

impl std::fmt::Debug for LinkHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LinkHandle({})", self.link)
    }
}

fn cost(command: &LinkCommand) -> usize {
    match command {
        LinkCommand::Send(message) => message.body.len().saturating_add(OVERHEAD),
        LinkCommand::Probe | LinkCommand::Close(_) => OVERHEAD,
    }
}

/// The other end of the handles.
#[derive(Debug)]
pub(crate) struct Commands {
    queue: mpsc::UnboundedReceiver<LinkCommand>,
    queued: Arc<AtomicUsize>,
    /// Taken from the queue before there was a channel to give them to.
    waiting: VecDeque<LinkCommand>,
}

impl Commands {
    pub(crate) fn new(link: LinkId) -> (LinkHandle, Self) {
        let (sender, queue) = mpsc::unbounded_channel();
        let queued = Arc::<AtomicUsize>::default();
        let handle = LinkHandle {
            link,
            queue: sender,
            queued: queued.clone(),
        };
        let commands = Self {
            queue,
            queued,
            waiting: VecDeque::new(),
        };
        (handle, commands)
    }

    /// The next command; when every handle is gone, to close. Safe to cancel.
    pub(crate) async fn next(&mut self) -> LinkCommand {
        if let Some(command) = self.waiting.pop_front() {
            self.release(&command);
            return command;
        }
        match self.queue.recv().await {
            Some(command) => {
                self.release(&command);
                command
            }
            None => LinkCommand::Close(ErrorCode::GoingAway),
        }
    }

    /// A command that waits already.
    pub(crate) fn try_next(&mut self) -> Option<LinkCommand> {
        let waiting = self.waiting.pop_front();
        let command = waiting.or_else(|| self.queue.try_recv().ok())?;
        self.release(&command);
        Some(command)
    }

    /// Resolves with the code when the link is to be closed; other commands keep waiting, and
    /// count. Safe to cancel.
    pub(crate) async fn closed(&mut self) -> ErrorCode {
        loop {
            match self.queue.recv().await {
                Some(LinkCommand::Close(code)) => return code,
                Some(command) => self.waiting.push_back(command),
                None => return ErrorCode::GoingAway,
            }
        }
    }

    fn release(&self, command: &LinkCommand) {
        self.queued.fetch_sub(cost(command), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(len: usize) -> LinkCommand {
        LinkCommand::Send(Message {
            msg_type: 1,
            req_id: 0,
            body: vec![0x90; len],
        })
    }

    #[tokio::test]
    async fn a_queue_is_full_at_its_bound_and_close_still_gets_through() {
        let (handle, mut commands) = Commands::new(LinkId(1));
        let mut taken = 0;
        while handle.try_send(send(64 * 1024)).is_ok() {
            taken += 1;
        }
        assert_eq!(taken, 15);
        assert_eq!(handle.try_send(send(64 * 1024)), Err(NotQueued::Full));
        let close = LinkCommand::Close(ErrorCode::GoingAway);
        assert_eq!(handle.try_send(close.clone()), Ok(()));
        assert_eq!(commands.closed().await, ErrorCode::GoingAway);
        commands.next().await;
        assert_eq!(handle.try_send(send(1024)), Ok(()));
        drop(commands);
        assert_eq!(handle.try_send(close), Err(NotQueued::Closed));
    }
}
