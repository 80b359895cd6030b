//! How an authority looks whether a name is a server's (RFC 8737, section 3).

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring::default_provider, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    version::TLS13,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::{
    extensions::{GeneralName, ParsedExtension},
    parse_x509_certificate,
};

/// id-pe-acmeIdentifier.
const ACME_IDENTIFIER: &str = "1.3.6.1.5.5.7.1.31";

/// Connects to the server at this port of loopback, and checks that it shows the proof for this name:
/// why it is none otherwise.
pub(crate) async fn look(port: u16, domain: &str, authorization: &str) -> Result<(), String> {
    let shown = shown(port, domain).await?;
    let (_, certificate) = parse_x509_certificate(&shown).map_err(|e| e.to_string())?;
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.ok_or("the certificate has no name")?;
    if names.value.general_names != [GeneralName::DNSName(domain)] {
        return Err(format!("it is for {:?}", names.value.general_names));
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, authorization.as_bytes());
    // an OCTET STRING of 32 bytes
    let expected = [&[4, 32], digest.as_ref()].concat();
    let mut extensions = certificate.extensions().iter();
    let found = extensions.find(|extension| extension.oid.to_id_string() == ACME_IDENTIFIER);
    let found = found.ok_or("there is no acmeIdentifier")?;
    assert!(matches!(
        found.parsed_extension(),
        ParsedExtension::UnsupportedExtension { .. }
    ));
    match found.critical && found.value == expected {
        true => Ok(()),
        false => Err("acmeIdentifier is another".to_owned()),
    }
}

/// The certificate that is shown to who offers `acme-tls/1` alone and asks for this name.
pub(crate) async fn shown(port: u16, domain: &str) -> Result<Vec<u8>, String> {
    let provider = Arc::new(default_provider());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let stream = TcpStream::connect(("127.0.0.1", port)).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let name = ServerName::try_from(domain.to_owned()).unwrap();
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let stream = connected.await.map_err(|error| error.to_string())?;
    let (_, connection) = stream.get_ref();
    if connection.alpn_protocol() != Some(b"acme-tls/1") {
        return Err("acme-tls/1 is not spoken".to_owned());
    }
    let shown = connection.peer_certificates().and_then(<[_]>::first);
    shown
        .map(|shown| shown.to_vec())
        .ok_or_else(|| "nothing".to_owned())
}

/// Believes whoever holds the key of the certificate that is shown.
#[derive(Debug)]
struct Anything(Arc<CryptoProvider>);

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("there is no TLS 1.2 here".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // of the whole certificate rustls would refuse the critical extension
        let (_, certificate) = parse_x509_certificate(certificate)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let key = SubjectPublicKeyInfoDer::from(certificate.public_key().raw);
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
