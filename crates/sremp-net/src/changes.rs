//! When this host gets or loses an address, or a link comes back: what could not be reached may be
//! reached now.

#[cfg(target_os = "linux")]
mod carrier;

use std::{net::IpAddr, time::Duration};

use netwatcher::{AsyncWatch, Update, async_adapter::Tokio, watch_interfaces_async};
use tokio::time::{Instant, timeout_at};

#[cfg(target_os = "linux")]
use self::carrier::Carriers;

/// Changes come in groups: quiet for so long, it is one.
const QUIET: Duration = Duration::from_millis(300);
/// A change is told after this time even if it is not quiet by then.
const AT_LAST: Duration = Duration::from_secs(2);

/// The changes of this host's network.
pub struct NetworkChanges {
    addresses: AsyncWatch,
    /// `None` where the system does not say.
    #[cfg(target_os = "linux")]
    carriers: Option<Carriers>,
}

impl NetworkChanges {
    /// Watches from now on, inside a tokio runtime; `None` if the system does not say.
    pub fn watch() -> Option<Self> {
        Some(Self {
            addresses: watch_interfaces_async::<Tokio>().ok()?,
            #[cfg(target_os = "linux")]
            carriers: Carriers::watch(),
        })
    }

    /// Waits for the next one. Addresses that reach no further than this host or its link do not
    /// count.
    pub async fn next(&mut self) {
        while !self.something().await {}
        let end = Instant::now() + AT_LAST;
        while Instant::now() < end {
            let quiet = (Instant::now() + QUIET).min(end);
            if timeout_at(quiet, self.something()).await.is_err() {
                return;
            }
        }
    }

    /// Waits for anything to happen, and tells whether it counts. Safe to cancel.
    #[cfg(target_os = "linux")]
    async fn something(&mut self) -> bool {
        let Some(carriers) = &mut self.carriers else {
            return counts(&self.addresses.changed().await);
        };
        tokio::select! {
            update = self.addresses.changed() => counts(&update),
            () = carriers.came() => true,
        }
    }

    #[cfg(not(target_os = "linux"))]
    async fn something(&mut self) -> bool {
        counts(&self.addresses.changed().await)
    }
}

fn counts(update: &Update) -> bool {
    let all = update.addrs_added().chain(update.addrs_removed());
    !update.is_initial
        && all
            .into_iter()
            .any(|(_, record)| reaches_further(record.ip))
}

fn reaches_further(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_host_and_of_its_link_do_not_count() {
        for near in ["127.0.0.1", "169.254.1.1", "::1", "fe80::1"] {
            assert!(!reaches_further(near.parse().unwrap()), "{near}");
        }
        for far in ["192.168.1.2", "203.0.113.9", "fd00::1", "2001:db8::1"] {
            assert!(reaches_further(far.parse().unwrap()), "{far}");
        }
    }
}
