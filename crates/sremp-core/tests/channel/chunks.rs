//! Protocol 11, case 12.

use proptest::prelude::*;
use sremp_core::{
    channel::ReassemblyBudget,
    constants::{CHUNK_SIZE, MAX_REASSEMBLY_BYTES, MAX_REASSEMBLY_BYTES_PROCESS},
    error::ErrorCode,
    time::Tick,
    wire::chunk::{ChunkHeader, ChunkWriter, Reassembler},
};

const NOW: Tick = Tick::new(0);

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

fn reassembler() -> Reassembler {
    Reassembler::new(ReassemblyBudget::default())
}

#[test]
fn case_12_chunks_that_contradict_the_rules_or_each_other_are_refused() {
    let mut wrong_size = full(0, 0, 3);
    wrong_size[12] = 1;
    for (name, second) in [
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
    ] {
        let mut reassembler = reassembler();
        assert_eq!(reassembler.handle(&full(0, 0, 3), NOW), Ok(None));
        let held = reassembler.bytes();
        assert_eq!(
            reassembler.handle(&second, NOW),
            Err(ErrorCode::ChunkInvalid),
            "{name}"
        );
        assert_eq!(reassembler.bytes(), held, "{name}: nothing was kept");
    }
}

#[test]
fn case_12_a_ninth_message_at_once_is_a_violation() {
    let mut reassembler = reassembler();
    for id in 0..8 {
        assert_eq!(reassembler.handle(&full(id, 0, 3), NOW), Ok(None));
    }
    assert_eq!(
        reassembler.handle(&full(8, 0, 3), NOW),
        Err(ErrorCode::ProtocolViolation)
    );
}

#[test]
fn case_12_silence_after_one_chunk_frees_the_memory_and_the_id_stays_used() {
    let budget = ReassemblyBudget::default();
    let mut reassembler = Reassembler::new(budget.clone());
    reassembler.handle(&full(0, 0, 3), NOW).unwrap();
    assert_eq!(budget.used(), CHUNK_SIZE);
    let deadline = reassembler.poll_timeout().unwrap();
    assert_eq!(deadline, Tick::new(30_000));
    reassembler.handle_timeout(deadline);
    assert_eq!((reassembler.bytes(), budget.used()), (0, 0));
    assert_eq!(
        reassembler.handle(&full(0, 1, 3), deadline),
        Err(ErrorCode::ProtocolViolation)
    );
}

#[test]
fn case_12_a_message_that_drips_is_dropped_after_two_minutes() {
    let mut reassembler = reassembler();
    for n in 0..5 {
        let now = Tick::new(u64::from(n) * 29_000);
        assert_eq!(reassembler.handle(&full(0, n, 128), now), Ok(None));
    }
    assert_eq!(reassembler.poll_timeout(), Some(Tick::new(120_000)));
}

#[test]
fn case_12_memory_is_bounded_per_connection_and_per_process() {
    let budget = ReassemblyBudget::default();
    let mut many = Vec::new();
    let refused = loop {
        let mut reassembler = Reassembler::new(budget.clone());
        let mut refused = None;
        'fill: for id in 0..8 {
            for index in 0..127 {
                if let Err(code) = reassembler.handle(&full(id, index, 128), NOW) {
                    refused = Some(code);
                    break 'fill;
                }
            }
        }
        assert!(reassembler.bytes() <= MAX_REASSEMBLY_BYTES);
        many.push(reassembler);
        match refused {
            Some(ErrorCode::TooLarge) => {}
            other => break other,
        }
    };
    assert_eq!(refused, Some(ErrorCode::Busy), "the newest is told");
    assert!(budget.used() <= MAX_REASSEMBLY_BYTES_PROCESS);
    drop(many);
    assert_eq!(budget.used(), 0);
}

#[test]
fn an_id_is_used_once() {
    let mut reassembler = reassembler();
    let message = vec![7; 70_000];
    let chunks: Vec<_> = ChunkWriter::new(message.clone(), 0).unwrap().collect();
    for (n, chunk) in chunks.iter().enumerate() {
        let whole = reassembler.handle(chunk, NOW).unwrap();
        assert_eq!(whole.is_some(), n + 1 == chunks.len());
    }
    assert_eq!(
        reassembler.handle(&chunks[0], NOW),
        Err(ErrorCode::ProtocolViolation)
    );
    assert!(reassembler.handle(&full(16, 0, 3), NOW).is_ok());
    assert_eq!(
        reassembler.handle(&full(17, 0, 3), NOW),
        Err(ErrorCode::ProtocolViolation),
        "too far ahead"
    );
}

#[test]
fn a_message_that_fits_a_frame_must_not_come_in_chunks() {
    assert!(ChunkWriter::new(vec![0; 65_518], 0).is_err());
    assert!(ChunkWriter::new(vec![0; 65_519], 0).is_ok());
    let mut reassembler = reassembler();
    reassembler.handle(&full(0, 0, 2), NOW).unwrap();
    assert_eq!(
        reassembler.handle(&chunk(0, 1, 2, &[1; CHUNK_SIZE - 18]), NOW),
        Err(ErrorCode::ChunkInvalid)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn case_12_valid_chunks_reassemble_in_any_order_with_any_repetition(
        lens in prop::collection::vec(65_519usize..300_000, 1..4),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..200),
    ) {
        let messages: Vec<Vec<u8>> = lens
            .iter()
            .map(|len| (0..*len).map(|i| (i * 31 % 251) as u8).collect())
            .collect();
        let mut chunks: Vec<(usize, Vec<u8>)> = Vec::new();
        for (n, message) in messages.iter().enumerate() {
            let writer = ChunkWriter::new(message.clone(), n as u64).unwrap();
            chunks.extend(writer.map(|chunk| (n, chunk)));
        }
        for (i, index) in order.iter().enumerate() {
            let j = index.index(chunks.len());
            chunks.swap(i % lens.len(), j);
        }
        let mut reassembler = reassembler();
        let mut done = vec![false; messages.len()];
        for (n, chunk) in &chunks {
            if let Some(whole) = reassembler.handle(chunk, NOW).unwrap() {
                prop_assert_eq!(&whole, &messages[*n]);
                done[*n] = true;
            } else {
                prop_assert_eq!(reassembler.handle(chunk, NOW), Ok(None), "the same again");
            }
        }
        prop_assert!(done.into_iter().all(|d| d));
        prop_assert_eq!(reassembler.bytes(), 0);
    }
}
