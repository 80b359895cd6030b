//! What an operator does with a relay that need not run: make it, and invite to it.

use std::time::Duration;

use sremp_core::{contact_card::RelayLink, time::UnixMillis};

use crate::{
    clock::Clock,
    config::Config,
    home::{HomeError, RelayHome},
    invite::InviteKey,
    run::{RunError, link},
};

/// Why it was not done.
#[derive(Debug)]
pub enum OperateError {
    /// The directory.
    Home(HomeError),
    /// What is advertised.
    Run(RunError),
}

impl From<HomeError> for OperateError {
    fn from(error: HomeError) -> Self {
        Self::Home(error)
    }
}

impl From<RunError> for OperateError {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}

impl std::fmt::Display for OperateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Home(error) => error.fmt(f),
            Self::Run(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OperateError {}

/// Makes a relay with this config file; its link, without invite.
///
/// # Errors
/// [`OperateError`]; nothing is made then.
pub fn init(home: &RelayHome, config: &str) -> Result<RelayLink, OperateError> {
    let parsed = Config::parse(config);
    let parsed = parsed.map_err(|e| HomeError::Config(home.config_path(), e.to_string()))?;
    if let Some(text) = &parsed.advertise
        && text.parse::<sremp_core::contact_card::Endpoint>().is_err()
    {
        return Err(RunError::Advertise(text.clone()).into());
    }
    let identity = home.create(config, Clock::wall(), &mut rand::rng())?;
    Ok(link(&identity, &parsed, parsed.listen)?)
}

/// The link of a relay that is made, without invite.
///
/// # Errors
/// [`OperateError`].
pub fn link_of(home: &RelayHome) -> Result<RelayLink, OperateError> {
    let (identity, config) = (home.identity()?, home.config()?);
    Ok(link(&identity, &config, config.listen)?)
}

/// A link with an invite in it, and until when that holds.
///
/// # Errors
/// [`OperateError`].
pub fn invite(
    home: &RelayHome,
    life: Duration,
    single_use: bool,
) -> Result<(RelayLink, UnixMillis), OperateError> {
    let plain = link_of(home)?;
    let expires = Clock::wall().plus(life);
    let invite = InviteKey::of(&home.identity()?).make(expires, single_use, &mut rand::rng());
    let link = RelayLink::new(plain.relay(), plain.endpoint().clone(), Some(invite))
        .map_err(|_| RunError::Advertise(plain.endpoint().to_string()))?;
    Ok((link, expires))
}
