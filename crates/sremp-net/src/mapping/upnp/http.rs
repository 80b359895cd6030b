//! One HTTP exchange with the gateway: a connection of its own, no redirect followed, everything
//! bounded.

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{CONNECTION, HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use sremp_core::constants::MAX_UPNP_BODY;
use tokio::{net::TcpStream, time::timeout};

use super::{super::gateway::Gateway, control::ControlError, place::Place};

/// Largest head of an answer; what hyper takes at least.
const MAX_HEAD: usize = 8_192;

/// Sends a request to a place at the gateway and reads the answer.
///
/// # Errors
/// `NoAnswer` when nothing comes in time, `BadAnswer` when it is too large, broken or no text.
pub(super) async fn exchange(
    gateway: &Gateway,
    place: &Place,
    mut request: Request<Full<Bytes>>,
) -> Result<(StatusCode, String), ControlError> {
    *request.uri_mut() = place.path.clone().into();
    let host = format!("{}:{}", gateway.address, place.port);
    let host = HeaderValue::try_from(host).map_err(|_| ControlError::BadAnswer)?;
    request.headers_mut().insert(HOST, host);
    let close = HeaderValue::from_static("close");
    request.headers_mut().insert(CONNECTION, close);
    let exchanged = timeout(gateway.terms.http, over_tcp(gateway, place, request));
    exchanged.await.unwrap_or(Err(ControlError::NoAnswer))
}

async fn over_tcp(
    gateway: &Gateway,
    place: &Place,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, String), ControlError> {
    let stream = TcpStream::connect((gateway.address, place.port)).await;
    let stream = stream.map_err(|_| ControlError::NoAnswer)?;
    let mut http = http1::Builder::new();
    http.max_buf_size(MAX_HEAD);
    let (mut sender, connection) = http
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| ControlError::NoAnswer)?;
    let answered = async {
        let response = sender.send_request(request).await;
        let response = response.map_err(|_| ControlError::BadAnswer)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_UPNP_BODY).collect();
        let body = body.await.map_err(|_| ControlError::BadAnswer)?.to_bytes();
        let text = String::from_utf8(body.into()).map_err(|_| ControlError::BadAnswer)?;
        Ok((status, text))
    };
    let driven = async {
        // what ends it ends the answer too
        let _ = connection.await;
        std::future::pending().await
    };
    tokio::select! {
        biased;
        answered = answered => answered,
        answered = driven => answered,
    }
}
