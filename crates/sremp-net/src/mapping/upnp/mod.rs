//! UPnP Internet Gateway Device 1 and 2 (UPnP Forum, WANIPConnection 1 and 2, WANPPPConnection 1).

mod control;
mod description;
mod http;
mod place;
mod search;
mod xml;

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    num::NonZeroU16,
    time::Duration,
};

use rand::RngExt as _;
use sremp_core::constants::{
    MAPPING_LEASE, MAPPING_PORT_TRIES, MAX_UPNP_CANDIDATES, MIN_PUBLIC_PORT,
};

use self::control::{CONFLICT, ControlError, Entry, NO_SUCH_ENTRY, ONLY_PERMANENT};
pub(super) use self::description::Service;
use super::{
    MappingFailure, MappingProtocol,
    gateway::{Gateway, Granted},
    lease,
};

const BAD_ANSWER: MappingFailure = MappingFailure::BadAnswer(MappingProtocol::Upnp);

/// The service of the gateway that is connected to the outside.
///
/// # Errors
/// `NoAnswer` if there is none, `BadAnswer` if what there is breaks the rules.
pub(super) async fn find(gateway: &Gateway) -> Result<Service, MappingFailure> {
    let mut told = MappingFailure::NoAnswer;
    for place in search::search(gateway).await? {
        let services = match description::read(gateway, &place).await {
            Ok(services) => services,
            Err(failure) => {
                told = failure;
                continue;
            }
        };
        for service in services.into_iter().take(MAX_UPNP_CANDIDATES) {
            // one that is not connected, as the second of a router for two kinds of lines, has none
            match control::external_address(gateway, &service).await {
                Ok(_) => return Ok(service),
                Err(error) => told = error.into(),
            }
        }
    }
    Err(told)
}

/// Maps, or renews what is ours at this external port. A port that somebody else has is left alone,
/// and another one tried.
pub(super) async fn map(
    gateway: &Gateway,
    service: &Service,
    local_port: NonZeroU16,
    port: u16,
) -> Result<Granted, MappingFailure> {
    let address = control::external_address(gateway, service).await?;
    let ours = Ours {
        gateway,
        service,
        local_port,
    };
    let mut port = port;
    for _ in 0..MAPPING_PORT_TRIES {
        match ours.map(port).await? {
            Some(granted) => {
                return Ok(Granted {
                    external: SocketAddrV4::new(address, port),
                    lease: granted,
                });
            }
            None => port = rand::rng().random_range(MIN_PUBLIC_PORT..=u16::MAX),
        }
    }
    Err(MappingFailure::PortsTaken)
}

/// Gives back, if it is still ours.
pub(super) async fn unmap(gateway: &Gateway, service: &Service, local_port: NonZeroU16, port: u16) {
    let ours = Ours {
        gateway,
        service,
        local_port,
    };
    if matches!(ours.look(port).await, Ok(Some(entry)) if ours.is(&entry)) {
        // whether it worked or not, nothing more can be done than let the lease end
        let _ = control::delete(gateway, service, port).await;
    }
}

/// What belongs to this machine's port.
struct Ours<'a> {
    gateway: &'a Gateway,
    service: &'a Service,
    local_port: NonZeroU16,
}

impl Ours<'_> {
    /// The lease; `None` if the port is somebody else's.
    async fn map(&self, port: u16) -> Result<Option<Duration>, MappingFailure> {
        // some gateways hand the port over to whoever asks last
        if let Some(entry) = self.look(port).await?
            && !self.is(&entry)
        {
            return Ok(None);
        }
        let seconds = MAPPING_LEASE.as_secs() as u32;
        let (gateway, service) = (self.gateway, self.service);
        match control::add(gateway, service, self.local_port, port, seconds).await {
            Ok(()) => {}
            Err(ControlError::Fault(CONFLICT)) => return Ok(None),
            Err(ControlError::Fault(ONLY_PERMANENT)) => return Err(MappingFailure::OnlyPermanent),
            Err(error) => return Err(error.into()),
        }
        match self.look(port).await? {
            Some(entry) if !self.is(&entry) => Ok(None),
            Some(Entry { lease: 0, .. }) => {
                let _ = control::delete(gateway, service, port).await;
                Err(MappingFailure::OnlyPermanent)
            }
            Some(entry) => Ok(Some(lease(entry.lease.min(seconds)).ok_or(BAD_ANSWER)?)),
            None => Err(BAD_ANSWER),
        }
    }

    async fn look(&self, port: u16) -> Result<Option<Entry>, MappingFailure> {
        match control::entry(self.gateway, self.service, port).await {
            Ok(entry) => Ok(Some(entry)),
            Err(ControlError::Fault(NO_SUCH_ENTRY)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn is(&self, entry: &Entry) -> bool {
        let Entry { client, port, .. } = entry;
        *client == self.gateway.local && *port == self.local_port.get()
    }
}

impl From<ControlError> for MappingFailure {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::NoAnswer => Self::NoAnswer,
            ControlError::BadAnswer => BAD_ANSWER,
            ControlError::Fault(code) => Self::Refused(MappingProtocol::Upnp, code),
        }
    }
}

/// An IPv4 address as a gateway writes it; `None` for any address at all.
fn address(text: &str) -> Option<Ipv4Addr> {
    let address: Ipv4Addr = text.parse().ok()?;
    (!address.is_unspecified()).then_some(address)
}
