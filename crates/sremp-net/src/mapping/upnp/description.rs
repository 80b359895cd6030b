//! The device description: which services there are, and where they are controlled (UPnP Device
//! Architecture 2.0, section 2.3).

use http_body_util::Full;
use hyper::{Request, StatusCode};

use super::{
    super::{MappingFailure, gateway::Gateway},
    BAD_ANSWER, http,
    place::Place,
    xml,
};

/// Services that map ports.
const KINDS: [&str; 3] = [
    "urn:schemas-upnp-org:service:WANIPConnection:2",
    "urn:schemas-upnp-org:service:WANIPConnection:1",
    "urn:schemas-upnp-org:service:WANPPPConnection:1",
];

/// A service of the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Service {
    pub(super) kind: &'static str,
    pub(super) place: Place,
}

/// Reads the services that map ports.
///
/// # Errors
/// `NoAnswer`; `BadAnswer` if there is no such service at the gateway itself.
pub(super) async fn read(gateway: &Gateway, place: &Place) -> Result<Vec<Service>, MappingFailure> {
    let request = Request::new(Full::default());
    let (status, text) = http::exchange(gateway, place, request).await?;
    if status != StatusCode::OK {
        return Err(BAD_ANSWER);
    }
    let services = services(&text, place, gateway).unwrap_or_default();
    match services.is_empty() {
        true => Err(BAD_ANSWER),
        false => Ok(services),
    }
}

fn services(text: &str, place: &Place, gateway: &Gateway) -> Option<Vec<Service>> {
    let document = xml::parse(text)?;
    let base = match xml::text(&document, "URLBase") {
        Some(base) if !base.is_empty() => Place::parse(base, gateway.address)?,
        _ => place.clone(),
    };
    let elements = document.descendants();
    let services = elements.filter(|node| xml::is(node, "service"));
    let services = services.filter_map(|node| {
        let kind = xml::child(&node, "serviceType")?;
        let kind = KINDS.into_iter().find(|known| *known == kind)?;
        let place = base.join(xml::child(&node, "controlURL")?, gateway.address)?;
        Some(Service { kind, place })
    });
    Some(services.collect())
}
