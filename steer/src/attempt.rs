//! What may follow an attempt.
//!
//! Three questions, kept apart. *May the request be sent again at all, and how far?* That depends on how the attempt ended and
//! on what the request is ([`reach`]). *How many?* As the route says, within the budget of the placement that failed
//! ([`crate::budget`]); attempts that were never sent cost nothing. *Where to?* Another untried origin of the same placement,
//! unless that placement is doubted or this is the last attempt; otherwise the next placement of the plan
//! ([`next_placement`]).
//!
//! | ended | GET, HEAD, OPTIONS | PUT, DELETE | POST, PATCH | with a key in scope |
//! |---|---|---|---|---|
//! | not sent, or refused unprocessed | anywhere | anywhere | anywhere | anywhere |
//! | sent, not answered | anywhere | anywhere, if allowed | no | within the key's scope |
//! | 502, 503, 504 as listed | anywhere | anywhere, if allowed | 503 with `Retry-After` alone | within the key's scope |
//! | answer begun | no | no | no | no |
//!
//! Left out: the time a request has left, and doing it.

use crate::ids::PlacementId;
use crate::retry::Retry;
use crate::signals::Health;
use crate::spec::{KeyScope, RetryScope};

/// The most attempts that a request makes, where its route does not say.
pub const MAX_ATTEMPTS: u32 = 3;

/// How an attempt ended before an answer was passed on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// Not a byte of the request was written to an origin: it cannot have run.
    NotSent,
    /// The origin says that it has not looked at it (REFUSED_STREAM, GOAWAY with an earlier stream, 421, 425).
    Unprocessed,
    /// Bytes were written and no answer came: it may have run.
    Unanswered,
    /// It was answered with an error status.
    GatewayError {
        /// The status.
        status: u16,
        /// Whether the answer says when to come back: the origin has declined the request.
        retry_after: bool,
    },
}

/// What a request is, as far as repeating it goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Nature {
    /// What its method says.
    pub kind: Kind,
    /// Whether it has an `Idempotency-Key`, by which origins may recognise it.
    pub keyed: bool,
}

/// What a method says of running a request twice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// It is harmless by definition (GET, HEAD, OPTIONS; RFC 9110, 9.2.1).
    Safe,
    /// It has the effect of once, on one copy of the data (PUT, DELETE; 9.2.2).
    Idempotent,
    /// It may do twice.
    Once,
}

/// How far a request may go on. Ordered: the lesser of two is what both allow.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Reach {
    /// It is over.
    Nowhere,
    /// To origins of the placement where it may have run.
    Placement,
    /// Wherever it is permitted.
    Anywhere,
}

impl Nature {
    /// From a method and the presence of an `Idempotency-Key`.
    #[must_use]
    pub fn of(method: &str, keyed: bool) -> Self {
        let kind = match method {
            "GET" | "HEAD" | "OPTIONS" => Kind::Safe,
            "PUT" | "DELETE" => Kind::Idempotent,
            _ => Kind::Once,
        };
        Self { kind, keyed }
    }

    /// Whether running it twice is harmless by definition.
    #[must_use]
    pub fn is_safe(self) -> bool {
        self.kind == Kind::Safe
    }

    /// How far it may go after it may have run.
    fn reach_once_run(self, retry: &Retry) -> Reach {
        let by_key = match retry.idempotency_key {
            KeyScope::Region if self.keyed => Reach::Placement,
            KeyScope::Global if self.keyed => Reach::Anywhere,
            _ => Reach::Nowhere,
        };
        let by_method = match self.kind {
            Kind::Safe => Reach::Anywhere,
            Kind::Idempotent if retry.idempotent_methods => Reach::Anywhere,
            Kind::Idempotent | Kind::Once => Reach::Nowhere,
        };
        by_key.max(by_method)
    }
}

impl Ending {
    /// What an answer's status means for the attempt; `None` is an answer to pass on.
    #[must_use]
    pub fn of_status(status: u16, retry_after: bool, retry: &Retry) -> Option<Self> {
        match status {
            // Misdirected, or too early: the origin has not acted on it (RFC 9110, 15.5.20; RFC 8470, 5.2).
            421 | 425 => Some(Self::Unprocessed),
            _ if retry.statuses.contains(&status) => Some(Self::GatewayError { status, retry_after }),
            _ => None,
        }
    }

    /// Whether the request may have run.
    #[must_use]
    pub const fn may_have_run(self) -> bool {
        match self {
            Self::NotSent | Self::Unprocessed => false,
            Self::Unanswered => true,
            Self::GatewayError { status, retry_after } => !(status == 503 && retry_after),
        }
    }
}

/// How far a request may go after an attempt ended so. A body that is not whole any more holds it back whatever it is.
#[must_use]
pub fn reach(ending: Ending, nature: Nature, body_is_whole: bool, retry: &Retry) -> Reach {
    if !body_is_whole {
        return Reach::Nowhere;
    }
    let allowed = if ending.may_have_run() { nature.reach_once_run(retry) } else { Reach::Anywhere };
    match retry.scope {
        RetryScope::Any => allowed,
        RetryScope::Region => allowed.min(Reach::Placement),
    }
}

/// Where an attempt ended, and what is left there.
#[derive(Clone, Copy, Debug)]
pub struct Failed {
    /// The placement.
    pub placement: PlacementId,
    /// Its health now.
    pub health: Health,
    /// Whether it has an origin that this request has not tried.
    pub untried_left: bool,
}

/// Where the next attempt goes. `plan` is this moment's plan, `tried` the placements where no untried origin is left or that
/// were given up, `is_last` whether no attempt can follow it.
#[must_use]
pub fn next_placement(
    plan: &[PlacementId],
    failed: Failed,
    tried: &[PlacementId],
    reach: Reach,
    is_last: bool,
) -> Option<PlacementId> {
    let Failed { placement: failed, health, untried_left } = failed;
    let here = (plan.contains(&failed) && untried_left).then_some(failed);
    match reach {
        Reach::Nowhere => None,
        Reach::Placement => here,
        Reach::Anywhere => {
            let elsewhere =
                plan.iter().copied().find(|placement| *placement != failed && !tried.contains(placement));
            match here {
                Some(here) if health == Health::Up && !is_last => Some(here),
                here => elsewhere.or(here),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids<const N: usize>() -> [PlacementId; N] {
        std::array::from_fn(|index| PlacementId::new(index).unwrap())
    }

    fn next(
        plan: &[PlacementId],
        failed: (PlacementId, Health, bool),
        tried: &[PlacementId],
        is_last: bool,
    ) -> Option<PlacementId> {
        let (placement, health, untried_left) = failed;
        next_placement(plan, Failed { placement, health, untried_left }, tried, Reach::Anywhere, is_last)
    }

    #[test]
    fn the_same_placement_first_while_it_is_trusted() {
        let plan @ [a, b, c] = ids();
        assert_eq!(next(&plan, (a, Health::Up, true), &[], false), Some(a));
        assert_eq!(next(&plan, (a, Health::Up, false), &[], false), Some(b));
        assert_eq!(next(&plan, (a, Health::Suspect, true), &[], false), Some(b));
        assert_eq!(next(&plan, (b, Health::Down, false), &[a], true), Some(c));
    }

    #[test]
    fn the_last_attempt_leaves_the_region_if_it_can() {
        let plan @ [a, b] = ids();
        assert_eq!(next(&plan, (a, Health::Up, true), &[], true), Some(b));
        assert_eq!(next(&[a], (a, Health::Up, true), &[], true), Some(a));
    }

    #[test]
    fn a_placement_that_is_no_longer_permitted_is_left() {
        let [a, b] = ids();
        assert_eq!(next(&[b], (a, Health::Up, true), &[], false), Some(b));
        assert_eq!(next(&[], (a, Health::Up, true), &[], false), None);
    }

    #[test]
    fn what_must_stay_in_its_placement_stays() {
        let plan @ [a, b] = ids();
        let failed = |health, untried_left| Failed { placement: a, health, untried_left };
        let stays = |failed| next_placement(&plan, failed, &[], Reach::Placement, false);
        assert_eq!(stays(failed(Health::Down, true)), Some(a));
        assert_eq!(stays(failed(Health::Up, false)), None);
        assert_eq!(next_placement(&plan, failed(Health::Up, true), &[], Reach::Nowhere, false), None);
        assert_eq!(next_placement(&[b], failed(Health::Up, true), &[], Reach::Placement, false), None);
    }

    const GET: Nature = Nature { kind: Kind::Safe, keyed: false };
    const PUT: Nature = Nature { kind: Kind::Idempotent, keyed: false };
    const POST: Nature = Nature { kind: Kind::Once, keyed: false };
    const KEYED: Nature = Nature { kind: Kind::Once, keyed: true };

    fn error(status: u16, retry_after: bool) -> Ending {
        Ending::GatewayError { status, retry_after }
    }

    #[test]
    fn the_table() {
        let usual = Retry::default();
        let regional = Retry { idempotency_key: KeyScope::Region, ..usual.clone() };
        let global = Retry { idempotency_key: KeyScope::Global, idempotent_methods: true, ..usual.clone() };
        use Reach::{Anywhere, Nowhere, Placement};
        // In the order: safe, idempotent, POST, POST with a key; by default, then with the key's scope declared.
        for (ending, by_default, keyed, allowed) in [
            (Ending::NotSent, [Anywhere; 4], Anywhere, Anywhere),
            (Ending::Unprocessed, [Anywhere; 4], Anywhere, Anywhere),
            (Ending::Unanswered, [Anywhere, Nowhere, Nowhere, Nowhere], Placement, Anywhere),
            (error(502, false), [Anywhere, Nowhere, Nowhere, Nowhere], Placement, Anywhere),
            (error(502, true), [Anywhere, Nowhere, Nowhere, Nowhere], Placement, Anywhere),
            (error(503, false), [Anywhere, Nowhere, Nowhere, Nowhere], Placement, Anywhere),
            (error(503, true), [Anywhere; 4], Anywhere, Anywhere),
        ] {
            let natures = [GET, PUT, POST, KEYED];
            assert_eq!(natures.map(|nature| reach(ending, nature, true, &usual)), by_default, "{ending:?}");
            assert_eq!(reach(ending, KEYED, true, &regional), keyed, "{ending:?}");
            assert_eq!(reach(ending, KEYED, true, &global), Anywhere, "{ending:?}");
            assert_eq!(reach(ending, PUT, true, &global), allowed, "{ending:?}");
            assert_eq!(reach(ending, GET, false, &global), Nowhere, "without its body");
        }
    }

    #[test]
    fn a_narrow_scope_narrows_everything() {
        let narrow = Retry { scope: RetryScope::Region, ..Retry::default() };
        assert_eq!(reach(Ending::NotSent, POST, true, &narrow), Reach::Placement);
        assert_eq!(reach(Ending::Unanswered, POST, true, &narrow), Reach::Nowhere);
    }

    #[test]
    fn statuses_are_failures_only_where_they_are_listed() {
        let usual = Retry::default();
        let none = Retry { statuses: Vec::new(), ..Retry::default() };
        assert_eq!(Ending::of_status(503, true, &usual), Some(error(503, true)));
        assert_eq!(Ending::of_status(503, true, &none), None);
        assert_eq!(Ending::of_status(421, false, &none), Some(Ending::Unprocessed));
        assert_eq!(Ending::of_status(500, false, &usual), None);
        assert_eq!(Ending::of_status(429, true, &usual), None);
    }

    #[test]
    fn natures() {
        let natures = ["GET", "PUT", "POST", "PATCH", "FROBNICATE"].map(|method| Nature::of(method, false));
        assert_eq!(natures, [GET, PUT, POST, POST, POST]);
        let regional = Retry { idempotency_key: KeyScope::Region, ..Retry::default() };
        let keyed_put = Nature::of("PUT", true);
        assert_eq!(reach(Ending::Unanswered, keyed_put, true, &regional), Reach::Placement);
        let both = Retry { idempotent_methods: true, ..regional };
        assert_eq!(
            reach(Ending::Unanswered, keyed_put, true, &both),
            Reach::Anywhere,
            "the wider of two permissions"
        );
    }
}
