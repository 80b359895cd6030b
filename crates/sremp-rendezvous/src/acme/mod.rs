//! Certificates from an authority that speaks ACME (RFC 8555): asked for before the one that is shown
//! ends, and answered for by the server's own port (RFC 8737).
//!
//! | part | |
//! |---|---|
//! | [`Authority`] | when to ask, and what follows |
//! | `order` | one certificate, from the order to the chain |
//! | `https` | requests to the authority |
//! | `kept` | what lies in the server's directory |
//! | `validity` | how long a certificate is good |

mod https;
mod kept;
mod order;
mod validity;

use std::time::Duration;

use instant_acme::{Account, NewAccount};
use rand::RngExt as _;
use sremp_core::time::UnixMillis;
use sremp_net::{
    clock,
    tls::{Certificate, CertificateError},
};
use sremp_server::operations::Readiness;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use zeroize::Zeroizing;

use crate::{
    certificates::CertificatesError,
    config::Acme,
    home::{HomeError, RendezvousHome},
    metrics::Metrics,
};
use https::Https;
use kept::{KeptAccount, KeptCertificate};
use order::obtain;
use validity::Validity;

const MINUTE: Duration = Duration::from_secs(60);
/// For one certificate, from the directory to the chain.
const ORDER_TIME: Duration = Duration::from_secs(10 * 60);
/// Between two certificates, however short they are good: an authority limits their number.
const BETWEEN: Duration = Duration::from_secs(60 * 60);
/// After a failure, doubled with each more: Let's Encrypt bears five failures of a name in an hour.
const FIRST_RETRY: Duration = Duration::from_secs(5 * 60);
const LAST_RETRY: Duration = Duration::from_secs(6 * 60 * 60);

/// Why there is no new certificate.
#[derive(Debug)]
enum AcmeError {
    /// The authority, or the way to it.
    Protocol(instant_acme::Error),
    /// It looks for the name in no way that this server could answer.
    NoChallenge,
    /// It did not find the name to be the server's: in its words.
    Unproven(String),
    /// A certificate for a challenge.
    Make(rcgen::Error),
    /// What it gave is no certificate for the key.
    Bad(CertificateError),
    /// Nor says how long it is good.
    NoValidity,
    /// It could not be kept.
    Keep(HomeError),
    /// It takes too long.
    Timeout,
}

impl std::fmt::Display for AcmeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Protocol(instant_acme::Error::Api(problem)) => {
                write!(f, "the authority refuses: {problem}")
            }
            Self::Protocol(error) => write!(f, "the authority could not be asked: {error}"),
            Self::NoChallenge => f.write_str("the authority offers no tls-alpn-01"),
            Self::Unproven(why) => write!(
                f,
                "the authority did not reach this server by its name on port 443: {why}"
            ),
            Self::Make(error) => write!(f, "no certificate for the challenge: {error}"),
            Self::Bad(error) => write!(f, "what the authority gave is of no use: {error}"),
            Self::NoValidity => f.write_str("the authority's certificate has no dates"),
            Self::Keep(error) => error.fmt(f),
            Self::Timeout => f.write_str("the authority takes too long"),
        }
    }
}

impl std::error::Error for AcmeError {}

impl From<instant_acme::Error> for AcmeError {
    fn from(error: instant_acme::Error) -> Self {
        Self::Protocol(error)
    }
}

impl AcmeError {
    /// Whether the authority does not know the account any more.
    fn is_of_account(&self) -> bool {
        let Self::Protocol(instant_acme::Error::Api(problem)) = self else {
            return false;
        };
        problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:accountDoesNotExist")
    }
}

/// Gets certificates, and keeps the last.
#[derive(Debug)]
pub(crate) struct Authority {
    home: RendezvousHome,
    settings: Acme,
    https: Https,
    certificate: Certificate,
    shown: Option<Shown>,
    not_before: Option<Instant>,
    failures: u32,
}

/// Of the certificate that is shown.
#[derive(Clone, Copy, Debug)]
struct Shown {
    validity: Validity,
    renew: UnixMillis,
}

impl Shown {
    fn new(validity: Validity) -> Self {
        Self {
            validity,
            renew: validity.renewal(rand::rng().random_range(0.0..1.0)),
        }
    }
}

impl Authority {
    /// With the certificate that is kept, if it is for these settings. Asks nobody.
    ///
    /// # Errors
    /// The file of authorities cannot be read.
    pub(crate) fn new(home: &RendezvousHome, settings: &Acme) -> Result<Self, CertificatesError> {
        let mut authority = Self {
            https: Https::new(settings.authorities.as_deref())?,
            home: home.clone(),
            settings: settings.clone(),
            certificate: Certificate::awaited(),
            shown: None,
            not_before: None,
            failures: 0,
        };
        if let Some(kept) = KeptCertificate::read(home, settings) {
            match kept.usable() {
                Ok((certificate, validity)) => authority.show(&certificate, validity),
                Err(error) => tracing::warn!(%error, "the kept certificate is of no use"),
            }
        }
        Ok(authority)
    }

    /// What is shown, also after it is replaced.
    pub(crate) const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Whether clients can believe what is shown.
    pub(crate) fn is_good(&self) -> bool {
        self.shown
            .is_some_and(|shown| clock::wall() < shown.validity.until)
    }

    /// Sees to it that there is a certificate, for as long as the server runs.
    pub(crate) async fn attend(mut self: Box<Self>, metrics: Metrics, readiness: Readiness) {
        let mut minutes = interval(MINUTE);
        minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            minutes.tick().await;
            if self.is_due() {
                self.ask(&metrics).await;
            }
            readiness.set(self.is_good());
        }
    }

    fn is_due(&self) -> bool {
        let due = self.shown.is_none_or(|shown| shown.renew <= clock::wall());
        due && self.not_before.is_none_or(|then| then <= Instant::now())
    }

    async fn ask(&mut self, metrics: &Metrics) {
        let asked = timeout(ORDER_TIME, self.renew()).await;
        match asked.unwrap_or(Err(AcmeError::Timeout)) {
            Ok(()) => {
                self.failures = 0;
                self.not_before = Some(Instant::now() + BETWEEN);
                metrics.certificate("obtained");
                tracing::info!("a certificate of the authority is shown from now on");
            }
            Err(error) => {
                let rest = retry(self.failures).mul_f64(rand::rng().random_range(1.0..1.25));
                self.failures = self.failures.saturating_add(1);
                self.not_before = Some(Instant::now() + rest);
                metrics.certificate("failed");
                let seconds = rest.as_secs();
                tracing::error!(%error, seconds, "the authority gave no certificate; asked again then");
            }
        }
    }

    async fn renew(&mut self) -> Result<(), AcmeError> {
        let account = self.account().await?;
        let obtained = obtain(&account, &self.settings.domains, &self.certificate).await;
        if obtained.as_ref().is_err_and(AcmeError::is_of_account) {
            KeptAccount::forget(&self.home);
        }
        let kept = KeptCertificate::of(&self.settings, obtained?);
        let (certificate, validity) = kept.usable()?;
        // shown also if it cannot be kept: it is good, and costs one of a limited number
        self.show(&certificate, validity);
        kept.write(&self.home).map_err(AcmeError::Keep)
    }

    fn show(&mut self, certificate: &Certificate, validity: Validity) {
        self.certificate.replace(certificate);
        self.shown = Some(Shown::new(validity));
    }

    /// The kept account, or a new one.
    async fn account(&self) -> Result<Account, AcmeError> {
        let builder = Account::builder_with_http(Box::new(self.https.clone()));
        if let Some(kept) = KeptAccount::read(&self.home, &self.settings) {
            return Ok(builder.from_credentials(kept).await?);
        }
        let contact = self.settings.contact.as_ref();
        let contact = contact.map(|mail| format!("mailto:{mail}"));
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let new = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let directory = self.settings.directory.clone();
        let (account, credentials) = builder.create(&new, directory, None).await?;
        let json = serde_json::to_vec(&credentials).map_err(instant_acme::Error::from)?;
        KeptAccount::write(&self.home, &self.settings, &Zeroizing::new(json))
            .map_err(AcmeError::Keep)?;
        Ok(account)
    }
}

/// How long to rest after a failure that so many preceded.
fn retry(failures: u32) -> Duration {
    let doubled = FIRST_RETRY.saturating_mul(1 << failures.min(16));
    doubled.min(LAST_RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_that_fails_is_asked_four_times_in_the_first_hour_and_never_given_up() {
        let asked: Vec<u64> = (0..4).map(|n| retry(n).as_secs() / 60).collect();
        assert_eq!(asked, [5, 10, 20, 40]);
        assert_eq!(retry(u32::MAX), LAST_RETRY);
    }
}
