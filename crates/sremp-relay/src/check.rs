//! The one checker: signatures of messages that have many, so that neither the tasks of other
//! connections nor commits wait for them; and receipts that are signed while the disk writes. What waits here is bounded, and so is what of the
//! machine's processors it can use.

use std::{
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use sremp_core::{channel::Message, relay::ServerConnection};

use crate::{
    clock::Clock, mailbox::MailboxReader, receipt::ReceiptAhead, requests::Requests, seats::Seat,
    service::Inner,
};

/// Messages that wait, each of at most 180 KiB. One connection has no more than a quarter of them
/// (its open requests), and one address fewer than that (the price of signatures).
const WAITING: usize = 256;

/// Something to be checked.
#[derive(Debug)]
pub(crate) enum Check {
    /// A message, for the connection as it was when the message came.
    Message {
        seat: Arc<Seat>,
        machine: Box<ServerConnection>,
        message: Message,
    },
    /// Nothing to be checked: a receipt to be signed.
    Receipt(Arc<ReceiptAhead>),
    /// The end.
    Stop,
}

/// Where it is handed in.
pub(crate) fn queue() -> (SyncSender<Check>, Receiver<Check>) {
    sync_channel(WAITING)
}

/// Starts the thread.
pub(crate) fn spawn<R: MailboxReader>(
    queue: Receiver<Check>,
    inner: Arc<Inner<R>>,
) -> std::io::Result<thread::JoinHandle<()>> {
    let named = thread::Builder::new().name("sremp-check".to_owned());
    named.spawn(move || {
        while let Ok(check) = queue.recv() {
            match check {
                Check::Message {
                    seat,
                    machine,
                    message,
                } => {
                    let handled = machine.handle(&message, Clock::wall());
                    let requests = Requests {
                        inner: inner.clone(),
                        seat,
                    };
                    if let Err(code) = requests.take(message.req_id, handled) {
                        requests.seat.close(code);
                    }
                    requests.seat.checking.fetch_sub(1, Ordering::Relaxed);
                }
                Check::Receipt(ahead) => {
                    ahead.sign(&inner.identity);
                }
                Check::Stop => return,
            }
        }
    })
}
