//! The HTTP client below [`crate::connect`].

use http::Response;
use http::header::DATE;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use kube::{Client, Config};
use tower::util::MapResponseLayer;
use tower::{BoxError, ServiceBuilder};

use crate::clock;

/// What kube makes of a configuration, with one difference: small packets are sent at once (`TCP_NODELAY`).
/// Otherwise the first request of each connection waits for the server's delayed acknowledgement of the
/// last word of the TLS handshake: 40 ms, most of what a snapshot takes.
pub(crate) fn new(config: Config) -> Result<Client, kube::Error> {
    if config.proxy_url.is_some() {
        return Ok(ClientBuilder::try_from(config)?.with_layer(&MapResponseLayer::new(noted)).build());
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(tcp)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let http: legacy::Client<_, Body> = legacy::Client::builder(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .map_response(noted)
        .service(http);
    Ok(ClientBuilder::new(service, config.default_namespace).build())
}

/// Each answer says what time it is at the API server.
fn noted<B>(answer: Response<B>) -> Response<B> {
    clock::saw(answer.headers().get(DATE).and_then(|date| date.to_str().ok()));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    /// L9: a client that passes the `Date` on to nobody leaves all decisions to the node's clock.
    #[tokio::test]
    async fn an_answer_sets_the_clock() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            let answer = "HTTP/1.1 200 OK\r\nDate: Sat, 01 Dec 2018 03:30:00 GMT\r\nContent-Length: 2\r\n\r\n{}";
            stream.write_all(answer.as_bytes()).unwrap();
            let _ = stream.read(&mut [0; 1]);
        });
        let client = crate::client(Config::new(address)).unwrap();
        let _ = client.request_text(http::Request::get("/version").body(Vec::new()).unwrap()).await.unwrap();
        let wanted: model::Timestamp = "2018-12-01T03:30:00Z".parse().unwrap();
        assert!(clock::now().duration_since(wanted).as_secs().abs() <= 60, "{}", clock::now());
        assert!(clock::ahead() < 0);
    }

    /// L25: the API server takes a request and never answers. A watch waits like that for its list, and for its opening.
    #[tokio::test]
    async fn a_request_without_an_answer_ends_though_nobody_bounds_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (asked, is_asked) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            asked.send(()).unwrap();
            let _ = stream.read(&mut [0; 1]);
        });
        let client = crate::client(Config::new(address)).unwrap();
        let waits = tokio::spawn(async move {
            client.request_text(http::Request::get("/api/v1/pods").body(Vec::new()).unwrap()).await
        });
        is_asked.await.unwrap();
        // From here on time passes as fast as nothing happens.
        tokio::time::pause();
        let answer = tokio::time::timeout(std::time::Duration::from_mins(10), waits).await;
        assert!(answer.expect("it waits for ever").unwrap().is_err());
    }
}
