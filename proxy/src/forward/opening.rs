//! Opening a connection, once for all requests that can share it.
//!
//! When a hundred requests come at once for an origin that speaks HTTP/2, one of them connects and the others wait for it.
//! If it fails they fail with it, rather than each finding out for itself, one timeout after the other.

use std::cell::Cell;
use std::rc::Rc;

use steer::Span;
use tokio::sync::Notify;

use super::attempt::How;
use super::conn::Conn;
use super::origin::Origin;
use crate::connect::{ConnectError, PathTimes, Purpose, open};
use crate::worker::{Blame, FailureKind, Worker};

/// A connection that is being opened for several requests.
#[derive(Default)]
pub(crate) struct Opening {
    end: Cell<Option<End>>,
    notify: Notify,
}

/// What became of it.
#[derive(Clone, Copy)]
enum End {
    /// It is there, and there may be room on it.
    Opened,
    /// It could not be made.
    Failed(How),
    /// Whoever opened it went away.
    Abandoned,
}

impl Opening {
    async fn ended(&self) -> End {
        loop {
            let notified = self.notify.notified();
            match self.end.get() {
                Some(end) => return end,
                None => notified.await,
            }
        }
    }
}

/// The right to open a connection for others too. Dropped early, others may.
struct Turn<'a> {
    origin: &'a Origin,
    opening: Rc<Opening>,
}

impl<'a> Turn<'a> {
    fn take(origin: &'a Origin) -> Self {
        let opening = Rc::new(Opening::default());
        *origin.opening.borrow_mut() = Some(opening.clone());
        Self { origin, opening }
    }

    fn ends(self, end: End) {
        self.opening.end.set(Some(end));
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.origin.opening.borrow_mut() = None;
        if self.opening.end.get().is_none() {
            self.opening.end.set(Some(End::Abandoned));
        }
        self.opening.notify.notify_waiters();
    }
}

/// A connection for a request that found no warm one: a place on one that others are opening, or a new one. `blame` says whose
/// request it is.
pub(crate) async fn connect(
    worker: &Worker,
    origin: &Rc<Origin>,
    times: PathTimes,
    purpose: Purpose,
    blame: Blame,
) -> Result<Conn, How> {
    while purpose == Purpose::Requests && origin.shares() {
        let under_way = origin.opening.borrow().clone();
        let Some(opening) = under_way else {
            let turn = Turn::take(origin);
            let opened = connect_alone(worker, origin, times, purpose, blame).await;
            turn.ends(opened.as_ref().map_or_else(|how| End::Failed(*how), |_| End::Opened));
            return opened;
        };
        match opening.ended().await {
            End::Failed(how) => return Err(how),
            End::Opened => {
                // Age is no question: it is new.
                let room = origin.checkout(worker.clock.now(), Span::from_secs(1), purpose);
                if let Some(conn) = room {
                    return Ok(conn);
                }
            }
            End::Abandoned => {}
        }
    }
    connect_alone(worker, origin, times, purpose, blame).await
}

async fn connect_alone(
    worker: &Worker,
    origin: &Rc<Origin>,
    times: PathTimes,
    purpose: Purpose,
    blame: Blame,
) -> Result<Conn, How> {
    let started = worker.clock.now();
    let addresses = origin.vitals.addresses.load_full();
    let error = match open(&addresses, &origin.transport, purpose, times).await {
        Ok(opened) => return Ok(origin.opened(opened, worker.clock.now())),
        Err(error) => error,
    };
    tracing::debug!(region = %origin.region, origin = %origin.address, %error, "no connection");
    let how = match error {
        ConnectError::NoUpgrade => return Err(How::NoUpgrade),
        ConnectError::Timeout => How::ConnectTimeout,
        _ => How::Connect,
    };
    let now = worker.clock.now();
    origin.cells().failed(now.since(started).as_millis_f64(), now);
    worker.report_failure(origin, FailureKind::Unreachable, 0, blame, started);
    Err(how)
}
