//! HTTP/2 without TLS: whether a client begins with the preface of HTTP/2 (RFC 9113, 3.4).
//!
//! Only where the listener allows it. The bytes are looked at and left where they are.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;

/// No request of HTTP/1.1 begins so: there is no method of that name.
const BEGINNING: &[u8] = b"PRI ";
/// How long to wait, at first and at most, for the rest of a beginning that came in pieces.
const FIRST_WAIT: Duration = Duration::from_millis(1);
const LAST_WAIT: Duration = Duration::from_millis(250);

/// Waits for the first bytes and says whether they are those of HTTP/2. Whoever calls this bounds the wait.
pub(super) async fn is_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut seen = [0; BEGINNING.len()];
    let mut wait = FIRST_WAIT;
    loop {
        let count = stream.peek(&mut seen).await?;
        if count == 0 || !BEGINNING.starts_with(&seen[..count]) {
            return Ok(false);
        }
        if count == BEGINNING.len() {
            return Ok(true);
        }
        tokio::time::sleep(wait).await;
        // Who drips his bytes is not worth a thousand looks.
        wait = LAST_WAIT.min(wait * 2);
    }
}
