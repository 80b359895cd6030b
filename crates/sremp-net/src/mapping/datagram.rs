//! One question to the gateway's control port, sent again until an answer fits.

use std::io;

use tokio::{net::UdpSocket, time::timeout};

use super::{MappingFailure, gateway::Gateway};

/// Larger than any answer that is read (RFC 6887, section 7).
const MAX_DATAGRAM: usize = 1_100;

/// Sends `request` and waits until `read` takes an answer. What it does not take counts as if it had
/// not come, as does everything that is not from the gateway.
///
/// # Errors
/// `NoAnswer`, at once if the gateway says that nobody listens.
pub(super) async fn ask<T>(
    gateway: &Gateway,
    request: &[u8],
    read: impl Fn(&[u8]) -> Option<T>,
) -> Result<T, MappingFailure> {
    let asked = exchange(gateway, request, read).await;
    asked.ok().flatten().ok_or(MappingFailure::NoAnswer)
}

async fn exchange<T>(
    gateway: &Gateway,
    request: &[u8],
    read: impl Fn(&[u8]) -> Option<T>,
) -> io::Result<Option<T>> {
    let socket = UdpSocket::bind((gateway.local, 0)).await?;
    // the kernel drops what comes from another address or port
    socket.connect(gateway.control()).await?;
    for wait in gateway.terms.waits {
        socket.send(request).await?;
        match timeout(wait, fitting(&socket, &read)).await {
            Ok(answer) => return answer.map(Some),
            Err(_) => continue,
        }
    }
    Ok(None)
}

async fn fitting<T>(socket: &UdpSocket, read: impl Fn(&[u8]) -> Option<T>) -> io::Result<T> {
    let mut buffer = [0; MAX_DATAGRAM];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if let Some(answer) = buffer.get(..length).and_then(&read) {
            return Ok(answer);
        }
    }
}
