//! Whether somebody is where they say to be: as far as message 2, and not a byte of ours (D5.4).

use std::{net::SocketAddr, sync::Arc};

use sremp_core::{
    channel::{Channel, Event, Initiate, LocalIdentity, ReassemblyBudget, Service},
    constants::{DIAL_ATTEMPT_TIMEOUT, DIAL_BUDGET, MAX_DIAL_ADDRESSES},
    contact_card::Endpoint,
    error::ErrorCode,
    identity::Identity,
    rendezvous::dialled_back,
};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

use crate::{clock::Clock, pump::Pump};

/// Dials an endpoint and has whoever answers prove the noise key of `identity`. `local` is not shown:
/// the connection is closed when message 2 has come.
///
/// # Errors
/// `NOT_ALLOWED` when an address is one that nobody dials for a stranger, unless `allow_private`;
/// then none of the addresses is dialled. `UNREACHABLE` when the owner of the key is not there.
pub async fn dial_back(
    endpoint: &Endpoint,
    identity: &Identity,
    local: &Arc<LocalIdentity>,
    allow_private: bool,
) -> Result<(), ErrorCode> {
    let dialled = timeout(DIAL_BUDGET, dial(endpoint, identity, local, allow_private));
    dialled.await.unwrap_or(Err(ErrorCode::Unreachable))
}

async fn dial(
    endpoint: &Endpoint,
    identity: &Identity,
    local: &Arc<LocalIdentity>,
    allow_private: bool,
) -> Result<(), ErrorCode> {
    let found = lookup_host((endpoint.host(), endpoint.port())).await;
    let found: Vec<SocketAddr> = found.map_err(|_| ErrorCode::Unreachable)?.collect();
    // the addresses that are judged are the ones that are dialled: no second lookup
    dialled_back(&found, allow_private)?;
    for address in found.into_iter().take(MAX_DIAL_ADDRESSES) {
        let attempt = timeout(DIAL_ATTEMPT_TIMEOUT, answers(address, identity, local));
        if attempt.await.unwrap_or(false) {
            return Ok(());
        }
    }
    Err(ErrorCode::Unreachable)
}

async fn answers(address: SocketAddr, identity: &Identity, local: &Arc<LocalIdentity>) -> bool {
    let Ok(stream) = TcpStream::connect(address).await else {
        return false;
    };
    let config = Initiate {
        local: local.clone(),
        service: Service::P2p,
        expected: Some(identity.id()),
        pinned_noise_key: Some(identity.noise_key()),
        intro: None,
        reassembly: ReassemblyBudget::default(),
    };
    let clock = Clock::start();
    let channel = Channel::initiate(config, clock.now(), &mut rand::rng());
    let mut pump = Pump::new(stream, channel, clock);
    // established: message 2 was by the pinned key; message 3, which would show us, still waits
    while !pump.channel.is_established() {
        if matches!(pump.channel.poll_event(), Some(Event::Closed(_))) || pump.is_done() {
            return false;
        }
        if pump.step(true).await.is_err() {
            return false;
        }
    }
    true
}
