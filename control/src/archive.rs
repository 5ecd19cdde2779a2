//! What was current before: the tables, overrides and rankings that decisions were taken with.
//!
//! A decision names its snapshot by number. Here the parts of snapshots are kept that never change, in the order in which they
//! were current; parts that several have in common are kept once. What is observed is no part of it: it changes in place, and
//! decisions write down what they saw of it.
//!
//! Bounded: by age, by count, by bytes, and by the tables that are kept, whichever comes first. The current one always is here.

use std::collections::VecDeque;
use std::sync::Arc;

use steer::decide::World;
use steer::effective::Effective;
use steer::ids::RegionId;
use steer::ranking::Ranking;
use steer::{Moment, Span, Table};

use crate::drill::Drill;
use crate::overlay::Overlay;
use crate::snapshot::Snapshot;
use crate::version::Version;

/// How long what is not current any more is kept.
const MAX_AGE: Span = Span::from_secs(3600);
/// How many are kept.
const MAX_COUNT: usize = 1 << 17;
/// What they may hold together, in bytes, tables apart.
const MAX_BYTES: usize = 64 << 20;

/// What was current for a while.
#[derive(Clone, Debug)]
pub struct Past {
    /// Its snapshot's number.
    pub number: u64,
    /// Since when it was current.
    pub since: Moment,
    /// The table.
    pub version: Arc<Version>,
    /// The overrides.
    pub overlay: Arc<Overlay>,
    /// Table and overrides combined.
    pub effective: Arc<Effective>,
    /// Published latencies.
    pub ranking: Arc<Ranking>,
    /// The drill that ran, if one did.
    pub drill: Option<Arc<Drill>>,
    /// Where lanes of manual failback stood.
    pub incumbents: Arc<Vec<Option<RegionId>>>,
}

/// All that is kept, oldest first; without gaps.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    past: VecDeque<(Past, usize)>,
    bytes: usize,
}

/// Why what a decision was taken with is not held.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NoLonger {
    /// The oldest and the newest version whose table is still held.
    pub tables: (u64, u64),
    /// Since when what is held was current.
    pub since: Moment,
}

impl Past {
    /// What never changes of a snapshot that became current at a moment.
    #[must_use]
    pub fn of(snapshot: &Snapshot, since: Moment) -> Self {
        Self {
            number: snapshot.number,
            since,
            version: snapshot.version.clone(),
            overlay: snapshot.overlay.clone(),
            effective: snapshot.effective.clone(),
            ranking: snapshot.ranking.clone(),
            drill: snapshot.drill.clone(),
            incumbents: snapshot.incumbents.clone(),
        }
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.version.table
    }

    /// What a decision takes, with what was observed.
    #[must_use]
    pub fn world<'a, S>(&'a self, signals: &'a S) -> World<'a, S> {
        World {
            table: &self.version.table,
            effective: &self.effective,
            ranking: &self.ranking,
            incumbents: &self.incumbents,
            drill: self.drill.as_deref().map(|drill| &drill.decided),
            signals,
        }
    }

    /// The bytes that it holds beyond those of the one before, tables apart.
    fn bytes(&self, before: Option<&Self>) -> usize {
        let overlay = before.is_none_or(|before| !Arc::ptr_eq(&before.overlay, &self.overlay));
        let effective = before.is_none_or(|before| !Arc::ptr_eq(&before.effective, &self.effective));
        let ranking = before.is_none_or(|before| !Arc::ptr_eq(&before.ranking, &self.ranking));
        let incumbents = before.is_none_or(|before| !Arc::ptr_eq(&before.incumbents, &self.incumbents));
        let own = |is_own: bool, bytes: usize| if is_own { bytes } else { 0 };
        size_of::<(Self, usize)>()
            + own(overlay, self.overlay.bytes())
            + own(effective, size_of_val(self.effective.placements()))
            + own(ranking, size_of_val(&*self.ranking.regions) + size_of_val(&*self.ranking.excesses))
            + own(incumbents, size_of_val(&**self.incumbents))
    }
}

impl Archive {
    /// A snapshot became current.
    pub(crate) fn add(&mut self, past: Past) {
        let bytes = past.bytes(self.past.back().map(|(before, _)| before));
        let now = past.since;
        self.bytes += bytes;
        self.past.push_back((past, bytes));
        while self.past.len() > MAX_COUNT || self.past.len() > 1 && self.bytes > MAX_BYTES {
            self.forget_oldest();
        }
        self.forget_old(now);
    }

    /// Lets go of what has not been current for long.
    pub(crate) fn forget_old(&mut self, now: Moment) {
        while self.past.get(1).is_some_and(|(next, _)| now.since(next.since) > MAX_AGE) {
            self.forget_oldest();
        }
    }

    /// Lets go of what had a table before this version.
    pub(crate) fn forget_before(&mut self, version: u64) {
        while self.past.front().is_some_and(|(past, _)| past.version.about.version < version) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, bytes)) = self.past.pop_front() {
            // What its followers share with it is theirs from now on; until they go it is not counted.
            self.bytes -= bytes;
        }
    }

    /// What was current under a snapshot's number.
    ///
    /// # Errors
    /// What is held instead.
    pub(crate) fn find(&self, number: u64) -> Result<Past, NoLonger> {
        let first = self.past.front().map_or(0, |(past, _)| past.number);
        let at = number.checked_sub(first).and_then(|at| usize::try_from(at).ok());
        let found = at.and_then(|at| self.past.get(at)).map(|(past, _)| past);
        found.filter(|past| past.number == number).cloned().ok_or_else(|| {
            let version =
                |entry: Option<&(Past, usize)>| entry.map_or(0, |(past, _)| past.version.about.version);
            NoLonger {
                tables: (version(self.past.front()), version(self.past.back())),
                since: self.past.front().map(|(past, _)| past.since).unwrap_or_default(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::publisher::{Draft, Publisher};

    fn past() -> Past {
        let text = "regions = [{ name = \"eu\", latitude = 50.1, longitude = 8.7 }]\n\
                    routes = [{ name = \"all\", hosts = [\"www.example.com\"], pool = \"web\" }]\n\
                    [[pools]]\nname = \"web\"\nplacements = [{ region = \"eu\", origins = [\"10.0.0.1:80\"] }]\n";
        let [text, source, author, reason] = [text, "t", "a", "r"].map(str::to_owned);
        let draft = Draft { text, source, author, reason };
        let publisher =
            Publisher::start(draft, steer::Pop::default(), 1, Clock::start(), Arc::new(|_| Vec::new()));
        Past::of(&publisher.expect("a good table").snapshot(), Moment::default())
    }

    fn at(past: &Past, number: u64, seconds: u64) -> Past {
        Past { number, since: Moment::default() + Span::from_secs(seconds), ..past.clone() }
    }

    #[test]
    fn the_past_is_found_by_its_number_until_it_is_old() {
        let (past, mut archive) = (past(), Archive::default());
        for number in 1..=10 {
            archive.add(at(&past, number, number * 100));
        }
        assert_eq!(archive.find(1).map(|past| past.since.as_nanos()), Ok(100_000_000_000));
        assert_eq!(archive.find(11).err(), Some(NoLonger { tables: (1, 1), since: at(&past, 1, 100).since }));
        assert!(archive.find(0).is_err());
        // Number 3 was current until second 400.
        archive.forget_old(at(&past, 0, 4001).since);
        assert!(archive.find(3).is_err() && archive.find(4).is_ok());
        archive.forget_old(at(&past, 0, 1_000_000).since);
        assert!(archive.find(9).is_err() && archive.find(10).is_ok(), "what is current stays");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (past, mut archive) = (past(), Archive::default());
        let large = |number| {
            let regions = vec![steer::ranking::Ranked::default(); 10_000];
            Past { ranking: Arc::new(Ranking { regions, ..Ranking::default() }), ..at(&past, number, 0) }
        };
        for number in 1..=1000 {
            archive.add(large(number));
            assert!(archive.bytes <= MAX_BYTES);
        }
        let held = archive.past.len();
        assert!((100..300).contains(&held), "{held}");
        // What they have in common is kept once.
        let shared = large(0);
        for number in 1001..=1100 {
            archive.add(Past { number, ..shared.clone() });
        }
        assert!(archive.past.len() > held + 90, "{}", archive.past.len());
        assert_eq!(archive.bytes, archive.past.iter().map(|(_, bytes)| bytes).sum::<usize>());
        archive.forget_before(2);
        assert_eq!((archive.past.len(), archive.bytes), (0, 0), "their table is gone");
    }
}
