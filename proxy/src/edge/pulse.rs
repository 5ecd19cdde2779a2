//! Whether the workers are alive, for a watchdog.
//!
//! A worker that hangs looks well from outside: the kernel goes on queueing clients for it. But its upkeep stands still.

use std::sync::Arc;

use tokio::sync::watch;

use super::Phase;
use crate::observe::Shard;

/// Says, each time it is asked, whether all workers have done something since it was last asked, or need not any more.
pub(super) fn pulse(
    phase: watch::Receiver<Phase>,
    shards: Vec<Arc<Shard>>,
) -> impl FnMut() -> bool + Send + use<> {
    let mut before: Vec<Option<u64>> = vec![None; shards.len()];
    move || {
        let now: Vec<Option<u64>> = shards.iter().map(|shard| Some(shard.rounds.get())).collect();
        let all_moved = before.iter().zip(&now).all(|(before, now)| before != now);
        before = now;
        all_moved || *phase.borrow() != Phase::Serving
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_stands_still_is_noticed_until_this_edge_stops() {
        let shards: Vec<Arc<Shard>> = (0..2).map(|_| Arc::default()).collect();
        let (phase, seen) = watch::channel(Phase::Serving);
        let mut is_alive = pulse(seen, shards.clone());
        let mut after = |moved: &[usize]| {
            moved.iter().for_each(|worker| shards[*worker].rounds.one());
            is_alive()
        };
        assert!(after(&[]), "nothing is known at first");
        assert!(after(&[0, 1]));
        assert!(!after(&[0]));
        assert!(!after(&[]));
        assert!(after(&[1, 0]));
        phase.send_replace(Phase::Leaving);
        assert!(after(&[]));
    }
}
