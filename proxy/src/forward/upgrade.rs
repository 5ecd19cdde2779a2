//! A switch of protocols: from HTTP to a tunnel of bytes, such as WebSocket.
//!
//! The origin decides (101). From then on bytes are copied both ways until both sides have closed, nothing has moved for the
//! stream-idle timeout, or the placement is drained past its deadline. A tunnel outlives tables: a publish does not touch it.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};

use super::attempt::Lease;
use super::record::Record;
use crate::observe::Reason;

/// Each direction of a tunnel has a buffer of this size.
const BUFFER_BYTES: usize = 8 << 10;

/// Joins the two sides once both have switched. The request is recorded when the tunnel ends.
pub(crate) fn join(client: OnUpgrade, origin: OnUpgrade, lease: Lease, mut record: Record, idle: Duration) {
    let Lease { conn, in_flight, .. } = lease;
    let Some(channel) = conn.into_tunnel() else { return };
    let task = tokio::task::spawn_local(async move {
        let _in_flight = in_flight;
        let (client, origin) = match tokio::try_join!(client, origin) {
            Ok(sides) => sides,
            Err(error) => {
                tracing::debug!(%error, "the switch of protocols failed");
                record.fail(Reason::OriginBroke, "origin");
                return;
            }
        };
        let moved = Rc::new(Cell::new(0));
        let mut client = Moving { stream: TokioIo::new(client), moved: moved.clone() };
        let mut origin = TokioIo::new(origin);
        let copy = copy_bidirectional_with_sizes(&mut client, &mut origin, BUFFER_BYTES, BUFFER_BYTES);
        tokio::select! {
            copied = copy => {
                if let Ok((_, to_client)) = copied {
                    record.sent(usize::try_from(to_client).unwrap_or(usize::MAX));
                }
                record.finish();
            }
            () = stillness(&moved, idle) => record.fail(Reason::StreamIdle, "timeout"),
        }
    });
    channel.hand_over(task.abort_handle());
}

/// Waits until nothing has moved for `idle`.
async fn stillness(moved: &Cell<u64>, idle: Duration) {
    loop {
        let before = moved.get();
        tokio::time::sleep(idle).await;
        if moved.get() == before {
            return;
        }
    }
}

/// A stream that counts its movements.
struct Moving<S> {
    stream: S,
    moved: Rc<Cell<u64>>,
}

impl<S: Unpin> Moving<S> {
    fn stream(self: Pin<&mut Self>) -> Pin<&mut S> {
        let this = self.get_mut();
        this.moved.set(this.moved.get() + 1);
        Pin::new(&mut this.stream)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Moving<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready() {
            self.moved.set(self.moved.get() + 1);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Moving<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.stream().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
