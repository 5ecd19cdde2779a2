//! What an origin answers.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::behaviour::{Behaviour, carried_out};
use super::{
    BYTES_PATH, GRPC_PATH, HEALTH_PATH, REGION_FIELD, STREAM_GAP_MS, STREAM_PATH, STREAM_PIECE_BYTES,
    STREAM_PIECES, TAKE_PATH, WEBSOCKET_PATH,
};
use crate::sighting::FIELD;

/// A body that comes as somebody sends it.
pub(super) struct Pieces {
    frames: mpsc::Receiver<io::Result<Frame<Bytes>>>,
    /// Known beforehand; then it is one write with the head.
    whole: Option<Bytes>,
}

impl Pieces {
    fn whole(bytes: Bytes) -> Self {
        Self { frames: mpsc::channel(1).1, whole: Some(bytes) }
    }

    fn later() -> (mpsc::Sender<io::Result<Frame<Bytes>>>, Self) {
        let (sender, frames) = mpsc::channel(1);
        (sender, Self { frames, whole: None })
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.whole.take() {
            Some(bytes) if !bytes.is_empty() => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            _ => self.frames.poll_recv(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_closed() && self.frames.is_empty() && self.whole.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        self.whole.as_ref().map_or_else(SizeHint::default, |bytes| SizeHint::with_exact(bytes.len() as u64))
    }
}

/// Answers a request or a probe.
pub(super) async fn answer(
    behaviour: Arc<Behaviour>,
    mut request: Request<Incoming>,
) -> Result<Response<Pieces>, Infallible> {
    let is_probe = request.uri().path() == HEALTH_PATH;
    let mut response = if behaviour.refuses(is_probe) {
        status(StatusCode::SERVICE_UNAVAILABLE)
    } else if is_probe {
        Response::new(Pieces::whole(Bytes::from_static(b"well")))
    } else {
        obey(&behaviour, &mut request).await
    };
    let region = HeaderValue::from_str(&behaviour.region).expect("names of regions are plain");
    response.headers_mut().insert(REGION_FIELD, region);
    Ok(response)
}

async fn obey(behaviour: &Behaviour, request: &mut Request<Incoming>) -> Response<Pieces> {
    let path = request.uri().path().to_owned();
    let field = request.headers().get(FIELD).and_then(|id| id.to_str().ok());
    let id = field.unwrap_or("-").to_owned();
    let mut taken = 0;
    if request.method() == Method::POST {
        let body = request.body_mut();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => taken += frame.data_ref().map_or(0, Bytes::len),
                // What arrived in part is not carried out.
                Err(_) => return status(StatusCode::BAD_REQUEST),
            }
        }
    }
    carried_out(&id, request.method().as_str());
    if let Some(lag) = behaviour.lag() {
        tokio::time::sleep(lag).await;
    }
    if let Some(bytes) = path.strip_prefix(BYTES_PATH) {
        return cut(behaviour, Bytes::from(vec![b'z'; bytes.parse().unwrap_or(0)]));
    }
    match path.as_str() {
        TAKE_PATH => cut(behaviour, Bytes::from(taken.to_string())),
        STREAM_PATH => stream(),
        WEBSOCKET_PATH => websocket(request),
        GRPC_PATH => grpc(behaviour),
        _ => status(StatusCode::NOT_FOUND),
    }
}

fn status(status: StatusCode) -> Response<Pieces> {
    let mut response = Response::new(Pieces::whole(Bytes::from(status.to_string())));
    *response.status_mut() = status;
    response
}

/// A body, cut as the behaviour says.
fn cut(behaviour: &Behaviour, body: Bytes) -> Response<Pieces> {
    let cutting = behaviour.cutting();
    if cutting.pieces == 1 {
        return Response::new(Pieces::whole(body));
    }
    let (sender, pieces) = Pieces::later();
    let mut response = Response::new(pieces);
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let piece = body.len().div_ceil(cutting.pieces).max(1);
    tokio::spawn(async move {
        let mut left = body;
        while !left.is_empty() {
            let next = left.split_to(piece.min(left.len()));
            if sender.send(Ok(Frame::data(next))).await.is_err() {
                return;
            }
            tokio::time::sleep(cutting.gap).await;
            if cutting.is_half {
                let _ = sender.send(Err(io::ErrorKind::ConnectionReset.into())).await;
                return;
            }
        }
    });
    response
}

fn stream() -> Response<Pieces> {
    let (sender, pieces) = Pieces::later();
    tokio::spawn(async move {
        for _ in 0..STREAM_PIECES {
            let piece = Bytes::from_static(&[b'z'; STREAM_PIECE_BYTES]);
            if sender.send(Ok(Frame::data(piece))).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(STREAM_GAP_MS)).await;
        }
    });
    Response::new(pieces)
}

fn grpc(behaviour: &Behaviour) -> Response<Pieces> {
    let cutting = behaviour.cutting();
    let (sender, pieces) = Pieces::later();
    tokio::spawn(async move {
        // A message of four bytes, in a frame of gRPC's.
        let message = Bytes::from_static(b"\0\0\0\0\x04\x0a\x02ok");
        let _ = sender.send(Ok(Frame::data(message))).await;
        for _ in 1..cutting.pieces {
            tokio::time::sleep(cutting.gap).await;
        }
        let last = if cutting.is_half {
            Err(io::ErrorKind::ConnectionReset.into())
        } else {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            Ok(Frame::trailers(trailers))
        };
        let _ = sender.send(last).await;
    });
    let mut response = Response::new(pieces);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// Switches protocols. The key is always that of RFC 6455's example, and so is the answer.
fn websocket(request: &mut Request<Incoming>) -> Response<Pieces> {
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        if let Ok(stream) = upgrade.await {
            let _ = echo(TokioIo::new(stream)).await;
        }
    });
    let mut response = Response::new(Pieces::whole(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert("sec-websocket-accept", HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    response
}

/// Sends every short message back, unmasked, until the client closes.
async fn echo(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) -> io::Result<()> {
    loop {
        let (first, second) = (stream.read_u8().await?, stream.read_u8().await?);
        let mut mask = [0; 4];
        stream.read_exact(&mut mask).await?;
        let mut payload = vec![0; usize::from(second & 0x7f)];
        stream.read_exact(&mut payload).await?;
        for (index, byte) in payload.iter_mut().enumerate() {
            *byte ^= mask[index % 4];
        }
        let mut frame = vec![first, second & 0x7f];
        frame.extend_from_slice(&payload);
        stream.write_all(&frame).await?;
        stream.flush().await?;
        // 8 is the client's goodbye.
        if first & 0x0f == 8 {
            return stream.shutdown().await;
        }
    }
}
