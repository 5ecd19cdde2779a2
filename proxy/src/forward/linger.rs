//! A client's body that nobody wants any more, since the request has been refused.
//!
//! If it were left unread, the end of the connection would reset it, and a client who is still sending would often lose the
//! refusal that says why. So what comes is read and thrown away for a while (as nginx does: `lingering_close`). Over HTTP/2 one
//! stream ends without the others; there nothing is to be done.

use std::time::Duration;

use tokio::time::timeout;

use super::replay::Inbound;

/// How long what comes is read, and how much of it.
const PATIENCE: Duration = Duration::from_secs(2);
const MAX_BYTES: u64 = 16 << 20;

/// Reads on for a while.
pub(super) fn linger(body: &Inbound) {
    let Some(body) = body.unread() else { return };
    tokio::task::spawn_local(async move {
        // Past its time, the connection ends as it would have at once.
        let _ = timeout(PATIENCE, body.throw_away(MAX_BYTES)).await;
    });
}
