//! The origin of all contestants: HTTP/1.1 with keep-alive, one thread, answers ready in memory.
//!
//! It is a part of this binary and not one of the contestants because it must be there whatever is installed, and must
//! treat all alike. It runs on the load generator's processor, so its cost is in nobody's account; it only has to be
//! faster than whoever asks it.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use crate::{Fault, answers, listen};

/// Serves until the process is ended.
pub(crate) fn run(addresses: &[SocketAddr]) -> Result<(), Fault> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default())?;
    let (small, large) = (answers::small(), answers::large());
    runtime.block_on(async move {
        let mut tasks = Vec::new();
        for address in addresses {
            let listener = tokio::net::TcpListener::from_std(listen::bind(*address)?)?;
            let (small, large) = (small.clone(), large.clone());
            tasks.push(tokio::task::spawn_local(listen::accept(listener, move |stream| {
                let (small, large) = (small.clone(), large.clone());
                let service = service_fn(move |request| answer(request, small.clone(), large.clone()));
                tokio::task::spawn_local(async move {
                    let serving = http1::Builder::new()
                        .header_read_timeout(None)
                        .serve_connection(TokioIo::new(stream), service);
                    // A contestant that breaks a connection off sees the failure itself.
                    let _ = serving.await;
                });
            })));
        }
        for task in tasks {
            task.await?;
        }
        Ok(())
    })
}

async fn answer(
    request: Request<Incoming>,
    small: Bytes,
    large: Bytes,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::POST, answers::UPLOAD_PATH) => match count(request.into_body()).await {
            Some(bytes) => (StatusCode::OK, Bytes::from(bytes.to_string())),
            None => (StatusCode::BAD_REQUEST, Bytes::new()),
        },
        (_, answers::SMALL_PATH) => (StatusCode::OK, small),
        (_, answers::LARGE_PATH) => (StatusCode::OK, large),
        (_, answers::HEALTH_PATH) => (StatusCode::OK, Bytes::from_static(b"well")),
        _ => (StatusCode::NOT_FOUND, Bytes::new()),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    Ok(response)
}

/// The bytes of a body that arrived whole.
async fn count(mut body: Incoming) -> Option<usize> {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame.ok()?.data_ref().map_or(0, Bytes::len);
    }
    Some(bytes)
}
