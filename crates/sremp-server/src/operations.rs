//! Metrics, health and readiness over HTTP, for the operator's own machine.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use tokio::net::TcpListener;

/// Gives the metrics as text.
pub type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// Whether the server takes what it is there for.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// From now on it does, or does not.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }

    /// Whether it does.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
struct Shown {
    metrics: Render,
    readiness: Readiness,
}

/// Binds the HTTP listener.
///
/// # Errors
/// The operating system's.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves `/metrics`, `/healthz` (the process answers) and `/readyz` (it takes what it is there for) until
/// it is dropped.
///
/// # Errors
/// The operating system's.
pub async fn serve(
    listener: TcpListener,
    metrics: Render,
    readiness: Readiness,
) -> std::io::Result<()> {
    let shown = Shown { metrics, readiness };
    let router = Router::new()
        .route("/metrics", get(render))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .with_state(shown);
    axum::serve(listener, router).await
}

async fn render(State(shown): State<Shown>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, kind)], (shown.metrics)())
}

async fn ready(State(shown): State<Shown>) -> impl IntoResponse {
    match shown.readiness.get() {
        true => (StatusCode::OK, "ready\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    }
}
