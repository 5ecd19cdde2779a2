//! Unary gRPC calls over HTTP/2 without TLS, framed by hand.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::http1::{mark, region};
use super::outcome::Slot;
use super::{Due, End, GRPC_HOST};
use crate::origin::GRPC_PATH;

/// A connection that all calls share, opened anew when it ends.
#[derive(Clone)]
pub(super) struct Channel {
    door: SocketAddr,
    sender: Arc<Mutex<Option<SendRequest<Full<Bytes>>>>>,
}

impl Channel {
    pub(super) fn new(door: SocketAddr) -> Self {
        Self { door, sender: Arc::default() }
    }

    pub(super) async fn call(&self, due: &Due, slot: &Slot) -> End {
        let Some(mut sender) = self.sender().await else { return End::Broken };
        let uri = format!("http://{GRPC_HOST}{GRPC_PATH}");
        let message = Bytes::from_static(b"\0\0\0\0\x04\x0a\x02hi");
        let request = Request::post(uri)
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .body(Full::new(message));
        let mut request = request.expect("the address is one");
        mark(request.headers_mut(), due);
        let response = match sender.send_request(request).await {
            Ok(response) => response,
            Err(error) => {
                slot.said(&error.to_string());
                return End::Broken;
            }
        };
        let (head, body) = response.into_parts();
        slot.head(head.status.as_u16(), region(&head.headers));
        let Ok(collected) = body.collect().await else { return End::Truncated };
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let bytes = collected.to_bytes();
        match status(&head.headers).or_else(|| status(&trailers)) {
            Some("0") if bytes.len() == 9 => End::Answered,
            Some("0") => End::Truncated,
            Some(code) => {
                let said =
                    [&head.headers, &trailers].into_iter().find_map(|fields| fields.get("grpc-message"));
                let said = said.and_then(|said| said.to_str().ok()).unwrap_or_default();
                slot.said(&format!("grpc-status {code}: {said}"));
                // After a message, a bad status says that the answer broke off.
                if bytes.is_empty() { End::Refused } else { End::Truncated }
            }
            None if head.status == 200 => End::Truncated,
            None => End::Refused,
        }
    }

    async fn sender(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut kept = self.sender.lock().await;
        if let Some(sender) = kept.as_ref().filter(|sender| !sender.is_closed()) {
            return Some(sender.clone());
        }
        let stream = TcpStream::connect(self.door).await.ok()?;
        let _ = stream.set_nodelay(true);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        *kept = Some(sender.clone());
        Some(sender)
    }
}

fn status(fields: &HeaderMap) -> Option<&str> {
    fields.get("grpc-status")?.to_str().ok()
}
