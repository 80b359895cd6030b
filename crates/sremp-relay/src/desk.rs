//! The one reader: fetches what is behind, so that neither connections nor commits wait for it.

use std::{
    sync::{Arc, mpsc::Receiver},
    thread,
};

use serde_bytes::ByteBuf;
use sremp_core::{
    constants::MAX_BATCH_BYTES,
    error::ErrorCode,
    relay::{Cursor, MessageBatch, RelayMessage, Retrieve, StoredMessage},
};

use crate::{
    answer::To,
    mailbox::{Item, MailboxReader, Page, Route, StoreError},
    seats::Seat,
    service::Inner,
};

/// Confirmations of one push.
const MAX_PUSHED: usize = 128;

/// Something to be read.
#[derive(Debug)]
pub(crate) enum Job {
    /// What is next of a mailbox, for its subscriber.
    Feed(Arc<Seat>),
    /// What is next of the confirmations that wait for somebody.
    Confirmations(Arc<Seat>),
    /// A page.
    Page(To, Retrieve),
    /// The end.
    Stop,
}

/// Starts the thread.
pub(crate) fn spawn<R: MailboxReader>(
    queue: Receiver<Job>,
    inner: Arc<Inner<R>>,
) -> std::io::Result<thread::JoinHandle<()>> {
    let named = thread::Builder::new().name("sremp-read".to_owned());
    named.spawn(move || {
        while let Ok(job) = queue.recv() {
            match job {
                Job::Feed(seat) => feed(&inner, &seat),
                Job::Confirmations(seat) => confirmations(&inner, &seat),
                Job::Page(to, retrieve) => page(&inner, &to, &retrieve),
                Job::Stop => return,
            }
        }
    })
}

fn feed<R: MailboxReader>(inner: &Arc<Inner<R>>, seat: &Arc<Seat>) {
    let Some(wanted) = seat.feed.begin_reading(inner.clock.tick()) else {
        return;
    };
    let bytes = wanted.room.bytes.min(MAX_BATCH_BYTES);
    let read = inner
        .reader
        .page(&seat.key(), wanted.after, wanted.room.items, bytes);
    match read {
        Ok(page) => {
            let items = page.items.into_iter().map(stored_message).collect();
            let now = inner.clock.tick();
            let (pushed, again) = seat.feed.read(seat, items, page.more, now);
            inner.metrics.delivered.inc_by(pushed);
            if again {
                inner.read_feed(seat);
            }
        }
        Err(error) => {
            failed(inner, &error);
            seat.feed.failed();
        }
    }
}

fn confirmations<R: MailboxReader>(inner: &Arc<Inner<R>>, seat: &Arc<Seat>) {
    let Some(after) = seat.lane.begin_reading() else {
        return;
    };
    match inner
        .reader
        .waiting(&Route::Sender(seat.key()), after, MAX_PUSHED)
    {
        Ok(waiting) => {
            let more = waiting.len() >= MAX_PUSHED;
            let list: Vec<_> = waiting
                .into_iter()
                .map(|w| (w.id, w.confirmation))
                .collect();
            inner.metrics.confirmations.inc_by(list.len() as u64);
            if seat.lane.read(seat, list, more) {
                inner.read_confirmations(seat);
            }
        }
        Err(error) => {
            failed(inner, &error);
            seat.lane.failed();
        }
    }
}

fn page<R: MailboxReader>(inner: &Arc<Inner<R>>, to: &To, retrieve: &Retrieve) {
    let read = read_page(&inner.reader, retrieve);
    match read {
        Ok(batch) => {
            inner.metrics.delivered.inc_by(batch.messages.len() as u64);
            to.seat.send(&RelayMessage::MessageBatch(batch), to.req_id);
        }
        Err(error) => {
            failed(inner, &error);
            to.seat.refuse(to.req_id, ErrorCode::Full, 60);
        }
    }
}

fn read_page<R: MailboxReader>(
    reader: &R,
    retrieve: &Retrieve,
) -> Result<MessageBatch, StoreError> {
    let bytes = usize::try_from(retrieve.max_bytes).unwrap_or(MAX_BATCH_BYTES);
    let Page { items, more, next } = reader.page(
        &retrieve.identity,
        retrieve.after,
        retrieve.max_items.into(),
        bytes,
    )?;
    let wanted = |item: &Item| retrieve.since.is_none_or(|since| item.stored_at >= since);
    Ok(MessageBatch {
        messages: items
            .into_iter()
            .filter(wanted)
            .map(stored_message)
            .collect(),
        has_more: more,
        next: next.max(retrieve.after),
    })
}

fn failed<R: MailboxReader>(inner: &Inner<R>, error: &StoreError) {
    inner.metrics.refuse("reading the store");
    tracing::error!(%error, "a mailbox could not be read");
}

fn stored_message(item: Item) -> StoredMessage {
    StoredMessage {
        message_id: item.message_id,
        sender: item.sender,
        timestamp: item.stored_at,
        encrypted_blob: ByteBuf::from(item.blob),
        cursor: item.cursor,
    }
}

/// Whether a subscriber claims to have read what was never there.
pub(crate) fn is_beyond<R: MailboxReader>(reader: &R, seat: &Seat, after: Cursor) -> bool {
    let head = reader
        .mailbox(&seat.key())
        .map_or(Cursor::START, |m| m.head);
    after > head
}
