//! What systemd gives and is told: sockets that it has opened, and how this process is doing.
//!
//! Without systemd, nothing is given and nobody listens.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;

use crate::edge::Edge;

/// The sockets of socket activation (LISTEN_FDS). They are taken once.
pub(super) fn inherited() -> io::Result<Vec<TcpListener>> {
    let mut given = ListenFd::from_env();
    (0..given.len()).filter_map(|index| given.take_tcp_listener(index).transpose()).collect()
}

pub(super) fn ready(edge: &Edge) {
    let table = edge.publisher().snapshot().version.about.version;
    let status = format!("serving {} listeners with table {table}", edge.listeners.len());
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "the reload is not announced"),
    }
}

pub(super) fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// Tells, as often as it was asked for (WATCHDOG_USEC), that the workers are alive. If one of them stands still, systemd hears
/// nothing, and starts this process anew.
pub(super) async fn watchdog(mut is_alive: impl FnMut() -> bool) {
    let Some(patience) = sd_notify::watchdog_enabled() else { return };
    let mut ticks = tokio::time::interval((patience / 2).max(Duration::from_millis(1)));
    loop {
        ticks.tick().await;
        if is_alive() {
            tell(&[NotifyState::Watchdog]);
        } else {
            tracing::error!("a worker stands still");
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}
