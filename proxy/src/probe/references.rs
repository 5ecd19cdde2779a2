//! Addresses that have nothing to do with the origins, asked while no origin answers: if they do, it is not the uplink.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::ask::is_answer;
use super::keeper::Keeper;
use crate::connect::{ConnectError, PathTimes, connect_to};

/// How often they are asked.
const EVERY: Duration = Duration::from_millis(250);

/// Asks whenever that is wanted, for as long as it runs.
pub(super) async fn ask(keeper: Rc<Keeper>, references: Vec<SocketAddr>) {
    if references.is_empty() {
        return;
    }
    let mut rounds = interval(EVERY);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        if !keeper.wants_references() {
            continue;
        }
        for reference in &references {
            let (keeper, reference) = (keeper.clone(), *reference);
            tokio::task::spawn_local(async move {
                match connect_to(&[reference], PathTimes::of(None)).await {
                    Ok(_) => keeper.heard(),
                    // A refusal is an answer too; what this machine says by itself is none.
                    Err(ConnectError::Refused(error)) if is_answer(&error) => keeper.heard(),
                    Err(_) => {}
                }
            });
        }
    }
}
