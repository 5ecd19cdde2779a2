//! People all over the world, asking at a rate that does not wait for answers.
//!
//! Requests are sent at times drawn beforehand (a Poisson process), and each is timed from when it should have been sent. A
//! proxy that stalls is therefore seen to stall; users who wait politely would hide it.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use steer::draw::Rng;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::origin::REGION;
use super::world::{CountryIndex, HOST, REGIONS, countries, draw_user};

/// A user who has waited so long has given up: the request has failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections of users that are kept for their next request.
const MAX_IDLE: usize = 512;

/// What the users have experienced.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub(super) requests: u64,
    pub(super) failures: u64,
    /// Why the last one failed.
    pub(super) last_failure: Option<String>,
    pub(super) slowest: Duration,
    /// Requests by country and region, fading with a half-life of about two seconds: what happens now.
    pub(super) recent: Vec<[f64; REGIONS.len()]>,
    faded_at: Instant,
}

/// The tally, shared with whoever shows it.
#[derive(Clone, Debug)]
pub(super) struct Users(Arc<Mutex<Tally>>);

impl Users {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Tally {
            requests: 0,
            failures: 0,
            last_failure: None,
            slowest: Duration::ZERO,
            recent: vec![[0.0; REGIONS.len()]; countries().count()],
            faded_at: Instant::now(),
        })))
    }

    /// What they have experienced so far.
    pub(super) fn tally(&self) -> Tally {
        let mut tally = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tally.fade();
        tally.clone()
    }

    fn add(&self, country: CountryIndex, outcome: Result<usize, String>, took: Duration) {
        let mut tally = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tally.fade();
        tally.requests += 1;
        tally.slowest = tally.slowest.max(took);
        match outcome {
            Ok(region) => tally.recent[country][region] += 1.0,
            Err(problem) => {
                tally.failures += 1;
                tally.last_failure = Some(problem);
            }
        }
    }

    /// Asks at `rate` requests a second until told to stop, and waits for the answers then.
    pub(super) async fn ask(self, edge: SocketAddr, rate: f64, seed: u64, stop: watch::Receiver<bool>) {
        let mut rng = Rng::new(seed);
        let pool = Arc::new(Mutex::new(VecDeque::new()));
        let mut running = tokio::task::JoinSet::new();
        let mut due = Instant::now();
        while !*stop.borrow() {
            let gap = -steer::draw::unit(rng.next_u64()).ln() / rate;
            due += Duration::from_secs_f64(gap);
            sleep_until(due).await;
            let (country, address) = draw_user(&mut rng);
            let (users, pool) = (self.clone(), pool.clone());
            running.spawn(async move {
                let outcome = match timeout(PATIENCE, one(edge, address, &pool)).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err(format!("no answer in {} s", PATIENCE.as_secs())),
                };
                users.add(country, outcome, due.elapsed());
            });
            while running.try_join_next().is_some() {}
        }
        while running.join_next().await.is_some() {}
    }
}

impl Tally {
    fn fade(&mut self) {
        let gap = self.faded_at.elapsed();
        if gap > Duration::from_millis(50) {
            let kept = (-gap.as_secs_f64() / 3.0).exp();
            self.recent.iter_mut().flatten().for_each(|count| *count *= kept);
            self.faded_at = Instant::now();
        }
    }
}

type Pool = Mutex<VecDeque<SendRequest<Empty<Bytes>>>>;

/// One request; the region that answered.
async fn one(edge: SocketAddr, address: Ipv4Addr, pool: &Pool) -> Result<usize, String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let idle = || {
        let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| pool.pop_back()).find(SendRequest::is_ready)
    };
    let mut sender = match idle() {
        Some(sender) => sender,
        None => {
            let stream = TcpStream::connect(edge).await.map_err(|error| said(&error))?;
            let _ = stream.set_nodelay(true);
            let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| said(&error))?;
            tokio::spawn(connection);
            sender
        }
    };
    sender.ready().await.map_err(|error| said(&error))?;
    let request = Request::get("/")
        .header(header::HOST, HOST)
        .header("x-forwarded-for", address.to_string())
        .body(Empty::new())
        .map_err(|error| said(&error))?;
    let response = sender.send_request(request).await.map_err(|error| said(&error))?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| said(&error))?.to_bytes();
    if head.status != StatusCode::OK {
        return Err(format!("{}: {}", head.status, String::from_utf8_lossy(&body).trim_end()));
    }
    let region = head.headers.get(REGION).and_then(|name| name.to_str().ok());
    let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
    if pool.len() < MAX_IDLE {
        pool.push_back(sender);
    }
    let known = REGIONS.iter().position(|(name, ..)| Some(*name) == region);
    known.ok_or_else(|| "the answer does not say its region".to_owned())
}
