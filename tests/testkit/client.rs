//! A client that keeps one connection open, as a browser would.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Body;

/// One connection to an edge.
pub struct Client {
    sender: Sender,
}

enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

/// Reads the head of an answer from a raw connection, in lower case.
pub async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap().to_lowercase()
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Its trailers.
    pub trailers: HeaderMap,
}

impl Answer {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// A header field as text; empty if it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Client {
    /// Connects with HTTP/1.1.
    pub async fn connect(edge: SocketAddr) -> Self {
        let stream = TcpStream::connect(edge).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        Self { sender: Sender::Http1(sender) }
    }

    /// Connects with HTTP/2 and without TLS, by prior knowledge.
    pub async fn connect_http2(edge: SocketAddr) -> Self {
        let stream = TcpStream::connect(edge).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, connection) = handshake.unwrap();
        tokio::spawn(connection);
        Self { sender: Sender::Http2(sender) }
    }

    /// Connects with TLS; HTTP/2 if the configuration offers it and the edge takes it.
    pub async fn connect_tls(
        edge: SocketAddr,
        name: &str,
        config: Arc<ClientConfig>,
    ) -> std::io::Result<Self> {
        let stream = TcpStream::connect(edge).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = TlsConnector::from(config).connect(name, stream).await?;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
            let (sender, connection) = handshake.map_err(std::io::Error::other)?;
            tokio::spawn(connection);
            return Ok(Self { sender: Sender::Http2(sender) });
        }
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self { sender: Sender::Http1(sender) })
    }

    /// Whether the connection speaks HTTP/2.
    #[must_use]
    pub const fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    /// Asks for a page of `app.test`.
    pub async fn get(&mut self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[], "").await
    }

    /// Asks for a page of `app.test` with more header fields and a body.
    pub async fn ask(&mut self, method: Method, path: &str, fields: &[(&str, &str)], body: &str) -> Answer {
        self.try_ask(method, path, fields, body).await.unwrap()
    }

    /// As [`Client::ask`], where the answer may not come.
    pub async fn try_ask(
        &mut self,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer, hyper::Error> {
        let mut request = Request::builder().method(method).uri(self.uri(path));
        let is_http1 = matches!(self.sender, Sender::Http1(_));
        if is_http1 && !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request = request.header(header::HOST, "app.test");
        }
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let body = Full::new(Bytes::from(body.to_owned())).map_err(|never| match never {}).boxed();
        self.send(request.body(body).unwrap()).await
    }

    /// Sends a request as it is.
    pub async fn send(&mut self, request: Request<Body>) -> Result<Answer, hyper::Error> {
        let response = self.begin(request).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes(), trailers })
    }

    /// Sends a request and waits for the head of its answer.
    pub async fn begin(
        &mut self,
        request: Request<Body>,
    ) -> Result<http::Response<hyper::body::Incoming>, hyper::Error> {
        match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    fn uri(&self, path: &str) -> String {
        match self.sender {
            Sender::Http1(_) => path.to_owned(),
            Sender::Http2(_) => format!("https://app.test{path}"),
        }
    }
}
