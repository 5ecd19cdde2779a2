//! People: each has a connection, asks, reads for a while, and asks again.
//!
//! Their number is what open files allow, and they do not ask faster when they are answered faster: what is compared is
//! what the same people cost, and whether anybody is let down.

use std::time::Duration;

use clap::Args;
use tokio::time::sleep;

use super::Aim;
use super::client::{self, Target};
use super::closed::Tally;
use crate::Fault;

#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    aim: Aim,
    /// How many
    #[arg(long, default_value_t = 8000)]
    users: usize,
    /// Seconds from an answer to the next request
    #[arg(long, default_value_t = 1.0)]
    think: f64,
    /// Seconds in which they arrive, evenly
    #[arg(long, default_value_t = 2.0)]
    arrive: f64,
}

/// Lets them arrive, says `begin` after the warm-up, and tells what happened.
pub(crate) async fn run(options: &Options) -> Result<(), Fault> {
    let target = Target::of(&options.aim)?;
    let tally = Tally::new(&options.aim);
    let think = Duration::from_secs_f64(options.think);
    for user in 0..options.users {
        let after = Duration::from_secs_f64(options.arrive * user as f64 / options.users as f64);
        let (target, tally) = (target.clone(), tally.clone());
        tokio::task::spawn_local(async move {
            sleep(after).await;
            let mut kept = None;
            while !tally.is_enough() {
                let done = async {
                    let mut sender = match kept.take() {
                        Some(sender) => sender,
                        None => target.open().await?,
                    };
                    client::ask_small(&mut sender, user).await?;
                    kept = Some(sender);
                    Ok(())
                };
                tally.count(&done.await);
                sleep(think).await;
            }
        });
    }
    tally.watch(&options.aim, options.arrive + options.aim.warm_up).await;
    Ok(())
}
