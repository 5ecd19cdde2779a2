//! The origin's port and its connections, TLS and leaving included.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::answers::answer;
use super::behaviour::Behaviour;
use crate::{Failure, say};

/// How long an origin that leaves waits for its connections.
const LEAVE_TIME: Duration = Duration::from_millis(1500);

struct Tls {
    own: TlsAcceptor,
    stranger: TlsAcceptor,
}

/// Serves until told to leave.
pub(super) async fn serve(
    behaviour: Arc<Behaviour>,
    tls: Option<&Path>,
    mut leaving: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let tls = match tls {
        Some(folder) => {
            Some(Tls { own: acceptor(folder, "origin")?, stranger: acceptor(folder, "stranger")? })
        }
        None => None,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    say(&format!("listening {}", listener.local_addr()?));
    let mut connections = JoinSet::new();
    let for_each = leaving.clone();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let acceptor = tls.as_ref().map(|tls| match behaviour.is_tls_broken() {
                        true => tls.stranger.clone(),
                        false => tls.own.clone(),
                    });
                    connections.spawn(connection(stream, acceptor, behaviour.clone(), for_each.clone()));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            _ = leaving.wait_for(|leaves| *leaves) => break,
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LEAVE_TIME, all).await;
    Ok(())
}

fn acceptor(folder: &Path, name: &str) -> Result<TlsAcceptor, Failure> {
    let chain = CertificateDer::pem_file_iter(folder.join(format!("{name}.pem")))?;
    let key = PrivateKeyDer::from_pem_file(folder.join(format!("{name}.key")))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain.collect::<Result<_, _>>()?, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn connection(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    behaviour: Arc<Behaviour>,
    leaving: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    match acceptor {
        None => speak(TokioIo::new(stream), behaviour, leaving).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                speak(TokioIo::new(stream), behaviour, leaving).await;
            }
        }
    }
}

async fn speak<S>(stream: S, behaviour: Arc<Behaviour>, mut leaving: watch::Receiver<bool>)
where
    S: Read + Write + Unpin + Send + 'static,
{
    // Whatever version the other side begins with.
    let http = Builder::new(TokioExecutor::new());
    let service = service_fn(move |request| answer(behaviour.clone(), request));
    let serving = http.serve_connection_with_upgrades(stream, service);
    tokio::pin!(serving);
    tokio::select! {
        _ = serving.as_mut() => return,
        _ = leaving.wait_for(|leaves| *leaves) => serving.as_mut().graceful_shutdown(),
    }
    let _ = serving.await;
}
