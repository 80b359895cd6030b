//! Bytes as they come from a socket, before anything is authenticated, and frames behind it.

use sremp_core::{
    channel::{Hello, Message, P2pMessage, Plain, VersionHeader},
    constants::{CHUNK_SIZE, MAX_REASSEMBLY_BYTES},
    time::Tick,
    wire::{
        chunk::{ChunkHeader, Reassembler, ReassemblyBudget},
        frame::FrameReader,
    },
};

use super::input::Input;

/// Frames of a stream, read until the first error.
fn frames(reader: &mut FrameReader, mut bytes: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let mut frames = Vec::new();
    loop {
        match reader.read(&mut bytes, 17..=65_535) {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, true),
            Err(_) => return (frames, false),
        }
    }
}

/// The version header, then frames: the same however the stream is cut.
pub fn framer(data: &[u8]) {
    let Some((header, stream)) = data.split_first_chunk() else {
        return;
    };
    if let Ok(header) = VersionHeader::parse(header) {
        assert_eq!(VersionHeader::parse(&header.to_bytes()), Ok(header));
        let _ = header.agree();
    }
    let whole = frames(&mut FrameReader::default(), stream);
    let mut reader = FrameReader::default();
    let mut cut = (Vec::new(), true);
    for byte in stream.chunks(3) {
        if cut.1 {
            let (more, fine) = frames(&mut reader, byte);
            cut.0.extend(more);
            cut.1 = fine;
        }
    }
    assert_eq!(whole, cut);
}

/// A script of chunks: pause, id, index, total, and a size that is nearly right.
pub fn chunks(data: &[u8]) {
    let budget = ReassemblyBudget::default();
    let mut reassembler = Reassembler::new(budget.clone());
    let mut input = Input(data);
    let mut now = 0;
    let mut script = || {
        let pause = input.byte()?;
        let header = ChunkHeader {
            message_id: u64::from(input.byte()?),
            chunk_index: u16::from(input.byte()?),
            total_chunks: u16::from(input.byte()?),
            chunk_size: 0,
        };
        Some((pause, header, input.u16()?))
    };
    while let Some((pause, mut header, size)) = script() {
        now += u64::from(pause) * 500;
        // most chunks are full; the top bit asks for another size
        let size = if size & 0x8000 == 0 {
            CHUNK_SIZE
        } else {
            usize::from(size & 0x7fff)
        };
        header.chunk_size = u16::try_from(size).unwrap_or(u16::MAX);
        let mut chunk = header.to_bytes().to_vec();
        chunk.resize(chunk.len() + size, pause);
        let result = reassembler.handle(&chunk, Tick::new(now));
        assert!(reassembler.bytes() <= MAX_REASSEMBLY_BYTES);
        assert_eq!(budget.used(), reassembler.bytes());
        match result {
            Ok(Some(message)) => assert!(message.len() > CHUNK_SIZE),
            Ok(None) => {}
            Err(_) => break,
        }
    }
    let _ = reassembler.handle(data, Tick::new(now));
    drop(reassembler);
    assert_eq!(budget.used(), 0);
}

/// Any bytes as a transport plaintext, HELLO, MSG and its body.
pub fn plaintext(data: &[u8]) {
    match Plain::decode(data) {
        Ok(Plain::Msg(body)) => message(body),
        Ok(Plain::Hello(body)) => hello(body),
        _ => {}
    }
    message(data);
    hello(data);
}

fn message(data: &[u8]) {
    if let Ok(message) = Message::decode(data) {
        assert_eq!(message.encode(), data);
        if let Ok(p2p) = P2pMessage::decode(&message) {
            assert_eq!(p2p.to_message(message.req_id), message);
        }
    }
}

fn hello(data: &[u8]) {
    if let Ok(hello) = Hello::decode(data) {
        assert_eq!(hello.encode(), data);
    }
}
