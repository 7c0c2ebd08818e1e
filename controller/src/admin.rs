//! The three pages for those who look after the process: /metrics, /healthz and /readyz.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::metrics::Metrics;

/// What the pages show.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) metrics: Arc<Mutex<Metrics>>,
    /// What has not been listed in full yet; empty when ready.
    pub(crate) pending: Arc<Mutex<Vec<&'static str>>>,
}

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener, shown: Shown) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else { continue };
        let shown = shown.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let response = page(&request, &shown);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "a connection to the admin port failed");
            }
        });
    }
}

/// Binds the address, so that a taken port is an error at the start.
pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| anyhow::anyhow!("cannot listen on {address} (--listen): {e}"))
}

fn page(request: &Request<Incoming>, shown: &Shown) -> Response<Full<Bytes>> {
    let lock = |m: &Mutex<Vec<&'static str>>| m.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (status, kind, body) = match request.uri().path() {
        // Alive: this answer comes from the thread that does the work. A missing API is no reason to restart.
        "/healthz" => (StatusCode::OK, "text/plain", "ok\n".to_owned()),
        "/readyz" => match lock(&shown.pending).as_slice() {
            [] => (StatusCode::OK, "text/plain", "ok\n".to_owned()),
            pending => {
                let body = format!("not listed yet: {}\n", pending.join(", "));
                (StatusCode::SERVICE_UNAVAILABLE, "text/plain", body)
            }
        },
        "/metrics" => match shown.metrics.lock().unwrap_or_else(PoisonError::into_inner).text() {
            Ok(text) => (StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", text),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, "text/plain", format!("{error}\n")),
        },
        _ => (StatusCode::NOT_FOUND, "text/plain", "/metrics /healthz /readyz\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    if let Ok(kind) = kind.parse() {
        response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    }
    response
}
