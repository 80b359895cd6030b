//! The listener: where it was last, or where the settings say.

use std::net::{SocketAddr, ToSocketAddrs as _};

use sremp_net::{Listening, Network};

use crate::{
    store::{Store, StoreError},
    view::{CommandError, ErrorKind},
};

/// The address that was listened on last.
pub(super) fn remembered(store: &mut Store) -> Result<Option<SocketAddr>, CommandError> {
    let stored = store
        .transaction(|tx| tx.setting("endpoint"))
        .map_err(<CommandError as From<StoreError>>::from)?;
    Ok(stored.and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok()))
}

/// Binds the listener. Port 0 means any free port, but rather the one of last time or of the config
/// file, if it is still free: cards that name it stay good.
pub(super) fn listen_on(
    tokio: &tokio::runtime::Runtime,
    network: &Network,
    listen: &str,
    known: impl Iterator<Item = SocketAddr>,
) -> Result<Listening, CommandError> {
    let wanted = parse_listen(listen)?;
    let same_host = known.filter(|known| known.ip() == wanted.ip() && wanted.port() == 0);
    for address in same_host {
        if let Ok(listening) = tokio.block_on(network.listen(address)) {
            return Ok(listening);
        }
    }
    tokio.block_on(network.listen(wanted)).map_err(|error| {
        let what = match error.kind() {
            std::io::ErrorKind::AddrInUse => format!(
                "port {} on {} is in use by another program; choose another with --listen, or \
                 port 0 for any free one",
                wanted.port(),
                wanted.ip()
            ),
            std::io::ErrorKind::AddrNotAvailable => format!(
                "{} is not an address of this machine; choose one of its own with --listen",
                wanted.ip()
            ),
            std::io::ErrorKind::PermissionDenied => format!(
                "port {} needs privileges that this user does not have; choose one above 1023",
                wanted.port()
            ),
            _ => format!("cannot listen on {wanted}: {error}; choose another with --listen"),
        };
        CommandError::new(ErrorKind::Network, what)
    })
}

pub(super) fn parse_listen(listen: &str) -> Result<SocketAddr, CommandError> {
    let resolved = listen.to_socket_addrs().ok();
    resolved.and_then(|mut all| all.next()).ok_or_else(|| {
        let message = format!("{listen} is no address to listen on; give ADDR:PORT, as 0.0.0.0:0");
        CommandError::new(ErrorKind::Usage, message)
    })
}
