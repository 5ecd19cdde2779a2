//! A way to an origin that can fall silent: nothing refused, nothing closed, no byte in either direction. What was under way
//! arrives when it is no longer silent, as packets do that were lost and sent again.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A way to an origin. Dropped, it is gone.
pub struct Muted {
    /// Where it begins.
    pub address: SocketAddr,
    silent: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Muted {
    /// A way to `origin`, open at first.
    pub async fn before(origin: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (silent, watched) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut carried = tokio::task::JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                carried.spawn(carry(near, origin, watched.clone()));
            }
        });
        Self { address, silent, task }
    }

    /// Lets it fall silent, or carry again.
    pub fn set_silent(&self, silent: bool) {
        self.silent.send_replace(silent);
    }

    /// As a table writes it.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Muted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(near: TcpStream, origin: SocketAddr, silent: watch::Receiver<bool>) {
    let Ok(far) = TcpStream::connect(origin).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::join!(one_way(near_in, far_out, silent.clone()), one_way(far_in, near_out, silent));
}

async fn one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut silent: watch::Receiver<bool>,
) {
    let mut chunk = vec![0; 16 << 10];
    while let Ok(bytes @ 1..) = from.read(&mut chunk).await {
        let speaks = silent.wait_for(|silent| !silent).await.is_ok();
        if !speaks || to.write_all(&chunk[..bytes]).await.is_err() {
            return;
        }
    }
    if silent.wait_for(|silent| !silent).await.is_ok() {
        let _ = to.shutdown().await;
    }
}
