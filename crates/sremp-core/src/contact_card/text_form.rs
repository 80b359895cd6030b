//! A card as text: a link to paste, and the smaller alphabet of QR codes.

use base32ct::{Base32UpperUnpadded, Encoding as _};
use base64ct::{Base64UrlUnpadded, Encoding as _};

use super::CardError;
use crate::constants::MAX_CARD;

/// Before the major version, in any case (RFC 3986, section 3.1).
const SCHEME: &str = "sremp:";
/// Longest text that is looked at: base32 of the largest card, twice that for white space.
const MAX_TEXT: usize = 4 * MAX_CARD;

/// `sremp:1#<base64url without padding>`.
pub(super) fn uri(bytes: &[u8]) -> String {
    format!("sremp:1#{}", Base64UrlUnpadded::encode_string(bytes))
}

/// `SREMP:1/<base32 upper case without padding>`.
pub(super) fn qr(bytes: &[u8]) -> String {
    format!("SREMP:1/{}", Base32UpperUnpadded::encode_string(bytes))
}

/// The bytes of either form.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, CardError> {
    if text.len() > MAX_TEXT {
        return Err(CardError::TooLong);
    }
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let (scheme, rest) = text
        .split_at_checked(SCHEME.len())
        .ok_or(CardError::Malformed)?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(CardError::Malformed);
    }
    let separator = rest.find(['#', '/']).ok_or(CardError::Malformed)?;
    let (version, rest) = rest.split_at(separator);
    match version {
        "1" => {}
        digits if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            return Err(CardError::Unsupported);
        }
        _ => return Err(CardError::Malformed),
    }
    if let Some(body) = rest.strip_prefix('#') {
        return Base64UrlUnpadded::decode_vec(body).map_err(|_| CardError::Malformed);
    }
    let body = rest
        .strip_prefix('/')
        .unwrap_or_default()
        .to_ascii_uppercase();
    let bytes = Base32UpperUnpadded::decode_vec(&body).map_err(|_| CardError::Malformed)?;
    // base32ct does not look at the bits behind the last byte: two texts would be one card
    if Base32UpperUnpadded::encode_string(&bytes) != body {
        return Err(CardError::Malformed);
    }
    Ok(bytes)
}
