//! How long a certificate is good (RFC 5280, section 4.1.2.5).

use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use sremp_core::time::UnixMillis;
use yasna::{ASN1Result, BERReader, parse_der, tags::TAG_UTCTIME};

/// From when until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: UnixMillis,
    pub(super) until: UnixMillis,
}

impl Validity {
    /// That of the first certificate of a chain, PEM; `None` if it is none.
    pub(super) fn of_chain(pem: &str) -> Option<Self> {
        let first = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let (from, until) = parse_der(&first, read_certificate).ok()?;
        Some(Self {
            from: UnixMillis::saturating(millis(from)),
            until: UnixMillis::saturating(millis(until)),
        })
    }

    /// When the next one is asked for: after two thirds of its life, and by `chance`, from 0 to 1, up
    /// to a twentieth of it earlier, so that servers that were started together do not ask together.
    pub(super) fn renewal(&self, chance: f64) -> UnixMillis {
        let life = self.until.get().saturating_sub(self.from.get());
        let early = (life as f64 / 20.0 * chance) as u64;
        let left = life / 3 + early;
        UnixMillis::saturating(self.until.get().saturating_sub(left))
    }
}

fn millis(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000)
}

/// Both as seconds since 1970.
fn read_certificate(reader: BERReader<'_, '_>) -> ASN1Result<(i64, i64)> {
    reader.read_sequence(|certificate| {
        let times = certificate.next().read_sequence(|signed| {
            // [0] version, serial number, algorithm, issuer
            for _ in 0..4 {
                signed.next().read_der()?;
            }
            let times = signed.next().read_sequence(|validity| {
                Ok((read_time(validity.next())?, read_time(validity.next())?))
            })?;
            while signed.read_optional(|rest| rest.read_der())?.is_some() {}
            Ok(times)
        })?;
        // how and what is signed
        certificate.next().read_der()?;
        certificate.next().read_der()?;
        Ok(times)
    })
}

/// Years up to 2049 are a UTCTime, the others a GeneralizedTime.
fn read_time(reader: BERReader<'_, '_>) -> ASN1Result<i64> {
    let time = match reader.lookahead_tag()? {
        TAG_UTCTIME => *reader.read_utctime()?.datetime(),
        _ => *reader.read_generalized_time()?.datetime(),
    };
    Ok(time.unix_timestamp())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    const DAY: u64 = 24 * 60 * 60 * 1_000;
    /// 2045-01-01, days since 1970.
    const FROM: u64 = 27_394;

    /// A certificate from 2045 until this year.
    fn until(year: i32) -> Validity {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2045, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Validity::of_chain(&pem).unwrap()
    }

    #[test]
    fn dates_are_read_in_both_spellings() {
        for (year, days) in [(2046, 365), (2055, 3_652)] {
            let validity = until(year);
            assert_eq!(validity.from.get(), FROM * DAY);
            assert_eq!(validity.until.get(), (FROM + days) * DAY, "{year}");
        }
        assert_eq!(Validity::of_chain("nothing"), None);
    }

    #[test]
    fn the_next_one_is_asked_for_long_before_the_end_and_not_by_all_at_once() {
        let ninety = Validity {
            from: UnixMillis::saturating(1_000 * DAY),
            until: UnixMillis::saturating(1_090 * DAY),
        };
        assert_eq!(ninety.renewal(0.0).get(), 1_060 * DAY);
        assert_eq!(ninety.renewal(1.0).get(), 1_055 * DAY + DAY / 2);
    }
}
