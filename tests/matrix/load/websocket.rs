//! People who talk over a WebSocket: a message every 50 ms, and each must come back.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::outcome::Slot;
use super::{Due, End, HOST};
use crate::origin::{REGION_FIELD, WEBSOCKET_PATH};
use crate::sighting::FIELD;

const GAP: Duration = Duration::from_millis(50);
/// An echo that takes longer has been cut off.
const ECHO: Duration = Duration::from_secs(2);

/// Connects, talks and says goodbye.
pub(super) async fn talk(door: SocketAddr, due: &Due, slot: &Slot) -> End {
    let end = match try_talk(door, due, slot).await {
        Ok(end) => end,
        Err(error) => {
            slot.said(&error.to_string());
            End::Broken
        }
    };
    match end {
        End::Broken if slot.has_begun() => End::Truncated,
        end => end,
    }
}

async fn try_talk(door: SocketAddr, due: &Due, slot: &Slot) -> std::io::Result<End> {
    let mut stream = TcpStream::connect(door).await?;
    stream.set_nodelay(true)?;
    let (client, id) = (Ipv4Addr::from(due.client), due.id);
    let head = format!(
        "GET {WEBSOCKET_PATH} HTTP/1.1\r\nhost: {HOST}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{FIELD}: {id}\r\n\
         x-request-id: m{id}\r\nx-forwarded-for: {client}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let head = read_head(&mut stream).await?;
    let status = head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
    let field = format!("{REGION_FIELD}: ");
    let region = head.lines().find_map(|line| line.strip_prefix(field.as_str()));
    if status != 101 {
        slot.head(status, region);
        slot.said(&head);
        return Ok(End::Refused);
    }
    slot.head(status, region);
    let started = Instant::now();
    let talk = Duration::from_secs_f64(due.talk_ms / 1e3);
    let mut next = started;
    while started.elapsed() < talk {
        next += GAP;
        sleep_until(next).await;
        let message = next.duration_since(started).as_millis().to_be_bytes();
        stream.write_all(&frame(0x2, &message)).await?;
        let mut echo = vec![0; 2 + message.len()];
        match timeout(ECHO, stream.read_exact(&mut echo)).await {
            Ok(read) => read?,
            Err(_) => return Ok(End::Truncated),
        };
        if echo[2..] != message {
            return Ok(End::Truncated);
        }
    }
    stream.write_all(&frame(0x8, &[])).await?;
    let mut echo = [0; 2];
    let _ = timeout(ECHO, stream.read_exact(&mut echo)).await;
    Ok(End::Answered)
}

/// A masked frame, as clients must send them; the mask need not be secret here.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let length = u8::try_from(payload.len()).unwrap_or(0) & 0x7f;
    let masked = payload.iter().enumerate().map(|(index, byte)| byte ^ MASK[index % 4]);
    [0x80 | opcode, 0x80 | length].into_iter().chain(MASK).chain(masked).collect()
}

async fn read_head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).to_lowercase())
}
