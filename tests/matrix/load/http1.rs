//! Requests over kept connections of HTTP/1.1.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::outcome::Slot;
use super::{Due, End, HOST, Method};
use crate::origin::{BYTES_PATH, REGION_FIELD, STREAM_PATH, STREAM_PIECE_BYTES, STREAM_PIECES, TAKE_PATH};
use crate::sighting::FIELD;

/// Bytes of a small body.
const SMALL: usize = 200;

/// Connections that lie unused, the last one first.
#[derive(Clone)]
pub(super) struct Pool {
    door: SocketAddr,
    idle: Arc<Mutex<Vec<SendRequest<Full<Bytes>>>>>,
    small: Bytes,
}

impl Pool {
    pub(super) fn new(door: SocketAddr) -> Self {
        Self { door, idle: Arc::default(), small: Bytes::from(vec![b'z'; SMALL]) }
    }

    pub(super) async fn ask(&self, due: &Due, slot: &Slot) -> End {
        let Some(mut sender) = self.connection().await else { return End::Broken };
        let (request, expected) = self.request(due);
        let response = match sender.send_request(request).await {
            Ok(response) => response,
            Err(error) => {
                slot.said(&error.to_string());
                return End::Broken;
            }
        };
        slot.head(response.status().as_u16(), region(response.headers()));
        let end = read(response, expected, slot).await;
        if matches!(end, End::Answered | End::Refused) && sender.ready().await.is_ok() {
            self.idle.lock().expect("nobody panics with it").push(sender);
        }
        end
    }

    async fn connection(&self) -> Option<SendRequest<Full<Bytes>>> {
        loop {
            let idle = self.idle.lock().expect("nobody panics with it").pop();
            match idle {
                Some(sender) if sender.is_closed() || !sender.is_ready() => {}
                Some(sender) => return Some(sender),
                None => break,
            }
        }
        let stream = TcpStream::connect(self.door).await.ok()?;
        let _ = stream.set_nodelay(true);
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        Some(sender)
    }

    /// The request, and what its answer must be.
    fn request(&self, due: &Due) -> (Request<Full<Bytes>>, Expected) {
        let (method, path, body, expected) = match due.method {
            Method::Get => {
                ("GET", format!("{BYTES_PATH}{}", due.bytes), Bytes::new(), Expected::Bytes(due.bytes))
            }
            Method::Stream => {
                let bytes = STREAM_PIECES * STREAM_PIECE_BYTES;
                ("GET", STREAM_PATH.to_owned(), Bytes::new(), Expected::Bytes(bytes))
            }
            _ => ("POST", TAKE_PATH.to_owned(), self.small.clone(), Expected::Text(SMALL.to_string())),
        };
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, HOST);
        if due.method == Method::KeyedPost {
            request = request.header("idempotency-key", format!("\"order-{}\"", due.id));
        }
        let mut request = request.body(Full::new(body)).expect("paths here are paths");
        mark(request.headers_mut(), due);
        (request, expected)
    }
}

/// What an answer must be.
enum Expected {
    Bytes(usize),
    Text(String),
}

/// Says whose request it is, and which.
pub(super) fn mark(headers: &mut HeaderMap, due: &Due) {
    let text = |text: String| HeaderValue::from_str(&text).expect("numbers are plain");
    headers.insert(FIELD, text(due.id.to_string()));
    // What an edge's own log calls it.
    headers.insert("x-request-id", text(format!("m{}", due.id)));
    headers.insert("x-forwarded-for", text(Ipv4Addr::from(due.client).to_string()));
}

/// The region that answered.
pub(super) fn region(headers: &HeaderMap) -> Option<&str> {
    headers.get(REGION_FIELD)?.to_str().ok()
}

async fn read(response: Response<Incoming>, expected: Expected, slot: &Slot) -> End {
    let is_good = response.status() == 200;
    let mut body = response.into_body();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
            Err(_) => return if is_good { End::Truncated } else { End::Refused },
        }
    }
    if !is_good {
        slot.said(&String::from_utf8_lossy(&bytes));
        return End::Refused;
    }
    let is_right = match expected {
        Expected::Bytes(expected) => bytes.len() == expected && bytes.iter().all(|byte| *byte == b'z'),
        Expected::Text(expected) => bytes == expected,
    };
    if is_right { End::Answered } else { End::Truncated }
}
