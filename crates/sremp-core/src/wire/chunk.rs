//! Chunks: messages that do not fit one frame (D1.13).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{
    constants::{
        CHUNK_HEADER_LEN, CHUNK_SIZE, MAX_CHUNKS, MAX_MESSAGE, MAX_PLAIN, MAX_REASSEMBLIES,
        MAX_REASSEMBLY_BYTES, MAX_REASSEMBLY_BYTES_PROCESS, REASSEMBLY_IDLE_TIMEOUT,
        REASSEMBLY_TIMEOUT, REASSEMBLY_WINDOW,
    },
    error::ErrorCode,
    time::Tick,
};

/// The header of a chunk, 14 bytes little-endian, behind the type byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkHeader {
    /// Counts the chunked messages of one direction of one connection, from 0.
    pub message_id: u64,
    /// Which chunk, from 0.
    pub chunk_index: u16,
    /// How many chunks the message has, the same in all of them.
    pub total_chunks: u16,
    /// Bytes that follow the header.
    pub chunk_size: u16,
}

impl ChunkHeader {
    /// The header as on the wire.
    pub fn to_bytes(self) -> [u8; CHUNK_HEADER_LEN] {
        let mut bytes = [0; CHUNK_HEADER_LEN];
        let fields = self
            .message_id
            .to_le_bytes()
            .into_iter()
            .chain(self.chunk_index.to_le_bytes())
            .chain(self.total_chunks.to_le_bytes())
            .chain(self.chunk_size.to_le_bytes());
        bytes
            .iter_mut()
            .zip(fields)
            .for_each(|(to, from)| *to = from);
        bytes
    }

    /// Reads a header and returns the payload behind it. Only the form is checked here.
    pub fn split(chunk: &[u8]) -> Option<(Self, &[u8])> {
        let (message_id, rest) = chunk.split_first_chunk()?;
        let (chunk_index, rest) = rest.split_first_chunk()?;
        let (total_chunks, rest) = rest.split_first_chunk()?;
        let (chunk_size, payload) = rest.split_first_chunk()?;
        let header = Self {
            message_id: u64::from_le_bytes(*message_id),
            chunk_index: u16::from_le_bytes(*chunk_index),
            total_chunks: u16::from_le_bytes(*total_chunks),
            chunk_size: u16::from_le_bytes(*chunk_size),
        };
        Some((header, payload))
    }

    fn is_last(self) -> bool {
        self.chunk_index.checked_add(1) == Some(self.total_chunks)
    }

    fn check(self, payload: &[u8]) -> Result<(), ErrorCode> {
        let size = payload.len();
        let size_ok = if self.is_last() {
            (1..=CHUNK_SIZE).contains(&size)
        } else {
            size == CHUNK_SIZE
        };
        if usize::from(self.chunk_size) != size
            || !size_ok
            || !(2..=MAX_CHUNKS).contains(&self.total_chunks)
            || self.chunk_index >= self.total_chunks
        {
            return Err(ErrorCode::ChunkInvalid);
        }
        Ok(())
    }
}

/// Cuts one message into chunks, one at a time.
#[derive(Debug)]
pub struct ChunkWriter {
    message: Vec<u8>,
    message_id: u64,
    next: u16,
    total: u16,
}

impl ChunkWriter {
    /// Starts on an encoded message, which is longer than a frame and at most [`MAX_MESSAGE`].
    ///
    /// # Errors
    /// [`ErrorCode::TooLarge`] beyond [`MAX_MESSAGE`], [`ErrorCode::ChunkInvalid`] for a message
    /// that fits a frame.
    pub fn new(message: Vec<u8>, message_id: u64) -> Result<Self, ErrorCode> {
        if message.len() > MAX_MESSAGE {
            return Err(ErrorCode::TooLarge);
        }
        if fits_a_frame(message.len()) {
            return Err(ErrorCode::ChunkInvalid);
        }
        let total = u16::try_from(message.len().div_ceil(CHUNK_SIZE));
        Ok(Self {
            message,
            message_id,
            next: 0,
            total: total.map_err(|_| ErrorCode::TooLarge)?,
        })
    }

    /// Bytes not yet handed out.
    pub fn remaining(&self) -> usize {
        self.message
            .len()
            .saturating_sub(usize::from(self.next).saturating_mul(CHUNK_SIZE))
    }
}

impl Iterator for ChunkWriter {
    type Item = Vec<u8>;

    /// The next chunk: header and payload, without the type byte.
    fn next(&mut self) -> Option<Vec<u8>> {
        let payload = self
            .message
            .chunks(CHUNK_SIZE)
            .nth(usize::from(self.next))?;
        let header = ChunkHeader {
            message_id: self.message_id,
            chunk_index: self.next,
            total_chunks: self.total,
            chunk_size: u16::try_from(payload.len()).ok()?,
        };
        self.next = self.next.checked_add(1)?;
        Some([header.to_bytes().as_slice(), payload].concat())
    }
}

/// Whether an encoded message goes into one frame, behind its type byte.
pub const fn fits_a_frame(len: usize) -> bool {
    len < MAX_PLAIN
}

/// The memory that all connections of a process share for reassembly.
#[derive(Clone, Debug, Default)]
pub struct ReassemblyBudget(Arc<AtomicUsize>);

impl ReassemblyBudget {
    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let within = |used: usize| {
            used.checked_add(bytes)
                .filter(|sum| *sum <= MAX_REASSEMBLY_BYTES_PROCESS)
        };
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, within)
            .is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Puts chunked messages of one connection together, in whatever order the chunks come.
///
/// Memory is taken per chunk that came, never for what a header announces.
#[derive(Debug)]
pub struct Reassembler {
    open: BTreeMap<u64, Partial>,
    /// Every id below is finished or dropped.
    floor: u64,
    /// Ids from `floor` that are finished or dropped.
    finished: BTreeSet<u64>,
    bytes: usize,
    budget: ReassemblyBudget,
}

#[derive(Debug)]
struct Partial {
    total: u16,
    chunks: BTreeMap<u16, Vec<u8>>,
    bytes: usize,
    first: Tick,
    last_new: Tick,
}

impl Partial {
    fn deadline(&self) -> Tick {
        let idle = self.last_new.plus(REASSEMBLY_IDLE_TIMEOUT);
        idle.min(self.first.plus(REASSEMBLY_TIMEOUT))
    }
}

impl Reassembler {
    /// A reassembler that shares `budget` with the other connections of the process.
    pub fn new(budget: ReassemblyBudget) -> Self {
        Self {
            open: BTreeMap::new(),
            floor: 0,
            finished: BTreeSet::new(),
            bytes: 0,
            budget,
        }
    }

    /// Bytes held.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a chunk, header and payload; returns the message when it is whole.
    ///
    /// # Errors
    /// The code to close the connection with: `CHUNK_INVALID` for a chunk that contradicts the
    /// rules or its message, `PROTOCOL_VIOLATION` for an id that was used or too many messages at
    /// once, `TOO_LARGE` beyond [`MAX_REASSEMBLY_BYTES`], `BUSY` when the process has no memory left.
    pub fn handle(&mut self, chunk: &[u8], now: Tick) -> Result<Option<Vec<u8>>, ErrorCode> {
        let (header, payload) = ChunkHeader::split(chunk).ok_or(ErrorCode::ChunkInvalid)?;
        header.check(payload)?;
        self.handle_timeout(now);
        if let Some(known) = self.open.get(&header.message_id) {
            if known.total != header.total_chunks {
                return Err(ErrorCode::ChunkInvalid);
            }
            if let Some(earlier) = known.chunks.get(&header.chunk_index) {
                let identical = earlier.as_slice() == payload;
                return identical.then_some(None).ok_or(ErrorCode::ChunkInvalid);
            }
        } else {
            self.check_new_id(header.message_id)?;
        }
        self.take_memory(payload.len())?;
        self.insert(header, payload, now)
    }

    fn check_new_id(&self, id: u64) -> Result<(), ErrorCode> {
        let used = id < self.floor || self.finished.contains(&id);
        let far = id.saturating_sub(self.floor) >= REASSEMBLY_WINDOW;
        if used || far || self.open.len() >= MAX_REASSEMBLIES {
            return Err(ErrorCode::ProtocolViolation);
        }
        Ok(())
    }

    fn take_memory(&mut self, bytes: usize) -> Result<(), ErrorCode> {
        let sum = self.bytes.saturating_add(bytes);
        if sum > MAX_REASSEMBLY_BYTES {
            return Err(ErrorCode::TooLarge);
        }
        if !self.budget.take(bytes) {
            return Err(ErrorCode::Busy);
        }
        self.bytes = sum;
        Ok(())
    }

    fn insert(
        &mut self,
        header: ChunkHeader,
        payload: &[u8],
        now: Tick,
    ) -> Result<Option<Vec<u8>>, ErrorCode> {
        let partial = self.open.entry(header.message_id).or_insert(Partial {
            total: header.total_chunks,
            chunks: BTreeMap::new(),
            bytes: 0,
            first: now,
            last_new: now,
        });
        partial.chunks.insert(header.chunk_index, payload.to_vec());
        partial.bytes = partial.bytes.saturating_add(payload.len());
        partial.last_new = now;
        if partial.chunks.len() < usize::from(partial.total) {
            return Ok(None);
        }
        let Some(whole) = self.forget(header.message_id) else {
            return Ok(None);
        };
        let mut message = Vec::with_capacity(whole.bytes);
        whole
            .chunks
            .values()
            .for_each(|c| message.extend_from_slice(c));
        if fits_a_frame(message.len()) {
            return Err(ErrorCode::ChunkInvalid);
        }
        Ok(Some(message))
    }

    /// Drops a message and remembers that its id is used.
    fn forget(&mut self, id: u64) -> Option<Partial> {
        let partial = self.open.remove(&id)?;
        self.bytes = self.bytes.saturating_sub(partial.bytes);
        self.budget.give_back(partial.bytes);
        self.finished.insert(id);
        while self.finished.remove(&self.floor) {
            self.floor = self.floor.saturating_add(1);
        }
        Some(partial)
    }

    /// Drops the messages whose time is up: 30 s after their last new chunk or 120 s after the first.
    pub fn handle_timeout(&mut self, now: Tick) {
        let expired = |(id, partial): (&u64, &Partial)| (partial.deadline() <= now).then_some(*id);
        let expired: Vec<u64> = self.open.iter().filter_map(expired).collect();
        for id in expired {
            self.forget(id);
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Tick> {
        self.open.values().map(Partial::deadline).min()
    }
}

impl Drop for Reassembler {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}
