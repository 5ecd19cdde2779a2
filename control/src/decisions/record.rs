//! What is kept of a decision: everything it was taken with, and what came of it, as words.
//!
//! Table, overrides and ranking are only named: whoever reads the record has them from the
//! [archive](crate::archive). What changes while a decision is taken stands here as it was read: the observed bytes of
//! the pool's placements, requests in flight where there is a limit, the two loads that were compared.
//!
//! ```text
//! head │ time, request, numbers of snapshot, table, overlay, ranking │ lane, route │ client (7) │ flags, counts, ids (5)
//!      │ key or origin that it belongs to │ seed │ observed │ trusted │ loads │ tried │ in flight │ last success
//! ```
//! The first line has 20 words in every record; the rest as many as there are.

use steer::Moment;
use steer::attempt::Reach;
use steer::choice::{Choice, Nowhere, Onward, Step};
use steer::client::{CLIENT_WORDS, Client};
use steer::decide::{Basis, Cause, Decision};
use steer::ids::{LaneId, OriginId, PlacementId, RegionId, RouteId};
use steer::pick::Belongs;

/// Words that every record has.
const FIXED: usize = 20;
/// The word with the hash of the request's id.
pub(super) const REQUEST_WORD: usize = 2;
/// Instead of an id that there is none of.
const NONE: u32 = u32::MAX;

/// What came of a decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// The decision and the placement.
    pub choice: Choice,
    /// The origin in it; `None` only if the placement has none.
    pub origin: Option<OriginId>,
}

/// A decision with all its inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When the request's head came, or its attempt before failed.
    pub at: Moment,
    /// The hash of the request's id.
    pub request: u64,
    /// The numbers of what it was decided by.
    pub by: Numbers,
    /// The request's route.
    pub route: RouteId,
    /// And its lane.
    pub lane: LaneId,
    /// Who asked.
    pub client: Client,
    /// Whether it is a later attempt, and what came before.
    pub onward: Option<Before>,
    /// The origin it belongs to.
    pub belongs: Belongs,
    /// What was seen.
    pub seen: Seen,
    /// What came of it.
    pub outcome: Result<Placed, Nowhere>,
}

/// What a decision was decided by.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Numbers {
    /// The snapshot's.
    pub snapshot: u64,
    /// The table's version.
    pub table: u64,
    /// The overlay's.
    pub overlay: u64,
    /// The ranking's.
    pub ranking: u64,
}

/// What came before a later attempt; see [`Onward`].
#[derive(Clone, Debug, PartialEq)]
pub struct Before {
    /// Where the attempt before it was made.
    pub failed: Option<PlacementId>,
    /// How far it could go.
    pub reach: Reach,
    /// Whether no attempt could follow it.
    pub is_last: bool,
}

/// What was seen of the world while it was decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// The board's words with the bytes of the pool's placements.
    pub observed: Vec<u64>,
    /// Requests in flight, of placements with a limit that were looked at.
    pub in_flight: Vec<(PlacementId, u32)>,
    /// When placements last answered; only where all are down.
    pub last_success: Vec<(PlacementId, Option<Moment>)>,
    /// The origins that the request had tried.
    pub tried: Vec<OriginId>,
    /// A bit per origin of the placement, where there are several.
    pub trusted: Vec<u64>,
    /// The loads that were compared.
    pub loads: Vec<(OriginId, f64)>,
    /// What the draws between origins came from.
    pub seed: u64,
}

/// A record that is about to be written.
pub(super) struct Draft<'a> {
    pub(super) at: Moment,
    pub(super) request: u64,
    pub(super) by: Numbers,
    pub(super) route: RouteId,
    pub(super) lane: LaneId,
    pub(super) client: &'a Client,
    pub(super) step: Step<'a>,
    pub(super) belongs: Belongs,
    pub(super) outcome: Result<&'a Placed, Nowhere>,
}

impl Seen {
    /// Whether the `index`th origin of the placement was trusted. The only one of a placement counts as that.
    #[must_use]
    pub fn is_trusted(&self, index: usize) -> bool {
        is_set(&self.trusted, index)
    }
}

/// Whether a bit is set; one that there is no word for is.
pub(super) fn is_set(words: &[u64], index: usize) -> bool {
    words.get(index / 64).is_none_or(|word| word >> (index % 64) & 1 == 1)
}

impl Draft<'_> {
    /// Writes it down. Without a word if there is too much of something for any ring.
    pub(super) fn encode(&self, seen: &Seen, words: &mut Vec<u64>) {
        words.clear();
        let parts = [seen.observed.len(), seen.in_flight.len(), seen.last_success.len(), seen.tried.len()];
        let Ok([observed, in_flight, last_success, tried]) = all_small(parts) else { return };
        let Ok(trusted) = u16::try_from(seen.trusted.len()) else { return };
        let mut flags = Flags(0);
        let mut ids = [NONE; 5];
        if let Step::Onward(Onward { failed, reach, is_last, .. }) = self.step {
            flags.put(0, 1, 1);
            flags.put(1, 1, u64::from(is_last));
            flags.put(2, 2, reach as u64);
            ids[4] = id(failed.map(PlacementId::index));
        }
        let (kind, belonging, region) = match self.belongs {
            Belongs::Anywhere => (0, None, None),
            Belongs::Key(key) => (1, Some(key), None),
            Belongs::Origin { region, hash } => (2, Some(hash), region),
        };
        flags.put(4, 2, kind);
        flags.put(6, 1, u64::from(region.is_some()));
        match self.outcome {
            Ok(Placed { choice: Choice { decision, placement }, origin }) => {
                flags.put(7, 2, decision.basis as u64);
                flags.put(9, 1, u64::from(decision.kept));
                ids[0] = id(Some(decision.first.index()));
                ids[1] = id(decision.natural.map(PlacementId::index));
                ids[2] = id(decision.spilled_from.map(PlacementId::index));
                ids[3] = id(Some(placement.index()));
                flags.put(10, 1, u64::from(origin.is_some()));
                flags.put(14, 1, u64::from(decision.drilled));
            }
            Err(Nowhere::NoCandidate(cause)) => flags.put(11, 3, 1 + cause as u64),
            Err(Nowhere::NothingLeft) => flags.put(11, 3, 4),
        }
        let origin = self.outcome.ok().and_then(|placed| placed.origin);
        flags.put(16, 16, u64::from(observed));
        flags.put(32, 16, u64::from(in_flight));
        flags.put(48, 16, u64::from(last_success));
        let counts = pack([
            tried,
            trusted,
            seen.loads.len().min(2) as u16,
            region.map_or(0, |region| region.index() as u16),
        ]);
        let Numbers { snapshot, table, overlay, ranking } = self.by;
        words.extend([0, self.at.as_nanos(), self.request, snapshot, table, overlay, ranking]);
        words.push(pair(id(Some(self.lane.index())), id(Some(self.route.index()))));
        words.extend(self.client.to_words());
        words.extend([flags.0, pair(ids[0], ids[1]), pair(ids[2], ids[3])]);
        words.extend([pair(id(origin.map(OriginId::index)), ids[4]), counts]);
        words.extend(belonging);
        if trusted > 0 {
            words.push(seen.seed);
        }
        words.extend(&seen.observed);
        words.extend(&seen.trusted);
        for (origin, load) in seen.loads.iter().take(2) {
            words.extend([origin.index() as u64, load.to_bits()]);
        }
        words.extend(seen.tried.chunks(2).map(|pair_of| {
            let index = |at: usize| id(pair_of.get(at).map(|origin| origin.index()));
            pair(index(0), index(1))
        }));
        words.extend(seen.in_flight.iter().map(|(placement, n)| pair(id(Some(placement.index())), *n)));
        for (placement, at) in &seen.last_success {
            words.extend([placement.index() as u64, at.map_or(0, Moment::as_nanos)]);
        }
    }
}

impl Record {
    /// Reads what [`Draft::encode`] wrote; `None` if that is not what it is.
    pub(super) fn decode(words: &[u64]) -> Option<Self> {
        let (fixed, rest) = words.split_first_chunk::<FIXED>()?;
        let [_, at, request, snapshot, table, overlay, ranking, place, client @ .., flags, a, b, c, counts] =
            fixed;
        let client: [u64; CLIENT_WORDS] = *client;
        let flags = Flags(*flags);
        let [(first, natural), (spilled_from, placement), (origin, failed)] =
            [a, b, c].map(|word| unpair(*word));
        let (lane, route) = unpair(*place);
        let [tried, trusted, loads, region] = [0, 16, 32, 48].map(|at| Flags(*counts).get(at, 16) as usize);
        let mut rest = rest.iter().copied();
        let belongs = match flags.get(4, 2) {
            0 => Belongs::Anywhere,
            1 => Belongs::Key(rest.next()?),
            _ => {
                let region = RegionId::new(region).filter(|_| flags.get(6, 1) == 1);
                Belongs::Origin { region, hash: rest.next()? }
            }
        };
        let mut seen = Seen { seed: if trusted > 0 { rest.next()? } else { 0 }, ..Seen::default() };
        let mut take = |count: usize| -> Option<Vec<u64>> {
            let taken: Vec<u64> = rest.by_ref().take(count).collect();
            (taken.len() == count).then_some(taken)
        };
        seen.observed = take(flags.get(16, 16) as usize)?;
        seen.trusted = take(trusted)?;
        for load in take(2 * loads)?.chunks_exact(2) {
            seen.loads.push((OriginId::new(usize::try_from(load[0]).ok()?)?, f64::from_bits(load[1])));
        }
        let pairs = take(tried.div_ceil(2))?.into_iter().flat_map(|word| <[u32; 2]>::from(unpair(word)));
        seen.tried = pairs.take(tried).map(|id| OriginId::new(id as usize)).collect::<Option<_>>()?;
        for word in take(flags.get(32, 16) as usize)? {
            let (placement, n) = unpair(word);
            seen.in_flight.push((PlacementId::new(placement as usize)?, n));
        }
        for words in take(2 * flags.get(48, 16) as usize)?.chunks_exact(2) {
            let at = Some(words[1]).filter(|nanos| *nanos > 0).map(Moment::from_nanos);
            seen.last_success.push((PlacementId::new(usize::try_from(words[0]).ok()?)?, at));
        }
        let some = |id: u32| if id == NONE { None } else { PlacementId::new(id as usize) };
        let lane = LaneId::new(lane as usize)?;
        let outcome = match flags.get(11, 3) {
            0 => Ok(Placed {
                choice: Choice {
                    decision: Decision {
                        lane,
                        first: some(first)?,
                        natural: some(natural),
                        spilled_from: some(spilled_from),
                        basis: *BASES.get(flags.get(7, 2) as usize)?,
                        kept: flags.get(9, 1) == 1,
                        drilled: flags.get(14, 1) == 1,
                    },
                    placement: some(placement)?,
                },
                origin: if flags.get(10, 1) == 1 { OriginId::new(origin as usize) } else { None },
            }),
            4 => Err(Nowhere::NothingLeft),
            cause => Err(Nowhere::NoCandidate(*CAUSES.get(cause as usize - 1)?)),
        };
        let before = || Before {
            failed: some(failed),
            reach: REACHES[flags.get(2, 2).min(2) as usize],
            is_last: flags.get(1, 1) == 1,
        };
        Some(Self {
            at: Moment::from_nanos(*at),
            request: *request,
            by: Numbers { snapshot: *snapshot, table: *table, overlay: *overlay, ranking: *ranking },
            route: RouteId::new(route as usize)?,
            lane,
            client: Client::from_words(client),
            onward: (flags.get(0, 1) == 1).then(before),
            belongs,
            seen,
            outcome,
        })
    }

    /// Which attempt it was.
    #[must_use]
    pub fn step(&self) -> Step<'_> {
        match &self.onward {
            None => Step::First,
            Some(Before { failed, reach, is_last }) => Step::Onward(Onward {
                failed: *failed,
                tried: &self.seen.tried,
                reach: *reach,
                is_last: *is_last,
            }),
        }
    }
}

const BASES: [Basis; 4] = [Basis::Ranked, Basis::Unranked, Basis::LastResort, Basis::AllDown];
const CAUSES: [Cause; 3] = [Cause::Unhealthy, Cause::Full, Cause::Jurisdiction];
const REACHES: [Reach; 3] = [Reach::Nowhere, Reach::Placement, Reach::Anywhere];

/// A word of small numbers.
struct Flags(u64);

impl Flags {
    fn put(&mut self, at: u32, bits: u32, value: u64) {
        debug_assert!(value >> bits == 0, "{value} has more than {bits} bits");
        self.0 |= value << at;
    }

    const fn get(&self, at: u32, bits: u32) -> u64 {
        self.0 >> at & ((1 << bits) - 1)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "ids have 32 bits at most, and the greatest is not used")]
fn id(index: Option<usize>) -> u32 {
    index.map_or(NONE, |index| index as u32)
}

const fn pair(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

#[expect(clippy::cast_possible_truncation, reason = "its two halves")]
const fn unpair(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

fn pack(parts: [u16; 4]) -> u64 {
    parts.iter().rev().fold(0, |word, part| word << 16 | u64::from(*part))
}

fn all_small<const N: usize>(parts: [usize; N]) -> Result<[u16; N], std::num::TryFromIntError> {
    let mut small = [0; N];
    for (small, part) in small.iter_mut().zip(parts) {
        *small = u16::try_from(part)?;
    }
    Ok(small)
}
