//! The body of an answer: none, a short text of ours, or an origin's, passed on as it comes.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::relay::Relay;

/// The body of an answer.
pub(crate) enum Body {
    Empty,
    Text(Bytes),
    Relay(Relay),
}

impl Body {
    pub(crate) fn text(text: String) -> Self {
        Self::Text(Bytes::from(text))
    }
}

/// The origin broke off, so the client must not take the answer for complete.
#[derive(Debug)]
pub(crate) struct BrokenOff;

impl std::fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the origin broke off")
    }
}

impl std::error::Error for BrokenOff {}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            this @ Self::Text(_) => match std::mem::replace(this, Self::Empty) {
                Self::Text(text) => Poll::Ready(Some(Ok(Frame::data(text)))),
                _ => Poll::Ready(None),
            },
            Self::Relay(relay) => relay.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Text(text) => text.is_empty(),
            Self::Relay(relay) => relay.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Text(text) => SizeHint::with_exact(text.len() as u64),
            Self::Relay(relay) => relay.size_hint(),
        }
    }
}
