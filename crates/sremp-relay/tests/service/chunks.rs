//! Messages in chunks that do not fit together: protocol 11, case 12.

use std::time::Duration;

use sremp_core::{
    channel::Message,
    constants::CHUNK_SIZE,
    error::ErrorCode,
    relay::RelayMessage,
    wire::chunk::{ChunkHeader, ChunkWriter},
};
use sremp_relay::load::raw::RawConnection;

use crate::{
    peer::someone,
    relay::Relay,
    rogue::{Honest, assert_closed, hear, open, skip},
};

const CHUNK: u8 = 0x02;

fn chunk(message_id: u64, chunk_index: u16, total_chunks: u16, payload: &[u8]) -> Vec<u8> {
    let header = ChunkHeader {
        message_id,
        chunk_index,
        total_chunks,
        chunk_size: payload.len() as u16,
    };
    [header.to_bytes().as_slice(), payload].concat()
}

fn full(message_id: u64, index: u16, total: u16) -> Vec<u8> {
    chunk(message_id, index, total, &[index as u8; CHUNK_SIZE])
}

/// A message of this many bytes and of a type that no relay knows: it is answered, nothing more.
fn long(len: usize) -> Message {
    let mut body = vec![0x91, 0xc6];
    body.extend_from_slice(&u32::try_from(len).unwrap().to_be_bytes());
    body.resize(len + 6, 7);
    Message {
        msg_type: 0x0777,
        req_id: 9,
        body,
    }
}

async fn assert_answered(raw: &mut RawConnection) {
    let RelayMessage::Error(error) = hear(raw).await else {
        panic!("no ERROR");
    };
    assert_eq!(error.code, ErrorCode::NotAllowed.to_u16());
}

#[tokio::test]
async fn case_12_chunks_that_contradict_the_rules_or_each_other_end_the_connection() {
    let relay = Relay::start().await;
    let mut honest = Honest::at(&relay).await;
    let own = someone();
    let mut wrong_size = full(0, 1, 3);
    wrong_size[12] = 1;
    let contradictions = [
        ("65535 chunks", full(1, 0, 65_535)),
        ("129 chunks", full(1, 0, 129)),
        ("one chunk", chunk(1, 0, 1, &[1; 100])),
        ("no chunk", chunk(1, 0, 0, &[1; 100])),
        ("total changes", full(0, 1, 4)),
        ("index is total", full(0, 3, 3)),
        ("conflicting duplicate", chunk(0, 0, 3, &[0xee; CHUNK_SIZE])),
        ("empty", chunk(0, 2, 3, &[])),
        ("short in the middle", chunk(0, 1, 3, &[1; CHUNK_SIZE - 1])),
        ("size differs from the bytes", wrong_size),
        ("no header", vec![0; 13]),
    ];
    for (n, (what, second)) in contradictions.into_iter().enumerate() {
        let mut raw = open(&relay, &own).await;
        raw.say(CHUNK, &full(0, 0, 3)).await.unwrap();
        raw.say(CHUNK, &second).await.unwrap();
        assert_closed(&mut raw, ErrorCode::ChunkInvalid, what).await;
        assert_eq!(relay.ended("CHUNK_INVALID"), n as u64 + 1, "{what}");
    }
    honest.exchange().await;
}

#[tokio::test]
async fn case_12_a_ninth_message_at_once_or_a_chunk_of_a_dropped_one_ends_the_connection() {
    let relay = Relay::start().await;
    let mut honest = Honest::at(&relay).await;
    let own = someone();
    let mut raw = open(&relay, &own).await;
    for id in 0..9 {
        raw.say(CHUNK, &full(id, 0, 3)).await.unwrap();
    }
    assert_closed(&mut raw, ErrorCode::ProtocolViolation, "the ninth").await;
    // one chunk, then silence: what was kept is dropped after 30 s, and its id stays used
    let mut raw = open(&relay, &own).await;
    raw.say(CHUNK, &full(0, 0, 3)).await.unwrap();
    raw.say(0x01, &long(8).encode()).await.unwrap();
    assert_answered(&mut raw).await;
    skip(Duration::from_secs(31)).await;
    raw.say(0x01, &long(8).encode()).await.unwrap();
    assert_answered(&mut raw).await;
    raw.say(CHUNK, &full(0, 1, 3)).await.unwrap();
    assert_closed(&mut raw, ErrorCode::ProtocolViolation, "dropped").await;
    assert_eq!(relay.ended("PROTOCOL_VIOLATION"), 2);
    honest.exchange().await;
}

#[tokio::test]
async fn case_12_chunks_in_any_order_are_one_message() {
    let relay = Relay::start().await;
    let mut raw = open(&relay, &someone()).await;
    let message = long(200_000).encode();
    let mut chunks: Vec<_> = ChunkWriter::new(message, 0).unwrap().collect();
    chunks.reverse();
    let again = chunks[1].clone();
    chunks.insert(3, again);
    for chunk in &chunks {
        raw.say(CHUNK, chunk).await.unwrap();
    }
    assert_answered(&mut raw).await;
}
