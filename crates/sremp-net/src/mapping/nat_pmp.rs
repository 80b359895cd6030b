//! NAT Port Mapping Protocol: the outer address, and one TCP port (RFC 6886, section 3).

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    num::NonZeroU16,
};

use sremp_core::constants::MAPPING_LEASE;

use super::{
    MappingFailure, MappingProtocol, datagram,
    gateway::{Gateway, Granted},
    lease,
};

const VERSION: u8 = 0;
const ADDRESS: u8 = 0;
const MAP_TCP: u8 = 2;
const RESPONSE: u8 = 0x80;
const SUCCESS: u16 = 0;

/// What the gateway says, or its code.
type Answer<T> = Result<T, u16>;

/// Maps, or renews.
pub(super) async fn map(
    gateway: &Gateway,
    local_port: NonZeroU16,
    port: u16,
) -> Result<Granted, MappingFailure> {
    let refused = |code| MappingFailure::Refused(MappingProtocol::NatPmp, code);
    let bad = MappingFailure::BadAnswer(MappingProtocol::NatPmp);
    let address = datagram::ask(gateway, &[VERSION, ADDRESS], read_address).await?;
    let address = address.map_err(refused)?;
    let request = request(local_port, port, MAPPING_LEASE.as_secs() as u32);
    let mapped = datagram::ask(gateway, &request, |bytes| read_mapping(bytes, local_port)).await?;
    let (port, lifetime) = mapped.map_err(refused)?;
    if address.is_unspecified() || port == 0 {
        return Err(bad);
    }
    Ok(Granted {
        external: SocketAddrV4::new(address, port),
        lease: lease(lifetime).ok_or(bad)?,
    })
}

/// Gives back.
pub(super) async fn unmap(gateway: &Gateway, local_port: NonZeroU16) {
    let request = request(local_port, 0, 0);
    // whether it worked or not, nothing more can be done than let the lease end
    let _ = datagram::ask(gateway, &request, |bytes| read_mapping(bytes, local_port)).await;
}

fn request(local_port: NonZeroU16, port: u16, lifetime: u32) -> Vec<u8> {
    let mut bytes = vec![VERSION, MAP_TCP, 0, 0];
    bytes.extend(local_port.get().to_be_bytes());
    bytes.extend(port.to_be_bytes());
    bytes.extend(lifetime.to_be_bytes());
    bytes
}

/// The head of an answer to `op`: its code and what follows the epoch.
fn read(bytes: &[u8], op: u8) -> Option<(u16, &[u8])> {
    let ([version, answered, code @ ..], rest) = bytes.split_first_chunk::<4>()?;
    let (_epoch, rest) = rest.split_first_chunk::<4>()?;
    (*version == VERSION && *answered == RESPONSE | op).then_some((u16::from_be_bytes(*code), rest))
}

fn read_address(bytes: &[u8]) -> Option<Answer<Ipv4Addr>> {
    match read(bytes, ADDRESS)? {
        (SUCCESS, rest) => Some(Ok(Ipv4Addr::from(*rest.first_chunk::<4>()?))),
        (code, _) => Some(Err(code)),
    }
}

/// The external port and the lifetime in seconds. An answer has to repeat the local port.
fn read_mapping(bytes: &[u8], local_port: NonZeroU16) -> Option<Answer<(u16, u32)>> {
    let rest = match read(bytes, MAP_TCP)? {
        (SUCCESS, rest) => rest,
        (code, _) => return Some(Err(code)),
    };
    let (inner, rest) = rest.split_first_chunk::<2>()?;
    let (outer, rest) = rest.split_first_chunk::<2>()?;
    let lifetime = u32::from_be_bytes(*rest.first_chunk::<4>()?);
    let fits = u16::from_be_bytes(*inner) == local_port.get();
    fits.then_some(Ok((u16::from_be_bytes(*outer), lifetime)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: NonZeroU16 = NonZeroU16::new(33_399).unwrap();

    #[test]
    fn question_and_answer_are_those_of_the_rfc() {
        let bytes = request(PORT, 40_000, 7_200);
        assert_eq!(
            bytes,
            [0, 2, 0, 0, 0x82, 0x77, 0x9c, 0x40, 0, 0, 0x1c, 0x20]
        );
        let mapped = [
            0, 130, 0, 0, 0, 0, 0, 9, 0x82, 0x77, 0x9c, 0x40, 0, 0, 0x1c, 0x20,
        ];
        assert_eq!(read_mapping(&mapped, PORT), Some(Ok((40_000, 7_200))));
        let refused = [0, 130, 0, 2, 0, 0, 0, 9];
        assert_eq!(read_mapping(&refused, PORT), Some(Err(2)));
        let address = [0, 128, 0, 0, 0, 0, 0, 9, 9, 9, 9, 9];
        assert_eq!(read_address(&address), Some(Ok(Ipv4Addr::new(9, 9, 9, 9))));
    }

    #[test]
    fn an_answer_to_another_question_has_not_come() {
        let good = [
            0, 130, 0, 0, 0, 0, 0, 9, 0x82, 0x77, 0x9c, 0x40, 0, 0, 0x1c, 0x20,
        ];
        for changed in [0, 1, 8, 9] {
            let mut other = good;
            other[changed] ^= 1;
            assert_eq!(read_mapping(&other, PORT), None, "byte {changed}");
        }
        for length in 0..good.len() {
            assert_eq!(read_mapping(&good[..length], PORT), None, "{length}");
        }
        assert_eq!(read_address(&good), None);
        assert_eq!(read_address(&[0, 128, 0, 0, 0, 0, 0, 9, 9, 9, 9]), None);
    }
}
