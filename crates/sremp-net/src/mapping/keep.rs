//! Holds a lease as long as somebody wants it.

use std::{future::Future, net::SocketAddr, pin::pin, time::Duration};

use rand::RngExt as _;
use sremp_core::constants::{
    MAPPING_RENEW_MIN, MAPPING_RENEW_PERCENT, MAPPING_RETRY, MAPPING_RETRY_JITTER_PERCENT,
    MAPPING_RETURN_TIMEOUT,
};
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep, timeout},
};

use super::{Mapping, MappingFailure, MappingProtocol};

/// Somebody who grants mappings. Every answer comes in bounded time.
pub(super) trait Router: Send + Sync {
    /// What it takes to renew a mapping and to give it back.
    type Token: Send + Sync;

    /// Asks for a mapping, for this external port if there is a choice.
    fn obtain(
        &mut self,
        port: Option<u16>,
    ) -> impl Future<Output = Result<Grant<Self::Token>, MappingFailure>> + Send;

    /// Asks for it again.
    fn renew(
        &self,
        grant: &Grant<Self::Token>,
    ) -> impl Future<Output = Result<Grant<Self::Token>, MappingFailure>> + Send;

    /// Gives it back, as well as it goes.
    fn give_back(&self, grant: &Grant<Self::Token>) -> impl Future<Output = ()> + Send;
}

/// A mapping that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant<T> {
    pub(super) external: SocketAddr,
    pub(super) protocol: MappingProtocol,
    pub(super) lease: Duration,
    pub(super) token: T,
}

/// Until the other end of `ended` is dropped.
pub(super) async fn run<R: Router>(
    mut router: R,
    state: watch::Sender<Mapping>,
    mut ended: oneshot::Receiver<()>,
) {
    let mut port = None;
    let mut rest = MAPPING_RETRY.0;
    loop {
        match obtain(&mut router, port, &mut ended).await {
            Some(Ok(grant)) => {
                (port, rest) = (Some(grant.external.port()), MAPPING_RETRY.0);
                let Some(failure) = hold(&router, grant, &state, &mut ended).await else {
                    return;
                };
                show(&state, Mapping::Failed(failure));
            }
            Some(Err(failure)) => {
                show(&state, Mapping::Failed(failure));
                tokio::select! {
                    () = sleep(jittered(rest)) => rest = (rest * 2).min(MAPPING_RETRY.1),
                    _ = &mut ended => return,
                }
            }
            None => return,
        }
    }
}

/// `None` at the end, when nothing is left to be given back.
async fn obtain<R: Router>(
    router: &mut R,
    port: Option<u16>,
    ended: &mut oneshot::Receiver<()>,
) -> Option<Result<Grant<R::Token>, MappingFailure>> {
    let late = {
        let mut obtaining = pin!(router.obtain(port));
        tokio::select! {
            biased;
            obtained = &mut obtaining => return Some(obtained),
            _ = ended => {}
        }
        // stopped half-way it might leave a mapping that nobody knows of
        timeout(MAPPING_RETURN_TIMEOUT, obtaining).await
    };
    if let Ok(Ok(grant)) = late {
        let _ = timeout(MAPPING_RETURN_TIMEOUT, router.give_back(&grant)).await;
    }
    None
}

/// Renews until it is lost, which it tells, or not wanted any more and given back.
async fn hold<R: Router>(
    router: &R,
    mut grant: Grant<R::Token>,
    state: &watch::Sender<Mapping>,
    ended: &mut oneshot::Receiver<()>,
) -> Option<MappingFailure> {
    let mut expires = Instant::now() + grant.lease;
    let lost = loop {
        show(state, external(&grant));
        let left = expires.saturating_duration_since(Instant::now());
        if left < MAPPING_RENEW_MIN {
            break MappingFailure::NoAnswer;
        }
        let renewed = async {
            sleep(share(left)).await;
            router.renew(&grant).await
        };
        let renewed = tokio::select! {
            renewed = renewed => renewed,
            _ = &mut *ended => {
                show(state, Mapping::None);
                let _ = timeout(MAPPING_RETURN_TIMEOUT, router.give_back(&grant)).await;
                return None;
            }
        };
        match renewed {
            Ok(new) => {
                grant = new;
                expires = Instant::now() + grant.lease;
            }
            // the lease runs on, and the gateway may only be busy
            Err(MappingFailure::NoAnswer) => {}
            Err(failure) => break failure,
        }
    };
    Some(lost)
}

fn external<T>(grant: &Grant<T>) -> Mapping {
    Mapping::External {
        address: grant.external,
        protocol: grant.protocol,
    }
}

/// Wakes nobody unless it is new.
fn show(state: &watch::Sender<Mapping>, new: Mapping) {
    state.send_if_modified(|old| {
        let changed = *old != new;
        *old = new;
        changed
    });
}

/// Not all clients of a gateway that was started again come at once.
fn share(left: Duration) -> Duration {
    let (from, to) = MAPPING_RENEW_PERCENT;
    left * rand::rng().random_range(from..=to) / 100
}

fn jittered(rest: Duration) -> Duration {
    let jitter = MAPPING_RETRY_JITTER_PERCENT;
    rest * rand::rng().random_range(100 - jitter..=100 + jitter) / 100
}
