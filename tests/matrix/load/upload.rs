//! Large bodies over HTTP/1.1, as a careful client sends them: it listens while it sends.
//!
//! An edge that has nowhere to go says so while most of the body is still here, and closes. Who only writes until writing
//! fails never hears it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;

use super::outcome::Slot;
use super::{Due, End, HOST};
use crate::origin::{REGION_FIELD, TAKE_PATH};
use crate::sighting::FIELD;

/// Bytes of a large body.
pub(super) const LARGE: usize = 1 << 20;
/// The longest head of an answer.
const MOST_HEAD: usize = 16 << 10;

/// Sends a large body on a connection of its own.
pub(super) async fn send(door: SocketAddr, due: &Due, body: &[u8], slot: &Slot) -> End {
    let Ok(mut stream) = TcpStream::connect(door).await else { return End::Broken };
    let _ = stream.set_nodelay(true);
    let (client, id) = (Ipv4Addr::from(due.client), due.id);
    let head = format!(
        "POST {TAKE_PATH} HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: {}\r\nconnection: close\r\n{FIELD}: {id}\r\n\
         x-request-id: m{id}\r\nx-forwarded-for: {client}\r\n\r\n",
        body.len()
    );
    let expected = body.len().to_string();
    let (mut answers, mut requests) = stream.split();
    let sending = async {
        let sent = async {
            requests.write_all(head.as_bytes()).await?;
            requests.write_all(body).await
        };
        if let Err(error) = sent.await {
            slot.said(&format!("while sending: {error}"));
        }
        // Whether or not all could be sent: what counts is the answer.
        std::future::pending::<End>().await
    };
    tokio::select! {
        end = sending => end,
        end = read(&mut answers, &expected, slot) => end,
    }
}

async fn read(answers: &mut ReadHalf<'_>, expected: &str, slot: &Slot) -> End {
    let head = match head(answers).await {
        Ok(head) => head,
        Err(error) => {
            slot.said(&error.to_string());
            return End::Broken;
        }
    };
    let status = head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
    let field = |name: &str| {
        head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
    };
    slot.head(status, field(REGION_FIELD).as_deref());
    let mut body = Vec::new();
    let length = field("content-length").and_then(|length| length.parse::<u64>().ok());
    let whole = answers.take(length.unwrap_or(u64::MAX)).read_to_end(&mut body).await;
    if status != 200 {
        slot.said(&String::from_utf8_lossy(&body));
        return End::Refused;
    }
    if whole.is_ok() && body == expected.as_bytes() { End::Answered } else { End::Truncated }
}

/// The head of an answer that is not interim, in small letters.
async fn head(answers: &mut ReadHalf<'_>) -> io::Result<String> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(answers.read_u8().await?);
            if head.len() > MOST_HEAD {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        let head = String::from_utf8_lossy(&head).to_lowercase();
        if !head.starts_with("http/1.1 1") {
            return Ok(head);
        }
    }
}
