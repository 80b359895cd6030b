//! SSDP: where the gateway describes itself (UPnP Device Architecture 2.0, section 1.3).

use std::net::{Ipv4Addr, SocketAddr};

use sremp_core::constants::MAX_UPNP_CANDIDATES;
use tokio::{
    net::UdpSocket,
    time::{Duration, Instant, timeout_at},
};

use super::{super::gateway::Gateway, BAD_ANSWER, place::Place};
use crate::mapping::MappingFailure;

/// The group in which devices listen.
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
/// What is looked for. A device of version 2 has to answer to version 1 also; some do not.
const TARGETS: [&str; 2] = [
    "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
    "urn:schemas-upnp-org:device:InternetGatewayDevice:2",
];
/// After the first answer that long for others: a device answers once for each thing that it is.
const OTHERS: Duration = Duration::from_millis(100);
const MAX_DATAGRAM: usize = 2_048;
const MAX_HEADERS: usize = 32;

/// Where the gateway says that it describes itself, at most 4 places.
///
/// # Errors
/// `NoAnswer`, or `BadAnswer` if it names nothing but places elsewhere.
pub(super) async fn search(gateway: &Gateway) -> Result<Vec<Place>, MappingFailure> {
    let no_answer = |_| MappingFailure::NoAnswer;
    let socket = UdpSocket::bind((gateway.local, 0)).await;
    let socket = socket.map_err(no_answer)?;
    let port = gateway.terms.search_port;
    let _ = socket.set_multicast_ttl_v4(2);
    for target in TARGETS {
        let message = message(target);
        // some gateways only listen to the group, some networks only let the other through
        for host in [GROUP, gateway.address] {
            let _ = socket.send_to(message.as_bytes(), (host, port)).await;
        }
    }
    collect(&socket, gateway).await
}

fn message(target: &str) -> String {
    format!(
        "M-SEARCH * HTTP/1.1\r\nHOST: {GROUP}:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: \
         {target}\r\n\r\n"
    )
}

async fn collect(socket: &UdpSocket, gateway: &Gateway) -> Result<Vec<Place>, MappingFailure> {
    let mut deadline = Instant::now() + gateway.terms.search;
    let mut places = Vec::new();
    let mut elsewhere = false;
    let mut buffer = [0; MAX_DATAGRAM];
    while places.len() < MAX_UPNP_CANDIDATES {
        let Ok(Ok((length, from))) = timeout_at(deadline, socket.recv_from(&mut buffer)).await
        else {
            break;
        };
        // whoever else lives in this network has no say in it
        if !matches!(from, SocketAddr::V4(from) if *from.ip() == gateway.address) {
            continue;
        }
        let Some(location) = buffer.get(..length).and_then(location) else {
            continue;
        };
        match Place::parse(&location, gateway.address) {
            Some(place) if !places.contains(&place) => {
                places.push(place);
                deadline = deadline.min(Instant::now() + OTHERS);
            }
            Some(_) => {}
            None => elsewhere = true,
        }
    }
    match (places.is_empty(), elsewhere) {
        (true, true) => Err(BAD_ANSWER),
        (true, false) => Err(MappingFailure::NoAnswer),
        (false, _) => Ok(places),
    }
}

/// The LOCATION of an answer to a search.
fn location(datagram: &[u8]) -> Option<String> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(datagram).ok()?;
    if response.code != Some(200) {
        return None;
    }
    let mut named = response.headers.iter();
    let location = named.find(|header| header.name.eq_ignore_ascii_case("location"))?;
    Some(std::str::from_utf8(location.value).ok()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_to_a_search_has_a_location() {
        let answer = "HTTP/1.1 200 OK\r\nST: x\r\nLocation: http://192.168.1.1/d\r\n\r\n";
        let found = location(answer.as_bytes());
        assert_eq!(found.as_deref(), Some("http://192.168.1.1/d"));
        for other in [
            "NOTIFY * HTTP/1.1\r\nLOCATION: http://192.168.1.1/d\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\nLOCATION: http://192.168.1.1/d\r\n\r\n",
            "HTTP/1.1 200 OK\r\nST: x\r\n\r\n",
            "\0\0",
            "",
        ] {
            assert_eq!(location(other.as_bytes()), None, "{other}");
        }
    }
}
