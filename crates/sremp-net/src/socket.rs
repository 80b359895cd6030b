//! What is asked of the operating system for each stream.

use std::time::Duration;

use tokio::net::TcpStream;

/// Longest pause between two attempts of TCP to have data through. Its own grows to two minutes, so
/// whoever was cut off for ten seconds would have what waits for him after ten more; shorter than a
/// round trip it must not be.
const MAX_RETRANSMISSION_PAUSE: Duration = Duration::from_secs(2);
/// TCP gives up after so many attempts, or this time where it is set. The channel, which asks for a
/// sign of life, decides before.
const GIVES_UP_AFTER: Duration = Duration::from_secs(300);
/// Control of congestion that does not take each lost packet for a full path: over one that loses a
/// fifth of them, Linux' own `cubic` carries a few packets a second (`docs/decisions/0021`).
#[cfg(target_os = "linux")]
const CONGESTION_CONTROL: &str = "bbr";

/// Sets what a channel needs; without it a stream works, only slower.
pub(crate) fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    {
        // refused where the kernel has not loaded it: the system's own stays
        let _ = rustix::net::sockopt::set_tcp_congestion(stream, CONGESTION_CONTROL);
        retransmission::bound(stream, MAX_RETRANSMISSION_PAUSE, GIVES_UP_AFTER);
    }
}

#[cfg(target_os = "linux")]
mod retransmission {
    use std::time::Duration;

    use nix::{getsockopt_impl, setsockopt_impl, sockopt_impl, sys::socket::SetSockOpt as _};
    use rustix::net::sockopt::set_tcp_user_timeout;
    use tokio::net::TcpStream;

    /// Of `linux/tcp.h`, since Linux 6.15.
    const TCP_RTO_MAX_MS: libc::c_int = 44;

    sockopt_impl!(
        /// The longest pause between retransmissions, in milliseconds.
        RtoMaxMs,
        Both,
        libc::IPPROTO_TCP,
        TCP_RTO_MAX_MS,
        u32
    );

    /// An older kernel keeps its pauses. The number of attempts would be used up in seconds with
    /// short ones, so the time to give up goes first.
    pub(super) fn bound(stream: &TcpStream, pause: Duration, gives_up: Duration) {
        let millis = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        if set_tcp_user_timeout(stream, millis(gives_up)).is_ok() {
            let _ = RtoMaxMs.set(stream, &millis(pause));
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use nix::sys::socket::GetSockOpt as _;
    use tokio::net::TcpListener;

    use super::{retransmission::RtoMaxMs, *};

    async fn a_stream() -> (TcpListener, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap());
        let stream = stream.await.unwrap();
        (listener, stream)
    }

    #[tokio::test]
    async fn a_lossy_path_is_not_taken_for_a_full_one_where_the_system_can() {
        let known = "/proc/sys/net/ipv4/tcp_allowed_congestion_control";
        let known = std::fs::read_to_string(known).unwrap();
        let (_listener, stream) = a_stream().await;
        rustix::net::sockopt::set_tcp_congestion(&stream, "reno").unwrap();
        prepare(&stream);
        let expected = match known.split_whitespace().any(|name| name == "bbr") {
            true => "bbr",
            false => "reno",
        };
        let used = rustix::net::sockopt::tcp_congestion(&stream).unwrap();
        assert_eq!(used, expected);
    }

    #[tokio::test]
    async fn a_stream_is_tried_again_every_two_seconds_and_for_five_minutes() {
        let (_listener, stream) = a_stream().await;
        let Ok(by_default) = RtoMaxMs.get(&stream) else {
            eprintln!("this kernel has no TCP_RTO_MAX_MS");
            return;
        };
        assert_ne!(by_default, 2_000);
        prepare(&stream);
        assert_eq!(RtoMaxMs.get(&stream), Ok(2_000));
        let gives_up = rustix::net::sockopt::tcp_user_timeout(&stream);
        assert_eq!(gives_up, Ok(300_000));
        assert!(stream.nodelay().unwrap());
    }
}
