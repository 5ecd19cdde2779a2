//! Who is behind a proxy that passes on bytes: PROXY protocol, versions 1 and 2.
//!
//! A proxy that is listed must send a header before anything else, and what it says is believed; a connection without one, or
//! with a wrong one, is closed. From everybody else nothing is expected, and a header from them is no HTTP. (HAProxy's
//! `expect-proxy` with a condition works like this.) The header is read to its last byte and not beyond, so that what follows
//! reaches TLS or HTTP untouched.
//!
//! Left out: what version 2 may carry beside addresses. It is skipped.

use std::io;
use std::net::{IpAddr, SocketAddr};

use ppp::{v1, v2};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// As many bytes as every header of either version has at least.
const START_BYTES: usize = 12;
const V2_SIGNATURE: [u8; START_BYTES] = *b"\r\n\r\n\0\r\nQUIT\n";
const V1_START: &[u8] = b"PROXY ";
/// The longest header of version 1, with its line end.
const V1_MAX_BYTES: usize = 107;
/// The start of a header of version 2, with the length of the rest.
const V2_START_BYTES: usize = 16;
/// The longest rest that is read: addresses take 36 bytes, certificates of clients a few thousand.
const V2_MAX_BYTES: usize = 16 << 10;

/// The two ends of the connection that a client made to the proxy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Ends {
    pub(super) client: IpAddr,
    /// The port that the client connected to.
    pub(super) port: u16,
}

/// Reads the header. `None`: the proxy speaks for itself, as when it looks whether we are there.
///
/// # Errors
/// If there is no header, or it is wrong.
pub(super) async fn read(stream: &mut TcpStream) -> io::Result<Option<Ends>> {
    let mut start = [0; START_BYTES];
    stream.read_exact(&mut start).await?;
    if start == V2_SIGNATURE {
        return read_v2(stream, start).await;
    }
    if start.starts_with(V1_START) {
        return read_v1(stream, start).await;
    }
    Err(wrong("there is none"))
}

async fn read_v1(stream: &mut TcpStream, start: [u8; START_BYTES]) -> io::Result<Option<Ends>> {
    let mut line = [0; V1_MAX_BYTES];
    line[..START_BYTES].copy_from_slice(&start);
    let mut filled = START_BYTES;
    loop {
        // Only what belongs to the line is taken from the stream.
        let seen = stream.peek(&mut line[filled..]).await?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let end = line[filled..filled + seen].iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(seen, |end| end + 1);
        stream.read_exact(&mut line[filled..filled + taken]).await?;
        filled += taken;
        if end.is_some() {
            return parse_v1(&line[..filled]);
        }
        if filled == line.len() {
            return Err(wrong("the line does not end"));
        }
    }
}

fn parse_v1(line: &[u8]) -> io::Result<Option<Ends>> {
    let header = v1::Header::try_from(line).map_err(wrong)?;
    if header.header.len() != line.len() {
        return Err(wrong("something stands behind the line end"));
    }
    Ok(match header.addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(ends) => {
            Some(Ends { client: ends.source_address.into(), port: ends.destination_port })
        }
        v1::Addresses::Tcp6(ends) => {
            Some(Ends { client: ends.source_address.into(), port: ends.destination_port })
        }
    })
}

async fn read_v2(stream: &mut TcpStream, start: [u8; START_BYTES]) -> io::Result<Option<Ends>> {
    let mut header = vec![0; V2_START_BYTES];
    header[..START_BYTES].copy_from_slice(&start);
    stream.read_exact(&mut header[START_BYTES..]).await?;
    let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
    if rest > V2_MAX_BYTES {
        return Err(wrong("it is too long"));
    }
    header.resize(V2_START_BYTES + rest, 0);
    stream.read_exact(&mut header[V2_START_BYTES..]).await?;
    parse_v2(&header)
}

fn parse_v2(header: &[u8]) -> io::Result<Option<Ends>> {
    let header = v2::Header::try_from(header).map_err(wrong)?;
    if header.command == v2::Command::Local || header.protocol != v2::Protocol::Stream {
        return Ok(None);
    }
    Ok(match header.addresses {
        v2::Addresses::IPv4(ends) => {
            Some(Ends { client: ends.source_address.into(), port: ends.destination_port })
        }
        v2::Addresses::IPv6(ends) => {
            Some(Ends { client: ends.source_address.into(), port: ends.destination_port })
        }
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
    })
}

impl Ends {
    /// The ends of a connection that nobody has passed on.
    pub(super) fn direct(peer: SocketAddr, port: u16) -> Self {
        Self { client: peer.ip(), port }
    }
}

fn wrong(problem: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v1(line: &str) -> Option<Option<(String, u16)>> {
        let ends = parse_v1(line.as_bytes()).ok()?;
        Some(ends.map(|ends| (ends.client.to_string(), ends.port)))
    }

    #[test]
    fn lines() {
        let ends = |client: &str, port| Some(Some((client.to_owned(), port)));
        assert_eq!(v1("PROXY TCP4 192.0.2.1 198.51.100.1 1 443\r\n"), ends("192.0.2.1", 443));
        assert_eq!(v1("PROXY TCP6 2001:db8::1 ::1 65535 0\r\n"), ends("2001:db8::1", 0));
        assert_eq!(v1("PROXY UNKNOWN\r\n"), Some(None));
        assert_eq!(v1("PROXY UNKNOWN ffff:: ffff:: 65535 65535\r\n"), Some(None));
        for bad in [
            "PROXY TCP4 192.0.2.1 198.51.100.1 1 443\n",
            "PROXY TCP4 192.0.2.1\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 1 443 \r\n",
            "PROXY TCP4 2001:db8::1 ::1 1 443\r\n",
            "PROXY TCP6 192.0.2.1 198.51.100.1 1 443\r\n",
            "PROXY TCP4 192.0.2.01 198.51.100.1 1 443\r\n",
            "PROXY UDP4 192.0.2.1 198.51.100.1 1 443\r\n",
            "PROXY TCP4  192.0.2.1 198.51.100.1 1 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 1\r443\r\n",
            "PROXY \r\n",
            "PROXY TCP4 \u{fc} 198.51.100.1 1 443\r\n",
        ] {
            assert_eq!(v1(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn nothing_that_is_sent_makes_the_parsers_panic() {
        let mut rng = steer::draw::Rng::new(7);
        for _ in 0..100_000 {
            let mut header = V2_SIGNATURE.to_vec();
            let rest = (rng.next_u64() % 240) as usize;
            // Mostly plausible: version and command, family and protocol, and a length that fits.
            header.extend([0x20 | (rng.next_u64() % 3) as u8, (rng.next_u64() & 0x33) as u8]);
            header.extend((rest as u16).to_be_bytes());
            header.extend((0..rest).map(|_| rng.next_u64() as u8));
            let _ = parse_v2(&header);
            let mut line = b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n".to_vec();
            for _ in 0..3 {
                let at = (rng.next_u64() % line.len() as u64) as usize;
                line[at] = rng.next_u64() as u8;
            }
            let _ = parse_v1(&line);
        }
    }
}
