//! Requests to the authority: TLS 1.3, a connection each, everything bounded.

use std::{
    error::Error as StdError,
    fs,
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use http_body_util::{BodyExt as _, Limited};
use hyper::{
    Request, Response, Uri,
    body::Bytes,
    client::conn::http1,
    header::{CONNECTION, HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    version::TLS13,
};
use sremp_net::tls::CertificateError;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use crate::certificates::CertificatesError;

/// For a request and its answer.
const REQUEST_TIME: Duration = Duration::from_secs(60);
/// Largest body of an answer; a chain of certificates has a tenth of it.
const MAX_BODY: usize = 256 * 1024;
const HTTPS_PORT: u16 = 443;

type BoxError = Box<dyn StdError + Send + Sync>;
type Answered<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Believes the web's authorities, or a file of them.
#[derive(Clone, Debug)]
pub(super) struct Https(Arc<ClientConfig>);

impl Https {
    /// # Errors
    /// The file of authorities cannot be read, or has none in it.
    pub(super) fn new(authorities: Option<&Path>) -> Result<Self, CertificatesError> {
        let roots = match authorities {
            Some(file) => roots(file)?,
            None => webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
        };
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| CertificatesError::Make(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }
}

fn roots(file: &Path) -> Result<RootCertStore, CertificatesError> {
    let path = || PathBuf::from(file);
    let pem = fs::read(file).map_err(|error| CertificatesError::Read(path(), error))?;
    let bad = || CertificatesError::Bad(path(), CertificateError::NoCertificate);
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| bad())?;
        roots.add(certificate).map_err(|_| bad())?;
    }
    match roots.is_empty() {
        true => Err(bad()),
        false => Ok(roots),
    }
}

impl HttpClient for Https {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Answered<Result<BytesResponse, instant_acme::Error>> {
        let exchanged = timeout(REQUEST_TIME, exchange(self.0.clone(), request));
        Box::pin(async move {
            let answered = exchanged.await.unwrap_or_else(|late| Err(late.into()));
            answered.map_err(instant_acme::Error::Other)
        })
    }
}

async fn exchange(
    config: Arc<ClientConfig>,
    mut request: Request<BodyWrapper<Bytes>>,
) -> Result<BytesResponse, BoxError> {
    let uri = std::mem::take(request.uri_mut());
    // the authority's answers name further addresses
    let host = match (uri.scheme_str(), uri.host()) {
        (Some("https"), Some(host)) => host.to_owned(),
        _ => return Err("the authority names an address that is not https".into()),
    };
    let port = uri.port_u16().unwrap_or(HTTPS_PORT);
    to_origin(&mut request, &uri)?;
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    let name = ServerName::try_from(host)?;
    let stream = TlsConnector::from(config).connect(name, stream).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answered = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await?.to_bytes();
        Ok::<_, BoxError>(Response::from_parts(head, http_body_util::Full::new(body)))
    };
    let mut answered = std::pin::pin!(answered);
    tokio::select! {
        response = &mut answered => Ok(response?.into()),
        // its end may come together with the last of the answer
        _ = connection => Ok(answered.await?.into()),
    }
}

/// Names the place at the server that the request goes to, and the server besides (RFC 9112, 3.2.1).
fn to_origin(request: &mut Request<BodyWrapper<Bytes>>, uri: &Uri) -> Result<(), BoxError> {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::try_from(authority)?);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse()?;
    Ok(())
}
