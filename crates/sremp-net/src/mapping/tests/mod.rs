//! Gateways on loopback, good ones and bad ones.

mod datagrams;
mod fake;
mod keeping;
mod upnp;

use super::{
    MappingFailure, MappingProtocol, MappingRequest,
    gateway::{Home, Token},
    keep::{Grant, Router as _},
};

type Obtained = Result<Grant<Token>, MappingFailure>;

/// What a gateway gives to a machine that asks it over this protocol.
async fn obtain(gateway: &fake::Gateway, protocol: MappingProtocol) -> (Home, Obtained) {
    let request = MappingRequest {
        protocols: vec![protocol],
        ..fake::request()
    };
    let mut home = Home::new(request, gateway.terms);
    let obtained = home.obtain(None).await;
    (home, obtained)
}
