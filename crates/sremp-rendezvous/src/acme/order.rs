//! One certificate: an order, a proof for each name, a key, the chain (RFC 8555, section 7.4).

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, ChallengeType, Identifier, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use sremp_net::tls::{Certificate, Challenge};
use zeroize::Zeroizing;

use super::AcmeError;

/// For the authority to look, and for it to sign.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(120));

/// A chain, the server's own certificate first, and its new key, both PEM.
pub(super) struct Obtained {
    pub(super) chain: String,
    pub(super) key: String,
}

/// Gets a certificate for these names; meanwhile `shown` answers the authority.
///
/// # Errors
/// [`AcmeError`].
pub(super) async fn obtain(
    account: &Account,
    domains: &[String],
    shown: &Certificate,
) -> Result<Obtained, AcmeError> {
    let names: Vec<_> = domains.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    // answered until the authority has looked
    let challenges = prove(&mut order, shown).await?;
    let proven = order.poll_ready(&PATIENCE).await;
    drop(challenges);
    if !matches!(proven, Ok(OrderStatus::Ready)) {
        return Err(match why_not(&mut order).await {
            Some(why) => AcmeError::Unproven(why),
            None => proven.map_or_else(Into::into, |_| AcmeError::Unproven(String::new())),
        });
    }
    let key = order.finalize().await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    Ok(Obtained { chain, key })
}

/// Answers a challenge for each name that is not proven yet, and says so to the authority.
async fn prove(order: &mut Order, shown: &Certificate) -> Result<Vec<Challenge>, AcmeError> {
    let mut answered = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let mut challenge = authorization
            .challenge(ChallengeType::TlsAlpn01)
            .ok_or(AcmeError::NoChallenge)?;
        let name = challenge.identifier().to_string();
        let digest = challenge.key_authorization().digest();
        answered.push(answer(shown, &name, digest.as_ref())?);
        challenge.set_ready().await?;
    }
    Ok(answered)
}

/// Shows the certificate that proves a name (RFC 8737, section 3): for that name alone, with the digest.
fn answer(shown: &Certificate, name: &str, digest: &[u8]) -> Result<Challenge, AcmeError> {
    let mut params = CertificateParams::new([name.to_owned()]).map_err(AcmeError::Make)?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate().map_err(AcmeError::Make)?;
    let made = params.self_signed(&key).map_err(AcmeError::Make)?;
    let key = Zeroizing::new(key.serialize_der());
    let answer = shown.challenged(name, made.der(), &key);
    answer.map_err(AcmeError::Bad)
}

/// What the authority says of the first name that it did not find to be the server's.
async fn why_not(order: &mut Order) -> Option<String> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if let Some(why) = error_of(&mut authorization).await {
            return Some(why);
        }
    }
    None
}

async fn error_of(authorization: &mut AuthorizationHandle<'_>) -> Option<String> {
    let state = authorization.refresh().await.ok()?;
    let mut challenges = state.challenges.iter();
    challenges.find_map(|challenge| Some(challenge.error.as_ref()?.to_string()))
}
