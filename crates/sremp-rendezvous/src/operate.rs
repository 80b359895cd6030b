//! What an operator does with a server that need not run: make it, and see its link.

use sremp_core::rendezvous::RendezvousLink;
use sremp_net::clock;

use crate::{
    certificates::{Certificates, read, self_signed},
    config::Config,
    home::{HomeError, RendezvousHome},
    run::{RunError, advertised, link},
};

/// Makes a server with this config file; its link. It has a certificate of its own unless the config
/// file names one, or an authority that gives one.
///
/// # Errors
/// [`RunError`]; nothing is made then.
pub fn init(home: &RendezvousHome, config: &str) -> Result<RendezvousLink, RunError> {
    let parsed = Config::parse(config);
    let parsed = parsed.map_err(|e| HomeError::Config(home.config_path(), e.to_string()))?;
    let host = advertised(&parsed, parsed.listen)?;
    let certificate = match (parsed.certificate, parsed.acme) {
        (Some(files), _) => read(&files).map(|_| None)?,
        (None, Some(_)) => None,
        (None, None) => Some(self_signed(host.host())?),
    };
    home.create(
        config,
        certificate.as_ref(),
        clock::wall(),
        &mut rand::rng(),
    )?;
    link_of(home)
}

/// The link of a server that is made.
///
/// # Errors
/// [`RunError`].
pub fn link_of(home: &RendezvousHome) -> Result<RendezvousLink, RunError> {
    let (identity, config) = (home.identity()?, home.config()?);
    let pin = Certificates::load(home, &config)?.pin();
    link(&identity, &config, config.listen, pin)
}
