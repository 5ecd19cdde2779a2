//! An origin that says where it is.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// The header in which an origin says its region.
pub(super) const REGION: HeaderName = HeaderName::from_static("x-demo-region");

/// Starts an origin of a region on the current runtime.
pub(super) async fn start(region: &'static str) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(async move {
                let service =
                    service_fn(
                        move |_: Request<Incoming>| async move { Ok::<_, Infallible>(answer(region)) },
                    );
                let http = hyper::server::conn::http1::Builder::new();
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(address)
}

fn answer(region: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("hello from {region}\n"))));
    response.headers_mut().insert(REGION, HeaderValue::from_static(region));
    response
}
