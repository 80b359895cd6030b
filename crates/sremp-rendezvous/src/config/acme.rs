//! `[acme]`: certificates from an authority.

use std::{net::IpAddr, path::PathBuf};

use serde::Deserialize;
use sremp_core::contact_card::Endpoint;

use super::ConfigError;

/// Where an authority looks whether a name is the server's (RFC 8737, section 3).
const HTTPS_PORT: u16 = 443;
/// Let's Encrypt.
const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// From whom certificates are got by ACME (RFC 8555), and for which names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acme {
    /// The names that the certificate is for.
    pub domains: Vec<String>,
    /// A mail address at which the authority reaches the operator.
    pub contact: Option<String>,
    /// The authority's directory, an `https` URL.
    #[serde(default = "lets_encrypt")]
    pub directory: String,
    /// Certificates, PEM, by one of which the directory is believed; without, by the web's authorities.
    pub authorities: Option<PathBuf>,
}

fn lets_encrypt() -> String {
    DIRECTORY.to_owned()
}

impl Acme {
    /// What is advertised unless the settings say otherwise.
    pub(super) fn endpoint(&self) -> Result<Endpoint, ConfigError> {
        let first = self.domains.first().map_or("", String::as_str);
        endpoint_of(first)
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let wrong = |what: &str| Err(ConfigError(format!("`[acme]`: {what}")));
        if self.domains.is_empty() {
            return wrong("`domains` is empty: name what the certificate is to be for");
        }
        for domain in &self.domains {
            endpoint_of(domain)?;
        }
        if !self.directory.starts_with("https://") {
            return wrong("`directory` has to be an https:// URL");
        }
        match &self.contact {
            Some(contact) if !contact.contains('@') || contact.contains(':') => {
                wrong("`contact` has to be a mail address, without `mailto:`")
            }
            _ => Ok(()),
        }
    }
}

fn endpoint_of(domain: &str) -> Result<Endpoint, ConfigError> {
    let endpoint = Endpoint::new(domain, HTTPS_PORT);
    match endpoint {
        Ok(endpoint) if domain.parse::<IpAddr>().is_err() => Ok(endpoint),
        _ => Err(ConfigError(format!(
            "`[acme]`: `domains` says {domain:?}: write a DNS name in lower case, without a wildcard"
        ))),
    }
}
