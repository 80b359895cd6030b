//! The default gateway, and what it is asked, in which order.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    time::Duration,
};

use sremp_core::{
    constants::{MAPPING_WAITS, UPNP_SEARCH_TIMEOUT, UPNP_TIMEOUT},
    rendezvous::address::is_public,
};

use super::{
    MappingFailure, MappingProtocol, MappingRequest,
    keep::{Grant, Router},
    nat_pmp, pcp, upnp,
};

/// The kernel's table of routes over IPv4.
const ROUTES: &str = "/proc/net/route";
/// A route that is up and leads to a gateway (`linux/route.h`).
const UP_TO_GATEWAY: u16 = 0x0001 | 0x0002;

/// Where gateways listen, and how long is waited for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// Of PCP and NAT-PMP.
    pub(super) control_port: u16,
    /// Of SSDP.
    pub(super) search_port: u16,
    pub(super) waits: [Duration; 3],
    pub(super) search: Duration,
    pub(super) http: Duration,
}

impl Terms {
    pub(super) const STANDARD: Self = Self {
        control_port: 5351,
        search_port: 1900,
        waits: MAPPING_WAITS,
        search: UPNP_SEARCH_TIMEOUT,
        http: UPNP_TIMEOUT,
    };
}

/// The one host that is asked and believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gateway {
    pub(super) address: Ipv4Addr,
    /// This machine, as the gateway sees it.
    pub(super) local: Ipv4Addr,
    pub(super) terms: Terms,
}

impl Gateway {
    fn find(named: Option<Ipv4Addr>, terms: Terms) -> Option<Self> {
        let address = match named {
            Some(address) => address,
            None => default_gateway(&fs::read_to_string(ROUTES).ok()?)?,
        };
        let local = local_towards(address).ok()?;
        Some(Self {
            address,
            local,
            terms,
        })
    }

    /// Where PCP and NAT-PMP are spoken.
    pub(super) const fn control(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address, self.terms.control_port)
    }
}

/// The gateway of the default route with the lowest metric. The table has addresses as the kernel
/// holds them: bytes in network order, shown as a number.
fn default_gateway(routes: &str) -> Option<Ipv4Addr> {
    let mut best: Option<(u32, Ipv4Addr)> = None;
    for line in routes.lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "00000000", gateway, flags, _, _, metric, "00000000", ..] = *fields else {
            continue;
        };
        let flags = u16::from_str_radix(flags, 16).ok()?;
        let gateway = u32::from_str_radix(gateway, 16).ok()?;
        let metric = metric.parse().ok()?;
        let found = flags & UP_TO_GATEWAY == UP_TO_GATEWAY;
        if found && best.is_none_or(|(other, _)| metric < other) {
            best = Some((metric, Ipv4Addr::from(gateway.to_ne_bytes())));
        }
    }
    best.map(|(_, gateway)| gateway)
}

/// The address of ours that the system takes on the way to this one. Nothing is sent.
fn local_towards(gateway: Ipv4Addr) -> io::Result<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect((gateway, Terms::STANDARD.control_port))?;
    match socket.local_addr()? {
        SocketAddr::V4(local) => Ok(*local.ip()),
        SocketAddr::V6(_) => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}

/// What a mapping was got by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    gateway: Gateway,
    way: Way,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    Pcp(pcp::Nonce),
    NatPmp,
    Upnp(upnp::Service),
}

/// What one protocol got.
pub(super) struct Granted {
    pub(super) external: SocketAddrV4,
    pub(super) lease: Duration,
}

/// The router of the network that this machine is in.
pub(super) struct Home {
    request: MappingRequest,
    terms: Terms,
}

impl Home {
    pub(super) const fn new(request: MappingRequest, terms: Terms) -> Self {
        Self { request, terms }
    }

    async fn try_one(
        &self,
        gateway: Gateway,
        protocol: MappingProtocol,
        port: u16,
    ) -> Result<Grant<Token>, MappingFailure> {
        let way = match protocol {
            MappingProtocol::Pcp => Way::Pcp(rand::random()),
            MappingProtocol::NatPmp => Way::NatPmp,
            MappingProtocol::Upnp => Way::Upnp(upnp::find(&gateway).await?),
        };
        self.ask(Token { gateway, way }, port).await
    }

    /// A first time or again: it is the same question.
    async fn ask(&self, token: Token, port: u16) -> Result<Grant<Token>, MappingFailure> {
        let (gateway, local_port) = (&token.gateway, self.request.local_port);
        let (protocol, granted) = match &token.way {
            Way::Pcp(nonce) => (
                MappingProtocol::Pcp,
                pcp::map(gateway, nonce, local_port, port).await?,
            ),
            Way::NatPmp => (
                MappingProtocol::NatPmp,
                nat_pmp::map(gateway, local_port, port).await?,
            ),
            Way::Upnp(service) => (
                MappingProtocol::Upnp,
                upnp::map(gateway, service, local_port, port).await?,
            ),
        };
        let grant = Grant {
            external: granted.external.into(),
            protocol,
            lease: granted.lease,
            token,
        };
        if self.request.allow_private || is_public(&grant.external) {
            return Ok(grant);
        }
        self.give_back(&grant).await;
        Err(MappingFailure::NotPublic(grant.external))
    }
}

impl Router for Home {
    type Token = Token;

    async fn obtain(&mut self, port: Option<u16>) -> Result<Grant<Token>, MappingFailure> {
        let gateway = Gateway::find(self.request.gateway, self.terms);
        let gateway = gateway.ok_or(MappingFailure::NoGateway)?;
        let port = port.unwrap_or(self.request.local_port.get());
        let mut told = MappingFailure::NoAnswer;
        for protocol in &self.request.protocols {
            match self.try_one(gateway, *protocol, port).await {
                Ok(grant) => return Ok(grant),
                // another protocol would only show the same address
                Err(failure @ MappingFailure::NotPublic(_)) => return Err(failure),
                Err(failure) if failure.weight() >= told.weight() => told = failure,
                Err(_) => {}
            }
        }
        Err(told)
    }

    async fn renew(&self, grant: &Grant<Token>) -> Result<Grant<Token>, MappingFailure> {
        self.ask(grant.token.clone(), grant.external.port()).await
    }

    async fn give_back(&self, grant: &Grant<Token>) {
        let (gateway, local_port) = (&grant.token.gateway, self.request.local_port);
        match &grant.token.way {
            Way::Pcp(nonce) => pcp::unmap(gateway, nonce, local_port).await,
            Way::NatPmp => nat_pmp::unmap(gateway, local_port).await,
            Way::Upnp(service) => {
                upnp::unmap(gateway, service, local_port, grant.external.port()).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_route_with_the_lowest_metric_names_the_gateway() {
        let number = |ip: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(ip));
        let (net, first, second) = (
            number([192, 168, 1, 0]),
            number([192, 168, 1, 1]),
            number([10, 0, 0, 1]),
        );
        let head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\n";
        let routes = format!(
            "{head}eth0\t00000000\t{first}\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
             eth1\t00000000\t{second}\t0003\t0\t0\t50\t00000000\t0\t0\t0\n\
             tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n\
             tun1\t00000000\t{first}\t0003\t0\t0\t0\t00000080\t0\t0\t0\n\
             eth0\t{net}\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        );
        assert_eq!(
            default_gateway(&routes),
            Some(Ipv4Addr::new(10, 0, 0, 1)),
            "{routes}"
        );
        for none in [
            "",
            head,
            "\n\n",
            "Iface\neth0 00000000 x 0003 0 0 0 00000000",
        ] {
            assert_eq!(default_gateway(none), None, "{none}");
        }
    }

    #[test]
    fn on_loopback_this_machine_is_loopback() {
        let local = local_towards(Ipv4Addr::LOCALHOST).unwrap();
        assert_eq!(local, Ipv4Addr::LOCALHOST);
    }
}
