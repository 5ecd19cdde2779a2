//! Listeners: who a proxy in front says the client is, and IPv4 beside IPv6.

use std::net::SocketAddr;
use std::time::Duration;

use testkit::{Authority, Client, Edge, EdgeBuilder, Origin, table, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::NEARSIDE;

const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n";
const REFUSED: &str = "nearside_proxy_headers_refused_total";

/// An edge whose listener expects PROXY headers from a prefix. No hop is trusted.
async fn edge_from(origin: &Origin, from: &str, more: &str) -> Edge {
    EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])]))
        .listeners(&format!(
            "[[listeners]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = {{ from = [{from:?}] }}\n{more}"
        ))
        .sections("[limits]\nheader_timeout = \"1s\"")
        .start()
        .await
}

/// Sends pieces with a pause between them, and reads whatever comes back until the end.
async fn send(edge: SocketAddr, pieces: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(edge).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // It may have been closed already.
        let _ = stream.write_all(piece).await;
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

/// A header of version 2.
fn v2(command: u8, family: u8, addresses: &[u8], more: &[u8]) -> Vec<u8> {
    let length = u16::try_from(addresses.len() + more.len()).unwrap();
    [b"\r\n\r\n\0\r\nQUIT\n", &[0x20 | command, family][..], &length.to_be_bytes(), addresses, more].concat()
}

const V4: [u8; 12] = [81, 2, 69, 142, 192, 0, 2, 1, 0x30, 0x39, 0x01, 0xbb];

fn v6() -> Vec<u8> {
    let client: std::net::Ipv6Addr = "2001:db8::7".parse().unwrap();
    let ours: std::net::Ipv6Addr = "2001:db8::1".parse().unwrap();
    [&client.octets()[..], &ours.octets(), &[0x30, 0x39, 0x01, 0xbb]].concat()
}

fn told(origin: &Origin) -> (String, String) {
    let last = origin.last();
    (last.header("x-forwarded-for").to_owned(), last.header("x-forwarded-port").to_owned())
}

#[tokio::test]
async fn a_proxy_says_who_the_client_is() {
    let origin = Origin::named("eu").await;
    let edge = edge_from(&origin, "127.0.0.0/8", "").await;
    let own = edge.address().port().to_string();
    // Something that must be skipped: a no-op of 300 bytes, and an identifier.
    let extras = [&[0x04, 0x01, 0x2c][..], &[0; 300], &[0x05, 0, 2, 7, 7]].concat();
    let cases: [(&str, Vec<u8>, &str, &str); 9] = [
        ("v1", b"PROXY TCP4 81.2.69.142 192.0.2.1 12345 443\r\n".to_vec(), "81.2.69.142", "443"),
        ("v1 over IPv6", b"PROXY TCP6 2001:db8::7 2001:db8::1 12345 443\r\n".to_vec(), "2001:db8::7", "443"),
        ("v1 without", b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1", &own),
        ("v1 with what nobody knows", b"PROXY UNKNOWN ffff:: ffff:: 1 2\r\n".to_vec(), "127.0.0.1", &own),
        ("v2", v2(1, 0x11, &V4, b""), "81.2.69.142", "443"),
        ("v2 over IPv6", v2(1, 0x21, &v6(), b""), "2001:db8::7", "443"),
        ("v2 with more", v2(1, 0x11, &V4, &extras), "81.2.69.142", "443"),
        ("v2 of the proxy's own", v2(0, 0x11, &V4, b""), "127.0.0.1", &own),
        ("v2 without", v2(1, 0, b"", &extras), "127.0.0.1", &own),
    ];
    for (name, header, client, port) in &cases {
        let answer = send(edge.address(), &[&[header, ASK].concat()]).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{name}: {answer}");
        assert_eq!(told(&origin), ((*client).to_owned(), (*port).to_owned()), "{name}");
    }
    // In pieces, as networks deliver it.
    let v1: Vec<&[u8]> = cases[0].1.chunks(7).chain([ASK]).collect();
    assert!(send(edge.address(), &v1).await.starts_with("HTTP/1.1 200"));
    let v2: Vec<&[u8]> = cases[6].1.chunks(9).chain([ASK]).collect();
    assert!(send(edge.address(), &v2).await.starts_with("HTTP/1.1 200"));
    assert_eq!(told(&origin), ("81.2.69.142".to_owned(), "443".to_owned()));
    let lines = edge.access_log_of(11).await;
    let of_britain = lines.iter().filter(|line| line["country"] == "GB").count();
    assert_eq!(of_britain, 5, "he is located where he is");
    assert_eq!(edge.metric(REFUSED).await, 0.0);
}

#[tokio::test]
async fn proxy_headers_that_are_wrong_missing_or_late_close_the_connection() {
    let origin = Origin::named("eu").await;
    let edge = edge_from(&origin, "127.0.0.0/8", "").await;
    let endless = [&b"PROXY TCP4 "[..], &[b'1'; 500]].concat();
    let too_long = [&v2(1, 0x11, b"", b"")[..14], &[0xff, 0xff], &[0; 70_000]].concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("none", ASK.to_vec()),
        ("a TLS hello", [&[0x16, 0x03, 0x01, 0x02, 0x00][..], &[7; 512]].concat()),
        ("no line end", b"PROXY TCP4 81.2.69.142 192.0.2.1 12345 443\n".to_vec()),
        ("a line without end", endless),
        ("no addresses", b"PROXY TCP4\r\n".to_vec()),
        ("a port too large", b"PROXY TCP4 81.2.69.142 192.0.2.1 12345 70000\r\n".to_vec()),
        ("names", b"PROXY TCP4 evil.test 192.0.2.1 12345 443\r\n".to_vec()),
        ("a return in the line", b"PROXY TCP4 81.2.69.142 192.0.2.1\r12345 443\r\n".to_vec()),
        ("version 3", [&b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c"[..], &V4].concat()),
        ("command 2", v2(2, 0x11, &V4, b"")),
        ("family 5", v2(1, 0x51, &V4, b"")),
        ("addresses cut off", v2(1, 0x21, &V4, b"")),
        ("too long", too_long),
    ];
    for (count, (name, bytes)) in (1..).zip(&cases) {
        let answer = send(edge.address(), &[&[bytes, ASK].concat()]).await;
        assert_eq!(answer, "", "{name}");
        until("it is counted", async || edge.metric(REFUSED).await == f64::from(count)).await;
    }
    let before = edge.metric(REFUSED).await;
    // Those that begin and do not go on are cut off in time.
    for beginning in [&b""[..], b"PROXY TCP4 81.2.69.142", &v2(1, 0x11, &V4, b"")[..20]] {
        assert_eq!(send(edge.address(), &[beginning]).await, "");
    }
    assert_eq!(edge.metric(REFUSED).await, before + 3.0);
    assert!(origin.requests().is_empty());
}

#[tokio::test]
async fn from_elsewhere_nothing_is_expected_and_nothing_believed() {
    let origin = Origin::named("eu").await;
    let edge = edge_from(&origin, "10.0.0.0/8", "").await;
    assert!(send(edge.address(), &[ASK]).await.starts_with("HTTP/1.1 200"));
    assert_eq!(told(&origin).0, "127.0.0.1");
    let forged = [&b"PROXY TCP4 81.2.69.142 192.0.2.1 12345 443\r\n"[..], ASK].concat();
    assert!(send(edge.address(), &[&forged]).await.starts_with("HTTP/1.1 400"));
    let forged = [&v2(1, 0x11, &V4, b""), ASK].concat();
    assert!(!send(edge.address(), &[&forged]).await.contains("200"));
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn tls_comes_after_the_header() {
    let origin = Origin::named("eu").await;
    let authority = Authority::new();
    let folder = tempfile::TempDir::new().unwrap();
    let (chain, key) = authority.issue(&["app.test"]).files(folder.path());
    let tls = format!("tls = {{ certificate_file = {chain:?}, key_file = {key:?} }}");
    let edge = edge_from(&origin, "127.0.0.0/8", &tls).await;
    let mut stream = TcpStream::connect(edge.address()).await.unwrap();
    stream.write_all(&v2(1, 0x21, &v6(), b"")).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("app.test").unwrap();
    let connector = tokio_rustls::TlsConnector::from(authority.client(&[], &[&rustls::version::TLS13]));
    let mut stream = connector.connect(name, stream).await.unwrap();
    stream.write_all(ASK).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(told(&origin), ("2001:db8::7".to_owned(), "443".to_owned()));
    assert_eq!(origin.last().header("x-forwarded-proto"), "https");
}

#[tokio::test]
async fn a_listener_on_all_addresses_takes_both_families_unless_another_has_one() {
    if TcpStream::connect("[::1]:9")
        .await
        .is_err_and(|error| error.kind() != std::io::ErrorKind::ConnectionRefused)
    {
        return testkit::skipped("both families", "this machine has no IPv6");
    }
    let origin = Origin::named("eu").await;
    let builder = || EdgeBuilder::new(NEARSIDE, &table(&[("eu", &[origin.host()])])).sections("");
    let edge = builder().listeners("[[listeners]]\naddress = \"[::]:0\"").start().await;
    let port = edge.address().port();
    for client in ["127.0.0.1", "::1"] {
        let address = SocketAddr::new(client.parse().unwrap(), port);
        Client::connect(address).await.get("/").await;
        assert_eq!(origin.last().header("x-forwarded-for"), client);
    }
    // Beside a listener for IPv4 on the same port, it is for IPv6 alone: only that one is told of a proxy in front.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let both = format!(
        "[[listeners]]\naddress = \"[::]:{port}\"\n[[listeners]]\naddress = \"0.0.0.0:{port}\"\nproxy_protocol = {{ from = \
         [\"127.0.0.0/8\"] }}"
    );
    let edge = builder().listeners(&both).start().await;
    for _ in 0..8 {
        let v6 = SocketAddr::new("::1".parse().unwrap(), port);
        assert_eq!(Client::connect(v6).await.get("/").await.text(), "eu");
        let v4 = SocketAddr::new("127.0.0.1".parse().unwrap(), port);
        assert!(send(v4, &[&v2(1, 0x11, &V4, b""), ASK]).await.starts_with("HTTP/1.1 200"));
        assert_eq!(told(&origin).0, "81.2.69.142");
    }
    assert_eq!(edge.metric(REFUSED).await, 0.0);
}
