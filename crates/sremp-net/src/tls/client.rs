//! A client's side: a server is believed by its name or by its key.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use rustls::{
    CertificateError as Bad, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    version::TLS13,
};
use sremp_core::{
    channel::Message,
    constants::{
        DIAL_ATTEMPT_TIMEOUT, DIAL_BUDGET, MAX_DIAL_ADDRESSES, MAX_RDV_RESPONSE, RDV_ALPN,
    },
    contact_card::Endpoint,
    rendezvous::{ExporterValue, SpkiHash, address::is_public},
};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{StreamError, exporter, provider, spki_of, stream::Messages};

/// By what a server is believed to be the one that is meant.
#[derive(Clone, Debug)]
pub enum Trust {
    /// A certificate for its host by an authority of the web.
    Name,
    /// The same by these authorities, each a DER certificate: for an organisation's own, and for
    /// tests.
    Authorities(Vec<Vec<u8>>),
    /// This key, and no name, chain or date.
    Pin(SpkiHash),
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// The name of the server has no address.
    NameNotFound,
    /// It lies where nobody dials because a stranger said so.
    PrivateAddress,
    /// Nothing took the connection.
    Unreachable(io::ErrorKind),
    /// It took too long.
    Timeout,
    /// Who answered is not the server that is meant: another name, a certificate of nobody who is
    /// believed, out of date, or not the key that is pinned.
    NotTheServer,
    /// Who answered speaks no TLS 1.3, or not this protocol.
    NoCommonProtocol,
    /// An authority that was given is none.
    BadAuthority,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NameNotFound => "the rendezvous server's name has no address: check its link",
            Self::PrivateAddress => {
                "the rendezvous server lies at a private address, which a stranger named"
            }
            Self::Unreachable(_) => "nothing answers at the rendezvous server's address",
            Self::Timeout => "the rendezvous server took too long",
            Self::NotTheServer => {
                "who answers is not the rendezvous server that is meant: its certificate is for \
                 another name, out of date, or not the one in its link"
            }
            Self::NoCommonProtocol => "what answers is no rendezvous server",
            Self::BadAuthority => "a certificate of an authority that was given is none",
        })
    }
}

impl std::error::Error for ConnectError {}

impl ConnectError {
    /// How far it got: of several addresses, what the best of them said is told.
    const fn progress(self) -> u8 {
        match self {
            Self::NameNotFound | Self::PrivateAddress | Self::BadAuthority => 0,
            Self::Unreachable(_) => 1,
            Self::Timeout => 2,
            Self::NoCommonProtocol => 3,
            Self::NotTheServer => 4,
        }
    }
}

/// An open connection to a server that is the one that was meant.
#[derive(Debug)]
pub struct TlsClient {
    messages: Messages<TlsStream<TcpStream>>,
    exporter: ExporterValue,
}

impl TlsClient {
    /// What this connection exports.
    pub const fn exporter(&self) -> &ExporterValue {
        &self.exporter
    }

    /// The address of this end.
    pub fn local_ip(&self) -> Option<IpAddr> {
        let (stream, _) = self.messages.stream.get_ref();
        stream.local_addr().ok().map(|address| address.ip())
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`StreamError`].
    pub async fn send(&mut self, message: &Message) -> Result<(), StreamError> {
        self.messages.send(message).await
    }

    /// The next message. Safe to cancel.
    ///
    /// # Errors
    /// [`StreamError`].
    pub async fn next(&mut self) -> Result<Message, StreamError> {
        self.messages.next().await
    }

    /// Ends it.
    pub async fn close(mut self) {
        self.messages.close().await;
    }
}

/// A server that is dialled at another host than its certificate is for, as the records of a domain
/// name it.
#[derive(Clone, Copy, Debug)]
pub struct NamedServer<'a> {
    /// Where it is dialled.
    pub endpoint: &'a Endpoint,
    /// What its certificate has to be for.
    pub name: &'a str,
    /// What its key has to be *besides*: it comes from where the endpoint comes from, so it proves
    /// nothing by itself.
    pub spki: Option<&'a SpkiHash>,
}

/// Connects to the server at `endpoint`. With `public_only` it is not dialled if a single address
/// that its name has is not public.
///
/// # Errors
/// [`ConnectError`].
pub async fn connect(
    endpoint: &Endpoint,
    trust: &Trust,
    public_only: bool,
) -> Result<TlsClient, ConnectError> {
    let server = NamedServer {
        endpoint,
        name: endpoint.host(),
        spki: None,
    };
    connect_to(&server, trust, public_only).await
}

/// [`connect`] to a server that goes by another name.
///
/// # Errors
/// [`ConnectError`].
pub async fn connect_to(
    server: &NamedServer<'_>,
    trust: &Trust,
    public_only: bool,
) -> Result<TlsClient, ConnectError> {
    let config = Arc::new(config(trust)?);
    let dialled = timeout(DIAL_BUDGET, dial(server, public_only, config));
    dialled.await.unwrap_or(Err(ConnectError::Timeout))
}

async fn dial(
    server: &NamedServer<'_>,
    public_only: bool,
    config: Arc<ClientConfig>,
) -> Result<TlsClient, ConnectError> {
    let endpoint = server.endpoint;
    let found = lookup_host((endpoint.host(), endpoint.port())).await;
    let found: Vec<SocketAddr> = found.map_err(|_| ConnectError::NameNotFound)?.collect();
    if public_only && !found.iter().all(is_public) {
        return Err(ConnectError::PrivateAddress);
    }
    let name = ServerName::try_from(server.name.to_owned());
    let name = name.map_err(|_| ConnectError::NameNotFound)?;
    let mut failure = ConnectError::NameNotFound;
    for address in found.into_iter().take(MAX_DIAL_ADDRESSES) {
        let attempt = attempt(address, name.clone(), server.spki, config.clone());
        match timeout(DIAL_ATTEMPT_TIMEOUT, attempt).await {
            Ok(Ok(client)) => return Ok(client),
            Ok(Err(error)) if error.progress() >= failure.progress() => failure = error,
            Ok(Err(_)) => {}
            Err(_) if failure.progress() > ConnectError::Timeout.progress() => {}
            Err(_) => failure = ConnectError::Timeout,
        }
    }
    Err(failure)
}

async fn attempt(
    address: SocketAddr,
    name: ServerName<'static>,
    spki: Option<&SpkiHash>,
    config: Arc<ClientConfig>,
) -> Result<TlsClient, ConnectError> {
    let stream = TcpStream::connect(address).await;
    let stream = stream.map_err(|e| ConnectError::Unreachable(e.kind()))?;
    // without it the connection works, only slower
    let _ = stream.set_nodelay(true);
    let connected = TlsConnector::from(config).connect(name, stream).await;
    let stream = connected.map_err(|error| blame(&error))?;
    let (_, connection) = stream.get_ref();
    if connection.alpn_protocol() != Some(RDV_ALPN) {
        return Err(ConnectError::NoCommonProtocol);
    }
    let shown = connection.peer_certificates().and_then(<[_]>::first);
    if spki.is_some_and(|spki| shown.and_then(spki_of).as_ref() != Some(spki)) {
        return Err(ConnectError::NotTheServer);
    }
    let exporter = exporter(connection).ok_or(ConnectError::NoCommonProtocol)?;
    Ok(TlsClient {
        messages: Messages::new(stream, MAX_RDV_RESPONSE),
        exporter,
    })
}

fn blame(error: &io::Error) -> ConnectError {
    let tls = error.get_ref().and_then(|e| e.downcast_ref::<Error>());
    match tls {
        Some(Error::InvalidCertificate(_)) => ConnectError::NotTheServer,
        Some(_) => ConnectError::NoCommonProtocol,
        None => ConnectError::Unreachable(error.kind()),
    }
}

fn config(trust: &Trust) -> Result<ClientConfig, ConnectError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|_| ConnectError::NoCommonProtocol)?;
    let by_roots = |roots: RootCertStore| {
        builder
            .clone()
            .with_root_certificates(roots)
            .with_no_client_auth()
    };
    let mut config = match trust {
        Trust::Name => {
            let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned();
            by_roots(roots.collect::<RootCertStore>())
        }
        Trust::Authorities(list) => {
            let mut roots = RootCertStore::empty();
            for authority in list {
                let added = roots.add(CertificateDer::from(authority.as_slice()));
                added.map_err(|_| ConnectError::BadAuthority)?;
            }
            by_roots(roots)
        }
        Trust::Pin(spki) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Pinned(*spki, provider())))
            .with_no_client_auth(),
    };
    config.alpn_protocols = vec![RDV_ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(config)
}

/// Believes one key.
#[derive(Debug)]
struct Pinned(SpkiHash, Arc<CryptoProvider>);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match spki_of(end_entity) {
            Some(spki) if spki == self.0 => Ok(ServerCertVerified::assertion()),
            Some(_) => Err(Bad::UnknownIssuer.into()),
            None => Err(Bad::BadEncoding.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("there is no TLS 1.2 here".into()))
    }

    /// The key is not only shown: the handshake is signed by it.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.1.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.1.signature_verification_algorithms.supported_schemes()
    }
}
