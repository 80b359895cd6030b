//! Messages over a stream in memory, under a clock that runs by itself.

use sremp_core::{
    constants::{MAX_RDV_REQUEST, RDV_IDLE},
    error::ErrorCode,
    rendezvous::{RendezvousMessage, frame::FrameError, frame::encode},
};
use tokio::{
    io::{AsyncWriteExt as _, DuplexStream, duplex},
    time::{Duration, Instant, sleep},
};

use super::stream::{Messages, StreamError};

fn message() -> sremp_core::channel::Message {
    RendezvousMessage::Error(ErrorCode::Busy.into()).to_message(7)
}

fn pair(room: usize) -> (DuplexStream, Messages<DuplexStream>) {
    let (far, near) = duplex(room);
    (far, Messages::new(near, MAX_RDV_REQUEST))
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_connection_after_a_minute() {
    let (_far, mut near) = pair(1024);
    let began = Instant::now();
    assert_eq!(near.next().await, Err(StreamError::Timeout));
    assert_eq!(began.elapsed().as_secs(), RDV_IDLE.as_secs());
}

#[tokio::test(start_paused = true)]
async fn case_05_a_message_that_drips_in_is_given_up_after_half_a_minute() {
    let (mut far, mut near) = pair(1024);
    let frame = encode(&message());
    let dripping = tokio::spawn(async move {
        for byte in frame.iter().cycle().take(1_000) {
            sleep(Duration::from_secs(4)).await;
            if far.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    });
    let began = Instant::now();
    assert_eq!(near.next().await, Err(StreamError::Timeout));
    assert_eq!(began.elapsed().as_secs(), 34);
    drop(near);
    dripping.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_given_up_after_half_a_minute() {
    let (_far, mut near) = pair(4);
    let began = Instant::now();
    assert_eq!(near.send(&message()).await, Err(StreamError::Timeout));
    assert_eq!(began.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn messages_come_one_by_one_and_an_end_within_one_is_told_from_a_good_end() {
    for cut in [0, 1] {
        let (mut far, mut near) = pair(1024);
        let two = [encode(&message()), encode(&message())].concat();
        far.write_all(&two[..two.len() - cut]).await.unwrap();
        drop(far);
        assert_eq!(near.next().await, Ok(message()));
        let second = near.next().await;
        match cut {
            0 => {
                assert_eq!(second, Ok(message()));
                assert_eq!(near.next().await, Err(StreamError::Closed));
            }
            _ => assert!(matches!(second, Err(StreamError::Broken(_))), "{second:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_too_long_is_refused_by_its_length() {
    let (mut far, mut near) = pair(1024);
    far.write_all(&[1, 0x80, 0, 0]).await.unwrap();
    let too_large = StreamError::Frame(FrameError::TooLarge);
    assert_eq!(near.next().await, Err(too_large));
}
