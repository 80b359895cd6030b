//! Work that is done in turns with that of others.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use tokio::sync::Semaphore;

/// Carries out a future, each step of it with a permit.
pub(super) async fn in_turns<F: Future>(turns: &Semaphore, future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        let turn = turns.acquire().await;
        let step = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        drop(turn);
        match step {
            Poll::Ready(output) => return output,
            Poll::Pending => woken().await,
        }
    }
}

/// Waits until the task is woken by what the step before has asked for.
async fn woken() {
    let mut again = false;
    poll_fn(|_| match std::mem::replace(&mut again, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

#[cfg(test)]
mod tests {
    use tokio::{
        sync::oneshot,
        time::{Duration, timeout},
    };

    use super::*;

    const SOON: Duration = Duration::from_millis(10);

    #[tokio::test(start_paused = true)]
    async fn a_step_waits_for_its_turn_and_gives_it_back_while_it_waits_for_others() {
        let turns = Semaphore::new(1);
        let (answer, awaited) = oneshot::channel();
        let mut work = pin!(in_turns(&turns, async {
            assert_eq!(turns.available_permits(), 0);
            let answered = awaited.await;
            assert_eq!(turns.available_permits(), 0);
            answered
        }));
        let others = turns.acquire().await;
        assert!(timeout(SOON, work.as_mut()).await.is_err());
        drop(others);
        assert!(timeout(SOON, work.as_mut()).await.is_err());
        assert_eq!(
            turns.available_permits(),
            1,
            "it waits, and not with a turn"
        );
        let others = turns.acquire().await;
        answer.send(7).unwrap();
        assert!(timeout(SOON, work.as_mut()).await.is_err());
        drop(others);
        assert_eq!(work.await, Ok(7));
    }
}
