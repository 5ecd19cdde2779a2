//! `Expect: 100-continue`, from end to end: the client's body waits until the origin wants it.
//!
//! The origin is told what the client expects. Only when it says 100 is the client's body asked for, which makes the server
//! side say 100 too; an origin that refuses at once spares everybody the body. One that says nothing gets the body after a
//! second (RFC 9110, 10.1.1): many do not know the field.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, StatusCode};

/// How long an origin may say nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// What holds a body back. The origin's connection opens it from wherever hyper runs it.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    is_open: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

impl Gate {
    /// A gate that opens by itself after a while. Must be called on a worker.
    pub(super) fn closed() -> Arc<Self> {
        let gate = Arc::new(Self::default());
        let opens = Arc::downgrade(&gate);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(PATIENCE).await;
            if let Some(gate) = opens.upgrade() {
                gate.open();
            }
        });
        gate
    }

    /// Opens when the request's origin says 100.
    pub(super) fn listen<B>(self: &Arc<Self>, request: &mut Request<B>) {
        let gate = self.clone();
        hyper::ext::on_informational(request, move |said| {
            if said.status() == StatusCode::CONTINUE {
                gate.open();
            }
        });
    }

    /// Ready once it is open.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_open.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        if self.is_open.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }

    fn open(&self) {
        self.is_open.store(true, Ordering::Release);
        if let Some(waker) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }
}
