//! People who ask one thing after another until they are told to stop, and who expect to be served.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use http::Method;
use tokio::task::JoinSet;

use crate::Client;

/// Running users.
pub struct Users {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    tasks: JoinSet<()>,
}

impl Users {
    /// So many users of an edge, each on a connection of his own, with a pause after each answer.
    #[must_use]
    pub fn start(count: usize, edge: SocketAddr, pause: Duration) -> Self {
        Self::begin(count, edge, pause, false)
    }

    /// As [`Users::start`], and every request comes from another network, as the edge is told by a hop that it trusts.
    #[must_use]
    pub fn everywhere(count: usize, edge: SocketAddr, pause: Duration) -> Self {
        Self::begin(count, edge, pause, true)
    }

    fn begin(count: usize, edge: SocketAddr, pause: Duration, everywhere: bool) -> Self {
        let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut tasks = JoinSet::new();
        for user in 0..count {
            let (stop, served) = (stop.clone(), served.clone());
            tasks.spawn(async move {
                let mut client = Client::connect(edge).await;
                let mut number = user;
                while !stop.load(SeqCst) {
                    number += count;
                    let address = format!("10.{}.{}.7", number >> 8 & 255, number & 255);
                    let fields = [("x-forwarded-for", address.as_str())];
                    let fields = if everywhere { &fields[..] } else { &[] };
                    let answer = client.ask(Method::GET, "/", fields, "").await;
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    served.fetch_add(1, SeqCst);
                    if !pause.is_zero() {
                        tokio::time::sleep(pause).await;
                    }
                }
            });
        }
        Self { stop, served, tasks }
    }

    /// Waits until so many more requests were served.
    pub async fn served(&self, more: u64) {
        let target = self.served.load(SeqCst) + more;
        crate::until("users are served", async || self.served.load(SeqCst) >= target).await;
    }

    /// Stops them; how many requests were served. Panics if one was not.
    pub async fn stop(mut self) -> u64 {
        self.stop.store(true, SeqCst);
        while let Some(user) = self.tasks.join_next().await {
            user.unwrap();
        }
        self.served.load(SeqCst)
    }
}
