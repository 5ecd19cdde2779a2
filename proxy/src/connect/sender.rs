//! The end of a connection that requests are put into, whatever version of HTTP it speaks.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;

use bytes::Buf;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::AbortHandle;

use super::stream::OriginStream;
use crate::accept::LocalExecutor;

/// The largest head of an answer, in bytes.
const MAX_HEAD_BYTES: u32 = 256 << 10;
/// What an origin may send of one answer before the client has taken it, in bytes: enough for 12 MB/s at 80 ms.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// The same for all answers of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// Requests that share a connection, at most; an origin may allow fewer.
const MAX_STREAMS: usize = 100;

/// The end of a connection that requests are put into.
pub(crate) enum Sender<B> {
    /// One request at a time.
    Http1(http1::SendRequest<B>),
    /// Many; clones share the connection, and the number that the origin allows.
    Http2(http2::SendRequest<B>, Rc<Cell<usize>>),
}

impl<B> Sender<B>
where
    B: Body + Unpin + 'static,
    B::Data: Buf + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Starts HTTP; what carries the connection runs on this thread.
    pub(super) async fn start(
        stream: OriginStream,
        is_http2: bool,
    ) -> Result<(Self, AbortHandle), hyper::Error> {
        // Whoever waits for an answer learns of a connection's error there.
        if is_http2 {
            let (sender, mut connection) = http2::Builder::new(LocalExecutor)
                .timer(TokioTimer::new())
                .initial_stream_window_size(STREAM_WINDOW_BYTES)
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                .max_header_list_size(MAX_HEAD_BYTES)
                .handshake(TokioIo::new(stream))
                .await?;
            let allowed = Rc::new(Cell::new(connection.current_max_send_streams()));
            let tells = allowed.clone();
            let task = tokio::task::spawn_local(poll_fn(move |cx| {
                let ended = Pin::new(&mut connection).poll(cx).map(drop);
                tells.set(connection.current_max_send_streams());
                ended
            }));
            return Ok((Self::Http2(sender, allowed), task.abort_handle()));
        }
        let (sender, connection) = http1::Builder::new()
            .max_header_size(MAX_HEAD_BYTES as usize)
            .handshake(TokioIo::new(stream))
            .await?;
        let task = tokio::task::spawn_local(async move {
            let _ = connection.with_upgrades().await;
        });
        Ok((Self::Http1(sender), task.abort_handle()))
    }

    pub(crate) const fn is_http2(&self) -> bool {
        matches!(self, Self::Http2(..))
    }

    pub(crate) fn is_ready(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_ready(),
            Self::Http2(sender, _) => sender.is_ready(),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender, _) => sender.is_closed(),
        }
    }

    /// How many requests may run at once.
    pub(crate) fn max_streams(&self) -> usize {
        match self {
            Self::Http1(_) => 1,
            Self::Http2(_, allowed) => allowed.get().clamp(1, MAX_STREAMS),
        }
    }

    /// Another end of the same connection, if requests can share it.
    pub(crate) fn share(&self) -> Option<Self> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(sender, allowed) => Some(Self::Http2(sender.clone(), allowed.clone())),
        }
    }

    pub(crate) async fn ready(&mut self) -> Result<(), hyper::Error> {
        match self {
            Self::Http1(sender) => sender.ready().await,
            Self::Http2(sender, _) => sender.ready().await,
        }
    }

    /// Sends a request; what could not be sent comes back with the error.
    pub(crate) async fn try_send(
        &mut self,
        request: Request<B>,
    ) -> Result<Response<Incoming>, TrySendError<Request<B>>> {
        match self {
            Self::Http1(sender) => sender.try_send_request(request).await,
            Self::Http2(sender, _) => sender.try_send_request(request).await,
        }
    }
}
