//! Clients that ask again when they were answered: new connections, full handshakes, uploads.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use http::{HeaderValue, Method, header};
use serde_json::json;
use tokio::time::sleep;

use super::Aim;
use super::client::{self, Http1, Target};
use crate::{Fault, answers, say};

/// After a failure, so that a contestant that refuses is not flooded.
const BREATH: Duration = Duration::from_millis(10);

#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    aim: Aim,
    /// Clients at once
    #[arg(long, default_value_t = 32)]
    clients: usize,
}

/// What happened so far, and how much more may.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) requests: Cell<u64>,
    pub(super) failed: Cell<u64>,
    at_most: u64,
}

impl Tally {
    pub(super) fn new(aim: &Aim) -> Rc<Self> {
        Rc::new(Self { requests: Cell::new(0), failed: Cell::new(0), at_most: aim.at_most })
    }

    pub(super) fn count(&self, done: &Result<(), Fault>) {
        let cell = if done.is_ok() { &self.requests } else { &self.failed };
        cell.set(cell.get() + 1);
    }

    pub(super) fn is_enough(&self) -> bool {
        self.requests.get() + self.failed.get() >= self.at_most
    }

    /// Waits for the warm-up and then for the time that counts, and tells what happened in it. Failures count from the
    /// start: one before the time is as bad.
    pub(super) async fn watch(&self, aim: &Aim, warm_up: f64) {
        sleep(Duration::from_secs_f64(warm_up)).await;
        let (began, before) = (Instant::now(), self.requests.get());
        say("begin");
        sleep(Duration::from_secs_f64(aim.seconds)).await;
        let (seconds, requests) = (began.elapsed().as_secs_f64(), self.requests.get() - before);
        let told = json!({ "seconds": seconds, "requests": requests, "failed": self.failed.get() });
        say(&told.to_string());
    }
}

/// A connection, a small answer, and the end of it.
pub(crate) async fn connect(options: &Options) -> Result<(), Fault> {
    let target = Target::of(&options.aim)?;
    repeat(options, async move |client, _: &mut Option<Http1>| {
        let mut sender = target.open().await?;
        let mut request = client::request(Method::GET, answers::SMALL_PATH, Bytes::new(), client);
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        client::ask(&mut sender, request, answers::SMALL_BYTES).await
    })
    .await
}

/// A large body over a kept connection.
pub(crate) async fn upload(options: &Options) -> Result<(), Fault> {
    let target = Target::of(&options.aim)?;
    let body = answers::large();
    let expected = body.len().to_string().len();
    repeat(options, async move |client, kept: &mut Option<Http1>| {
        let mut sender = match kept.take() {
            Some(sender) => sender,
            None => target.open().await?,
        };
        let request = client::request(Method::POST, answers::UPLOAD_PATH, body.clone(), client);
        client::ask(&mut sender, request, expected).await?;
        *kept = Some(sender);
        Ok(())
    })
    .await
}

/// Lets every client do the same again and again until the time is over.
async fn repeat(
    options: &Options,
    once: impl AsyncFn(usize, &mut Option<Http1>) -> Result<(), Fault> + 'static,
) -> Result<(), Fault> {
    let tally = Tally::new(&options.aim);
    let once = Rc::new(once);
    for client in 0..options.clients {
        let (tally, once) = (tally.clone(), once.clone());
        tokio::task::spawn_local(async move {
            let mut kept = None;
            while !tally.is_enough() {
                let done = once(client, &mut kept).await;
                tally.count(&done);
                if done.is_err() {
                    sleep(BREATH).await;
                }
            }
        });
    }
    tally.watch(&options.aim, options.aim.warm_up).await;
    Ok(())
}
