//! An origin's answer on its way to the client, and the end of the request.
//!
//! Frames are passed on as they come; the client's pace is the origin's, since nothing is read ahead. When the last frame
//! has gone the connection returns to its pool and the request is recorded. If the client goes away first, dropping this
//! closes the connection and records that instead.
//!
//! An answer that stands still for too long, or goes on past the request's deadline, is broken off. The timer for that exists
//! only once there was something to wait for, and is not moved with every frame.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::attempt::Lease;
use super::body::BrokenOff;
use super::record::Record;
use crate::observe::Reason;
use crate::request::filter_trailers;

/// The rest of an answer.
pub(crate) struct Relay {
    body: Incoming,
    /// `None` once the end was reached.
    running: Option<Box<Running>>,
}

struct Running {
    lease: Lease,
    record: Record,
    patience: Patience,
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether a frame has come since the timer was set.
    moved: bool,
}

/// How long an answer may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For the next frame.
    pub(crate) idle: Duration,
    /// For all of it.
    pub(crate) deadline: Option<Instant>,
}

impl Running {
    /// Ready with the reason when an answer has used up its patience.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Reason> {
        loop {
            let Patience { idle, deadline } = self.patience;
            let timer = self.timer.get_or_insert_with(|| {
                let idle_at = Instant::now() + idle;
                Box::pin(sleep_until(deadline.map_or(idle_at, |deadline| deadline.min(idle_at))))
            });
            ready!(timer.as_mut().poll(cx));
            if deadline.is_some_and(|deadline| deadline <= timer.deadline()) {
                return Poll::Ready(Reason::Deadline);
            }
            if !std::mem::take(&mut self.moved) {
                return Poll::Ready(Reason::StreamIdle);
            }
            self.timer = None;
        }
    }
}

impl Relay {
    pub(crate) fn new(body: Incoming, lease: Lease, record: Record, patience: Patience) -> Self {
        let is_over = body.is_end_stream();
        let running = Running { lease, record, patience, timer: None, moved: false };
        let mut relay = Self { body, running: Some(Box::new(running)) };
        if is_over {
            relay.finish();
        }
        relay
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let Some(running) = &mut self.running else { return Poll::Ready(None) };
        let Poll::Ready(polled) = Pin::new(&mut self.body).poll_frame(cx) else {
            let reason = ready!(running.poll_patience(cx));
            if let Some(mut running) = self.running.take() {
                if reason == Reason::StreamIdle {
                    running.lease.broke_off(running.record.worker());
                }
                running.record.fail(reason, "timeout");
            }
            return Poll::Ready(Some(Err(BrokenOff)));
        };
        match polled {
            Some(Ok(frame)) => {
                running.moved = true;
                let frame = match frame.into_data() {
                    Ok(data) => {
                        running.record.sent(data.len());
                        Frame::data(data)
                    }
                    Err(frame) => Frame::trailers(filter_trailers(frame.into_trailers().unwrap_or_default())),
                };
                if self.body.is_end_stream() {
                    self.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "the origin broke off");
                if let Some(mut running) = self.running.take() {
                    running.lease.broke_off(running.record.worker());
                    running.record.fail(Reason::OriginBroke, "origin");
                }
                Poll::Ready(Some(Err(BrokenOff)))
            }
            None => {
                self.finish();
                Poll::Ready(None)
            }
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.running.is_none()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    fn finish(&mut self) {
        if let Some(running) = self.running.take() {
            let Running { lease, record, .. } = *running;
            let now = record.finish();
            drop(lease.in_flight);
            lease.conn.give_back(now);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.record.fail(Reason::ClientGone, "client");
        }
    }
}
