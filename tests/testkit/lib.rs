//! What end-to-end tests are made of: the real binary as a process, origins that do as they are told, and clients.
//!
//! Everything listens on port 0 of loopback and ends with the value that holds it. Tests wait for events ([`until`]), never
//! for time to pass.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test that cannot be set up has failed"
)]

mod authority;
mod client;
mod credulous;
mod edge;
mod muted;
mod origin;
mod terminal;
mod users;

use std::time::{Duration, Instant};

pub use authority::{Authority, Certificate};
pub use client::{Answer, Client, read_head};
pub use credulous::credulous_client;
pub use edge::{Admin, Edge, EdgeBuilder};
pub use muted::Muted;
pub use nearside::relay::Relay;
pub use origin::{Origin, Received, answer, break_off, text};
pub use terminal::Terminal;
pub use users::Users;

/// The body of a request or an answer.
pub type Body = http_body_util::combinators::BoxBody<bytes::Bytes, std::io::Error>;

/// How long a test waits for something that must happen: far more than it takes, on a machine that does other things too.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `what` is true.
pub async fn until(what: &str, mut is_true: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !is_true().await {
        assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Says that a part of a test was left out, past the harness, which would swallow it.
pub fn skipped(what: &str, why: &str) {
    use std::io::Write as _;
    let _ = std::io::stderr().write_all(format!("SKIPPED: {what}: {why}\n").as_bytes());
}

/// A table of one pool `app` with a placement per region, and one route for `app.test`. Regions are `(name, origins)`, each
/// at a place of its own.
#[must_use]
pub fn table(regions: &[(&str, &[String])]) -> String {
    table_with(regions, "", "")
}

/// As [`table`], with more keys for the pool and for the route.
#[must_use]
pub fn table_with(regions: &[(&str, &[String])], pool: &str, route: &str) -> String {
    let mut text = String::new();
    for (index, (name, _)) in regions.iter().enumerate() {
        let longitude = 8.0 + 20.0 * index as f64;
        text.push_str(&format!(
            "[[regions]]\nname = {name:?}\nlatitude = 50.0\nlongitude = {longitude:.1}\n"
        ));
        text.push_str(&format!("jurisdiction = \"J{index}\"\n\n"));
    }
    text.push_str(&format!(
        "[[routes]]\nname = \"app\"\nhosts = [\"app.test\", \"127.0.0.1\", \"localhost\"]\npool = \"app\"\n{route}\n\n"
    ));
    text.push_str(&format!("[[pools]]\nname = \"app\"\n{pool}\n"));
    for (name, origins) in regions {
        text.push_str(&format!("[[pools.placements]]\nregion = {name:?}\norigins = {origins:?}\n"));
    }
    text
}
