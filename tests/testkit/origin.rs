//! Origins that do as they are told, and remember what they were asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::Body;

/// An origin. Dropped, it closes its port and lets go of its connections.
pub struct Origin {
    /// Where it listens.
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Received>>>,
    task: JoinHandle<()>,
}

/// A request that an origin received. Probes are not counted.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its method.
    pub method: Method,
    /// Its version.
    pub version: Version,
    /// Its target.
    pub uri: Uri,
    /// Its header fields.
    pub headers: HeaderMap,
}

impl Received {
    /// A header field as text; empty if it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A port of the system's choice.
const ANYWHERE: &str = "127.0.0.1:0";

impl Origin {
    /// An origin that answers everything with its name.
    pub async fn named(name: &str) -> Self {
        let name = name.to_owned();
        Self::with(move |_| {
            let name = name.clone();
            async move { text(&name) }
        })
        .await
    }

    /// As [`Origin::named`], at the address of one that is gone.
    pub async fn named_at(name: &str, address: &str) -> Self {
        let name = name.to_owned();
        let handler = move |_| {
            let name = name.clone();
            async move { text(&name) }
        };
        Self::start(address, None, false, handler).await
    }

    /// As [`Origin::named`], and each answer waits for a permit.
    pub async fn gated(name: &str) -> (Self, Arc<Semaphore>) {
        let (name, gate) = (name.to_owned(), Arc::new(Semaphore::new(0)));
        let waits = gate.clone();
        let origin = Self::with(move |_| {
            let (name, waits) = (name.clone(), waits.clone());
            async move {
                let _permit = waits.acquire().await;
                text(&name)
            }
        });
        (origin.await, gate)
    }

    /// An origin that answers with `handler`. Probes are answered 200 without asking it.
    pub async fn with<F: Future<Output = Response<Body>> + Send + 'static>(
        handler: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::start(ANYWHERE, None, false, handler).await
    }

    /// As [`Origin::with`], and probes are requests like all others.
    pub async fn with_probes<F: Future<Output = Response<Body>> + Send + 'static>(
        handler: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::start(ANYWHERE, None, true, handler).await
    }

    /// As [`Origin::with`], over TLS.
    pub async fn with_tls<F: Future<Output = Response<Body>> + Send + 'static>(
        config: Arc<ServerConfig>,
        handler: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::start(ANYWHERE, Some(config), false, handler).await
    }

    async fn start<F: Future<Output = Response<Body>> + Send + 'static>(
        address: &str,
        tls: Option<Arc<ServerConfig>>,
        sees_probes: bool,
        handler: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    ) -> Self {
        // The one that had the address before may take a moment to be gone.
        let mut bound = None;
        crate::until("the address is free", async || {
            bound = TcpListener::bind(address).await.ok();
            bound.is_some()
        })
        .await;
        let listener = bound.unwrap();
        let address = listener.local_addr().unwrap();
        let requests: Arc<Mutex<Vec<Received>>> = Arc::default();
        let remember = requests.clone();
        let acceptor = tls.map(TlsAcceptor::from);
        let service = move |request: Request<Incoming>| {
            let is_probe = !sees_probes
                && request.headers().get("user-agent").is_some_and(|agent| agent == "nearside-probe");
            if !is_probe {
                remember.lock().unwrap().push(Received {
                    method: request.method().clone(),
                    version: request.version(),
                    uri: request.uri().clone(),
                    headers: request.headers().clone(),
                });
            }
            let answer = (!is_probe).then(|| handler(request));
            async move {
                Ok::<_, Infallible>(match answer {
                    Some(answer) => answer.await,
                    None => text("well"),
                })
            }
        };
        let task = tokio::spawn(async move {
            // Connections end with the origin.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (service, acceptor) = (service.clone(), acceptor.clone());
                connections.spawn(async move {
                    let _ = stream.set_nodelay(true);
                    // Whatever version the other side begins with.
                    let http = Builder::new(TokioExecutor::new());
                    let service = service_fn(service);
                    match acceptor {
                        None => {
                            let _ = http.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
                        }
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                let _ =
                                    http.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, requests, task }
    }

    /// As a table writes it.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// What it was asked, probes left out.
    #[must_use]
    pub fn requests(&self) -> Vec<Received> {
        self.requests.lock().unwrap().clone()
    }

    /// The last thing it was asked.
    #[must_use]
    pub fn last(&self) -> Received {
        self.requests().pop().expect("it was asked something")
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Called by a handler: ends the connection where an answer was due. Not `panic!`: printing where that happened takes so long
/// that all origins of the test fall silent.
pub fn break_off() -> ! {
    std::panic::resume_unwind(Box::new("this origin breaks off"))
}

/// An answer with a text.
#[must_use]
pub fn text(text: &str) -> Response<Body> {
    answer(StatusCode::OK, text)
}

/// An answer with a status and a text.
#[must_use]
pub fn answer(status: StatusCode, text: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(text.to_owned())).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}
