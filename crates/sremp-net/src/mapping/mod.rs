//! A port of the router for the port of ours: PCP, NAT-PMP and UPnP-IGD (chapter 7, D7.3).
//!
//! | part | |
//! |---|---|
//! | `gateway` | the default gateway, and what it is asked, in which order |
//! | `keep` | holds a lease: renewal, retries, giving back |
//! | `pcp`, `nat_pmp` | RFC 6887 and RFC 6886, over `datagram` |
//! | `upnp` | SSDP, device description and SOAP, over `http` |
//!
//! Only the gateway is believed, and it may only name itself: datagrams from elsewhere do not count, and
//! whatever UPnP points at has to be at the gateway's address. Every answer has a size and every
//! wait an end. Nothing but the one TCP port of [`MappingRequest::local_port`] is ever mapped.

mod datagram;
mod gateway;
mod keep;
mod nat_pmp;
mod pcp;
#[cfg(test)]
mod tests;
mod upnp;

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU16,
    time::Duration,
};

use sremp_core::constants::{MAPPING_RETURN_TIMEOUT, MAX_MAPPING_LEASE, MIN_MAPPING_LEASE};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

/// What is to be mapped. Nobody maps anything unless somebody makes one: the user decides.
#[derive(Clone, Debug)]
pub struct MappingRequest {
    /// The TCP port on which this machine listens. The external one is the same if it is free.
    pub local_port: NonZeroU16,
    /// Whom to ask; `None` for the default gateway of the system, which is known on Linux.
    pub gateway: Option<Ipv4Addr>,
    /// What is tried, in this order.
    pub protocols: Vec<MappingProtocol>,
    /// Whether an external address is taken that is not one of the public internet, as in a test or
    /// where the network behind the router is the one that matters.
    pub allow_private: bool,
}

impl MappingRequest {
    /// The default gateway is asked for this port, by every protocol.
    pub fn new(local_port: NonZeroU16) -> Self {
        Self {
            local_port,
            gateway: None,
            protocols: MappingProtocol::ALL.to_vec(),
            allow_private: false,
        }
    }
}

/// How a gateway is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappingProtocol {
    /// Port Control Protocol, RFC 6887.
    Pcp,
    /// NAT Port Mapping Protocol, RFC 6886.
    NatPmp,
    /// UPnP Internet Gateway Device, WANIPConnection 1 and 2, WANPPPConnection 1.
    Upnp,
}

impl MappingProtocol {
    /// All, in the order in which they are tried.
    pub const ALL: [Self; 3] = [Self::Pcp, Self::NatPmp, Self::Upnp];
}

impl fmt::Display for MappingProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pcp => "PCP",
            Self::NatPmp => "NAT-PMP",
            Self::Upnp => "UPnP",
        })
    }
}

/// Whether and where this machine can be reached through its gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// Not known yet, or given back.
    None,
    /// What comes to this address reaches the local port, as the gateway says.
    External {
        /// The gateway's address outside, with the port there.
        address: SocketAddr,
        /// How it was asked for.
        protocol: MappingProtocol,
    },
    /// There is none. It is tried again after a while.
    Failed(MappingFailure),
}

/// Why there is no mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappingFailure {
    /// The system has no default gateway over IPv4.
    NoGateway,
    /// The gateway answered to none of the protocols.
    NoAnswer,
    /// What it answered cannot be: it names another host, is too large, breaks its protocol, or grants
    /// a lease of next to nothing.
    BadAnswer(MappingProtocol),
    /// It refuses, with a code of the protocol.
    Refused(MappingProtocol, u16),
    /// It maps for ever or not at all. A mapping that outlives its owner opens the port to whoever
    /// comes next.
    OnlyPermanent,
    /// Every external port that was tried is somebody else's.
    PortsTaken,
    /// The gateway's own address outside, or the port there, is not one of the public internet: it
    /// stands behind another router.
    NotPublic(SocketAddr),
}

impl MappingFailure {
    /// How much it tells: of several protocols, the failure that tells most is told.
    const fn weight(self) -> u8 {
        match self {
            Self::NoGateway | Self::NoAnswer => 0,
            Self::BadAnswer(_) => 1,
            Self::Refused(..) => 2,
            Self::PortsTaken | Self::OnlyPermanent | Self::NotPublic(_) => 3,
        }
    }
}

impl fmt::Display for MappingFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoGateway => f.write_str("this machine has no default gateway over IPv4"),
            Self::NoAnswer => f.write_str(
                "the router does not answer: switch on PCP, NAT-PMP or UPnP there, or forward the \
                 port by hand",
            ),
            Self::BadAnswer(protocol) => {
                write!(
                    f,
                    "the router's answer over {protocol} cannot be right: it is ignored"
                )
            }
            Self::Refused(protocol, code) => {
                write!(
                    f,
                    "the router refuses to map the port ({protocol}, code {code})"
                )
            }
            Self::OnlyPermanent => f.write_str(
                "the router only maps ports for ever, which is not asked for: forward the port by \
                 hand if that is wanted",
            ),
            Self::PortsTaken => f.write_str("the router has given the port to other machines"),
            Self::NotPublic(address) => write!(
                f,
                "the router is itself behind another one ({address} is no public address): nobody \
                 outside can reach it"
            ),
        }
    }
}

impl std::error::Error for MappingFailure {}

/// A mapping that is kept as long as this lives. When it is dropped the mapping is given back, if the
/// runtime goes on for a moment; [`KeptMapping::end`] waits for that.
#[derive(Debug)]
pub struct KeptMapping {
    state: watch::Receiver<Mapping>,
    /// Its end is the sign.
    alive: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl KeptMapping {
    /// What there is, now and whenever it changes.
    pub fn watch(&self) -> watch::Receiver<Mapping> {
        self.state.clone()
    }

    /// Gives the mapping back, within 6 s. What a gateway does not take back ends with its lease.
    pub async fn end(self) {
        drop(self.alive);
        // an obtaining that is under way comes to its end before what it got is given back
        let _ = timeout(2 * MAPPING_RETURN_TIMEOUT, self.task).await;
    }
}

/// Maps a port and keeps it mapped. After a change of the network it has to be asked for anew.
///
/// Must be called within a tokio runtime.
pub fn keep(request: MappingRequest) -> KeptMapping {
    start(gateway::Home::new(request, gateway::Terms::STANDARD))
}

fn start<R: keep::Router + 'static>(router: R) -> KeptMapping {
    let (sender, state) = watch::channel(Mapping::None);
    let (alive, ended) = oneshot::channel();
    let task = tokio::spawn(keep::run(router, sender, ended));
    KeptMapping { state, alive, task }
}

/// How long a lease of so many seconds is relied on; `None` if it is not worth having.
fn lease(seconds: u32) -> Option<Duration> {
    let granted = Duration::from_secs(seconds.into());
    (granted >= MIN_MAPPING_LEASE).then_some(granted.min(MAX_MAPPING_LEASE))
}
