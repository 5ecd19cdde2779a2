//! Calls by nobody: how many of them one address, and all together, get an answer at once.
//!
//! Ten failures a minute per address (an IPv6 client has a /64 to choose from, so that counts as one) are answered `401`. Whoever
//! goes on is answered `429` and told to wait: 2 s, then 4, doubled with each failure after the wait is over, 5 minutes at most.
//! A quarter of an hour without a failure is forgiven. All addresses together have a limit of their own, so that whoever has many
//! gains nothing.
//!
//! A valid token gets in all the same. The address is often not one person's: operators come through `ssh -L`, a jump host or a
//! NAT that they share with whoever fails, and a lock that strangers can close would be their weapon in an incident. Guessing
//! gains nothing by that: of 2^256 tokens, a million guesses a second for a thousand years find one with a chance of 1 to 10^60.
//! So what the limit protects is the log (a line for each failure that is not limited), and the attention of whoever reads it.
//!
//! Pure: moments come from the caller. Bounded: when there is no room, the address that was quiet the longest is forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use steer::{Moment, Span};

use super::network::Network;

/// How one address is treated.
const ONE: Limit = Limit { free: 10, per: Span::from_secs(60), longest: Span::from_secs(300) };
/// How all of them together are.
const ALL: Limit = Limit { free: 120, per: Span::from_secs(60), longest: Span::from_secs(60) };
const FIRST_WAIT: Span = Span::from_secs(2);
/// After this long without a failure, former ones do not count.
const FORGIVEN: Span = Span::from_secs(15 * 60);
/// The most addresses that are remembered.
const MAX_NETWORKS: usize = 4096;

#[derive(Clone, Copy, Debug)]
struct Limit {
    /// Failures that are answered at once.
    free: u64,
    /// In this time.
    per: Span,
    /// The longest that somebody is told to wait.
    longest: Span,
}

/// What somebody's failures have come to.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    /// When all of them would have been due at the limit's pace.
    due: Moment,
    /// Waits that he was told.
    waits: u32,
    /// Until when he is to wait.
    until: Moment,
    last: Moment,
}

/// How a failure is answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// As it is.
    Plain,
    /// That he fails too often.
    Wait {
        /// When to come back.
        after: Span,
        /// Whether this failure has begun the wait.
        is_first: bool,
    },
}

/// The failures of late.
#[derive(Debug, Default)]
pub struct Failures {
    networks: BTreeMap<Network, Record>,
    /// The same by when they last failed, the longest ago first.
    order: BTreeSet<(Moment, Network)>,
    all: Record,
}

impl Record {
    fn fail(&mut self, limit: Limit, now: Moment) -> Verdict {
        if now < self.until {
            return Verdict::Wait { after: self.until.since(now), is_first: false };
        }
        if now.since(self.last) >= FORGIVEN {
            *self = Self::default();
        }
        self.last = now;
        let pace = Span::from_nanos(limit.per.as_nanos() / limit.free);
        let due = self.due.max(now) + pace;
        if due.since(now) <= limit.per {
            self.due = due;
            return Verdict::Plain;
        }
        let doubled = FIRST_WAIT.as_nanos().saturating_mul(1 << self.waits.min(20));
        let after = Span::from_nanos(doubled).min(limit.longest);
        self.waits += 1;
        self.until = now + after;
        // What he has used up comes back only after the wait.
        self.due = self.until + limit.per;
        Verdict::Wait { after, is_first: true }
    }
}

impl Failures {
    /// Counts a failure.
    pub fn fail(&mut self, address: IpAddr, now: Moment) -> Verdict {
        let network = Network::of(address);
        if !self.networks.contains_key(&network) && self.networks.len() >= MAX_NETWORKS {
            let oldest = self.order.pop_first();
            oldest.map(|(_, network)| self.networks.remove(&network));
        }
        let record = self.networks.entry(network).or_default();
        self.order.remove(&(record.last, network));
        let own = record.fail(ONE, now);
        self.order.insert((record.last, network));
        // Who is told to wait anyway shall not use up what all others have.
        match own {
            Verdict::Plain => self.all.fail(ALL, now),
            Verdict::Wait { .. } => own,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::default() + Span::from_secs(1000 + seconds)
    }

    fn wait(failures: &mut Failures, address: &str, now: Moment) -> Option<u64> {
        match failures.fail(address.parse().unwrap(), now) {
            Verdict::Plain => None,
            Verdict::Wait { after, .. } => Some(after.as_nanos() / 1_000_000_000),
        }
    }

    #[test]
    fn ten_a_minute_are_free_and_then_waits_double() {
        let mut failures = Failures::default();
        for _ in 0..10 {
            assert_eq!(wait(&mut failures, "192.0.2.1", at(0)), None);
        }
        let mut now = 0;
        for expected in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            assert_eq!(wait(&mut failures, "192.0.2.1", at(now)), Some(expected));
            // Asking again during a wait makes it no longer.
            assert_eq!(wait(&mut failures, "192.0.2.1", at(now + 1)), Some(expected - 1));
            assert_eq!(wait(&mut failures, "192.0.2.2", at(now)), None, "others are not concerned");
            now += expected;
        }
        assert_eq!(
            wait(&mut failures, "192.0.2.1", at(now + 9 * 60)),
            None,
            "after the wait, ten are free again"
        );
        for _ in 0..9 {
            assert_eq!(wait(&mut failures, "192.0.2.1", at(now + 9 * 60)), None);
        }
        assert_eq!(wait(&mut failures, "192.0.2.1", at(now + 9 * 60)), Some(300), "not forgiven yet");
        let later = now + 9 * 60 + 300 + 15 * 60;
        for _ in 0..10 {
            assert_eq!(wait(&mut failures, "192.0.2.1", at(later)), None);
        }
        assert_eq!(wait(&mut failures, "192.0.2.1", at(later)), Some(2), "forgiven");
    }

    #[test]
    fn a_slow_mistake_is_never_limited() {
        let mut failures = Failures::default();
        for minute in 0..600 {
            for second in [0, 20, 40] {
                assert_eq!(wait(&mut failures, "192.0.2.1", at(minute * 60 + second)), None);
            }
        }
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let mut failures = Failures::default();
        for host in 0..10 {
            assert_eq!(wait(&mut failures, &format!("2001:db8::{host}"), at(0)), None);
        }
        assert!(wait(&mut failures, "2001:db8::ffff:1", at(0)).is_some());
        assert_eq!(wait(&mut failures, "2001:db8:0:1::1", at(0)), None);
        for _ in 0..10 {
            wait(&mut failures, "192.0.2.1", at(0));
        }
        assert!(
            wait(&mut failures, "::ffff:192.0.2.1", at(0)).is_some(),
            "the same address, written otherwise"
        );
    }

    #[test]
    fn whoever_has_many_addresses_gains_nothing() {
        let mut failures = Failures::default();
        let mut plain = 0;
        for index in 0..100_000_u32 {
            let address = Ipv4Addr::from_bits(0x0a00_0000 + index);
            let now = at(0) + Span::from_millis(u64::from(index) * 6 / 10);
            plain += u32::from(failures.fail(address.into(), now) == Verdict::Plain);
            assert!(
                failures.networks.len() <= MAX_NETWORKS && failures.order.len() == failures.networks.len()
            );
        }
        assert!(plain < 250, "{plain} answers in a minute");
    }

    #[test]
    fn whoever_is_told_to_wait_does_not_use_up_what_others_have() {
        let mut failures = Failures::default();
        for _ in 0..100_000 {
            wait(&mut failures, "192.0.2.1", at(0));
        }
        assert_eq!(wait(&mut failures, "192.0.2.2", at(0)), None);
    }
}
