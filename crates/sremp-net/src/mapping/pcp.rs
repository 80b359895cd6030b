//! Port Control Protocol: the MAP opcode for one TCP port (RFC 6887, sections 7 and 11).

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddrV4},
    num::NonZeroU16,
};

use sremp_core::constants::MAPPING_LEASE;

use super::{
    MappingFailure, MappingProtocol, datagram,
    gateway::{Gateway, Granted},
    lease,
};

const VERSION: u8 = 2;
const MAP: u8 = 1;
const RESPONSE: u8 = 0x80;
/// IANA's number of the protocol that is mapped.
const TCP: u8 = 6;
const SUCCESS: u8 = 0;
/// As a NAT-PMP gateway says it, in a header of its own (RFC 6886, section 3.5).
const UNSUPPORTED_VERSION: u8 = 1;
/// Of request and response: header and MAP.
const LEN: usize = 60;

/// Who may change a mapping: known to its owner and the gateway.
pub(super) type Nonce = [u8; 12];

/// An answer that fits the question.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Mapped {
        lifetime: u32,
        external: SocketAddrV4,
    },
    /// No IPv4 address, or no port.
    Strange,
    Error(u8),
}

/// Maps, or renews what has this nonce.
pub(super) async fn map(
    gateway: &Gateway,
    nonce: &Nonce,
    local_port: NonZeroU16,
    port: u16,
) -> Result<Granted, MappingFailure> {
    let lifetime = MAPPING_LEASE.as_secs() as u32;
    let request = request(gateway.local, nonce, local_port, port, lifetime);
    let answer = datagram::ask(gateway, &request, |bytes| read(bytes, nonce, local_port)).await?;
    let bad = MappingFailure::BadAnswer(MappingProtocol::Pcp);
    match answer {
        Answer::Mapped { lifetime, external } => Ok(Granted {
            external,
            lease: lease(lifetime).ok_or(bad)?,
        }),
        Answer::Strange => Err(bad),
        // the next protocol is its own
        Answer::Error(UNSUPPORTED_VERSION) => Err(MappingFailure::NoAnswer),
        Answer::Error(code) => Err(MappingFailure::Refused(MappingProtocol::Pcp, code.into())),
    }
}

/// Gives back what has this nonce.
pub(super) async fn unmap(gateway: &Gateway, nonce: &Nonce, local_port: NonZeroU16) {
    let request = request(gateway.local, nonce, local_port, 0, 0);
    // whether it worked or not, nothing more can be done than let the lease end
    let _ = datagram::ask(gateway, &request, |bytes| read(bytes, nonce, local_port)).await;
}

/// Figures 2 and 9.
fn request(
    local: Ipv4Addr,
    nonce: &Nonce,
    local_port: NonZeroU16,
    port: u16,
    lifetime: u32,
) -> Vec<u8> {
    let mut bytes = vec![VERSION, MAP, 0, 0];
    bytes.extend(lifetime.to_be_bytes());
    bytes.extend(local.to_ipv6_mapped().octets());
    bytes.extend(nonce);
    bytes.extend([TCP, 0, 0, 0]);
    bytes.extend(local_port.get().to_be_bytes());
    bytes.extend(port.to_be_bytes());
    // any address, of IPv4
    bytes.extend(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped().octets());
    bytes
}

/// Figures 3 and 10. An answer has to repeat nonce, protocol and local port, or it is to another
/// question, or by somebody who has not seen it.
fn read(bytes: &[u8], nonce: &Nonce, local_port: NonZeroU16) -> Option<Answer> {
    match bytes {
        // nothing is repeated in it
        [0, op, 0, UNSUPPORTED_VERSION, ..] if op & RESPONSE != 0 => {
            return Some(Answer::Error(UNSUPPORTED_VERSION));
        }
        [_, op, _, UNSUPPORTED_VERSION, ..] if *op == RESPONSE | MAP => {
            return Some(Answer::Error(UNSUPPORTED_VERSION));
        }
        _ => {}
    }
    let bytes = bytes.first_chunk::<LEN>()?;
    let (header, map) = bytes.split_first_chunk::<24>()?;
    let [VERSION, op, _, code, rest @ ..] = header else {
        return None;
    };
    let (lifetime, _) = rest.split_first_chunk::<4>()?;
    let (repeated, map) = map.split_first_chunk::<12>()?;
    let [TCP, _, _, _, inner @ ..] = map else {
        return None;
    };
    let (inner_port, outer) = inner.split_first_chunk::<2>()?;
    let (port, address) = outer.split_first_chunk::<2>()?;
    let fits = *op == RESPONSE | MAP
        && repeated == nonce
        && u16::from_be_bytes(*inner_port) == local_port.get();
    if !fits {
        return None;
    }
    if *code != SUCCESS {
        return Some(Answer::Error(*code));
    }
    let address = Ipv6Addr::from(*address.first_chunk::<16>()?).to_ipv4_mapped();
    let port = u16::from_be_bytes(*port);
    Some(match address {
        Some(address) if port != 0 && !address.is_unspecified() => Answer::Mapped {
            lifetime: u32::from_be_bytes(*lifetime),
            external: SocketAddrV4::new(address, port),
        },
        _ => Answer::Strange,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: Nonce = [7; 12];
    const PORT: NonZeroU16 = NonZeroU16::new(33_399).unwrap();
    const EXTERNAL: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(9, 9, 9, 9), 40_000);

    /// As a gateway makes it of the request.
    fn response(code: u8) -> Vec<u8> {
        let mut bytes = request(Ipv4Addr::new(192, 168, 1, 2), &NONCE, PORT, 0, 3_600);
        bytes[1] |= RESPONSE;
        bytes[3] = code;
        bytes[8..24].fill(0);
        bytes[42..44].copy_from_slice(&EXTERNAL.port().to_be_bytes());
        bytes[44..].copy_from_slice(&EXTERNAL.ip().to_ipv6_mapped().octets());
        bytes
    }

    #[test]
    fn the_request_is_that_of_the_rfc() {
        let bytes = request(Ipv4Addr::new(192, 168, 1, 2), &NONCE, PORT, 40_000, 7_200);
        let expected = [
            &[2, 1, 0, 0, 0, 0, 0x1c, 0x20][..],
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 168, 1, 2],
            &[7; 12],
            &[6, 0, 0, 0, 0x82, 0x77, 0x9c, 0x40],
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0],
        ];
        assert_eq!(bytes, expected.concat());
    }

    #[test]
    fn an_answer_that_repeats_the_question_is_taken() {
        let mapped = Answer::Mapped {
            lifetime: 3_600,
            external: EXTERNAL,
        };
        assert_eq!(read(&response(0), &NONCE, PORT), Some(mapped));
        assert_eq!(read(&response(2), &NONCE, PORT), Some(Answer::Error(2)));
        // a NAT-PMP gateway, and a PCP one of another version
        for old in [&[0, 0x81, 0, 1, 0, 0, 0, 9][..], &[3, 0x81, 0, 1]] {
            assert_eq!(read(old, &NONCE, PORT), Some(Answer::Error(1)), "{old:?}");
        }
    }

    #[test]
    fn an_answer_to_another_question_has_not_come() {
        let good = response(0);
        for changed in [0, 1, 24, 35, 36, 40, 41] {
            let mut other = good.clone();
            other[changed] ^= 1;
            assert_eq!(read(&other, &NONCE, PORT), None, "byte {changed}");
        }
        for length in 0..LEN {
            assert_eq!(read(&good[..length], &NONCE, PORT), None, "{length}");
        }
        assert_eq!(read(&[0xff; 2_000], &NONCE, PORT), None);
    }

    #[test]
    fn a_mapping_without_a_port_or_an_ipv4_address_is_none() {
        for (from, bytes) in [(42, &[0, 0][..]), (44, &[0x20, 1]), (56, &[0, 0, 0, 0])] {
            let mut strange = response(0);
            strange[from..from + bytes.len()].copy_from_slice(bytes);
            let answer = read(&strange, &NONCE, PORT);
            assert_eq!(answer, Some(Answer::Strange), "{from}");
        }
    }
}
