//! SOAP: the actions of a connection service (UPnP Device Architecture 2.0, section 3; WANIPConnection
//! 1, section 2.4).

use std::{fmt::Write as _, net::Ipv4Addr, num::NonZeroU16};

use http_body_util::Full;
use hyper::{Request, StatusCode, body::Bytes, header::CONTENT_TYPE};
use roxmltree::Document;

use super::{super::gateway::Gateway, Service, address, http, xml};

/// The port is mapped for somebody else.
pub(super) const CONFLICT: u16 = 718;
/// Nothing is mapped at the port.
pub(super) const NO_SUCH_ENTRY: u16 = 714;
/// A lease is not possible.
pub(super) const ONLY_PERMANENT: u16 = 725;

/// By what the mapping is known in the gateway's list.
const DESCRIPTION: &str = "sremp";

/// Why an action gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ControlError {
    NoAnswer,
    BadAnswer,
    /// A UPnPError with this code.
    Fault(u16),
}

/// What the gateway has mapped at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) client: Ipv4Addr,
    pub(super) port: u16,
    /// What is left of it in seconds; 0 for ever.
    pub(super) lease: u32,
}

/// GetExternalIPAddress; an address that is none is a bad answer.
pub(super) async fn external_address(
    gateway: &Gateway,
    service: &Service,
) -> Result<Ipv4Addr, ControlError> {
    let read = |answer: &Document<'_>| address(xml::text(answer, "NewExternalIPAddress")?);
    act(gateway, service, "GetExternalIPAddress", &[], read).await
}

/// GetSpecificPortMappingEntry.
pub(super) async fn entry(
    gateway: &Gateway,
    service: &Service,
    port: u16,
) -> Result<Entry, ControlError> {
    let read = |answer: &Document<'_>| {
        Some(Entry {
            client: address(xml::text(answer, "NewInternalClient")?)?,
            port: xml::text(answer, "NewInternalPort")?.parse().ok()?,
            lease: xml::text(answer, "NewLeaseDuration")?.parse().ok()?,
        })
    };
    let (action, which) = ("GetSpecificPortMappingEntry", which(port));
    act(gateway, service, action, &which, read).await
}

/// AddPortMapping, to this machine's port.
pub(super) async fn add(
    gateway: &Gateway,
    service: &Service,
    local_port: NonZeroU16,
    port: u16,
    seconds: u32,
) -> Result<(), ControlError> {
    let arguments = [
        &which(port)[..],
        &[
            ("NewInternalPort", local_port.to_string()),
            ("NewInternalClient", gateway.local.to_string()),
            ("NewEnabled", "1".to_owned()),
            ("NewPortMappingDescription", DESCRIPTION.to_owned()),
            ("NewLeaseDuration", seconds.to_string()),
        ],
    ];
    let arguments = arguments.concat();
    act(gateway, service, "AddPortMapping", &arguments, done).await
}

/// DeletePortMapping.
pub(super) async fn delete(
    gateway: &Gateway,
    service: &Service,
    port: u16,
) -> Result<(), ControlError> {
    act(gateway, service, "DeletePortMapping", &which(port), done).await
}

/// Nothing is said but that it is done.
const fn done(_: &Document<'_>) -> Option<()> {
    Some(())
}

type Argument = (&'static str, String);

fn which(port: u16) -> [Argument; 3] {
    [
        ("NewRemoteHost", String::new()),
        ("NewExternalPort", port.to_string()),
        ("NewProtocol", "TCP".to_owned()),
    ]
}

async fn act<T>(
    gateway: &Gateway,
    service: &Service,
    action: &str,
    arguments: &[Argument],
    read: impl FnOnce(&Document<'_>) -> Option<T>,
) -> Result<T, ControlError> {
    let kind = service.kind;
    let request = Request::post("/")
        .header(CONTENT_TYPE, "text/xml; charset=\"utf-8\"")
        .header("SOAPAction", format!("\"{kind}#{action}\""))
        .body(Full::new(Bytes::from(envelope(kind, action, arguments))));
    let request = request.map_err(|_| ControlError::BadAnswer)?;
    let (status, text) = http::exchange(gateway, &service.place, request).await?;
    let document = xml::parse(&text).ok_or(ControlError::BadAnswer)?;
    if status == StatusCode::OK {
        return read(&document).ok_or(ControlError::BadAnswer);
    }
    let code = xml::text(&document, "errorCode").and_then(|code| code.parse().ok());
    Err(code.map_or(ControlError::BadAnswer, ControlError::Fault))
}

/// No argument has a character that XML would read.
fn envelope(kind: &str, action: &str, arguments: &[Argument]) -> String {
    let mut body = String::new();
    for (name, value) in arguments {
        // a string takes everything
        let _ = write!(body, "<{name}>{value}</{name}>");
    }
    format!(
        "<?xml version=\"1.0\"?>\r\n<s:Envelope \
         xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body><u:{action} \
         xmlns:u=\"{kind}\">{body}</u:{action}></s:Body></s:Envelope>\r\n"
    )
}
