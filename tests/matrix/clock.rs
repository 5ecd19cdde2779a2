//! One time for all: milliseconds since the first request of a cell was due.
//!
//! Origins, edges and this process are on one machine, so they share the wall clock; what they write down in it is moved to
//! the cell's own zero. Within this process time is measured monotonically.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A cell's zero, in both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    zero: Instant,
    zero_wall_us: i64,
}

impl Clock {
    /// A clock whose zero lies `ahead` of now.
    pub(crate) fn starting_in(ahead: Duration) -> Self {
        let ahead_us = i64::try_from(ahead.as_micros()).unwrap_or(0);
        Self { zero: Instant::now() + ahead, zero_wall_us: wall_us() + ahead_us }
    }

    /// Now, in ms; negative before zero.
    pub(crate) fn now_ms(&self) -> f64 {
        let now = Instant::now();
        match now.checked_duration_since(self.zero) {
            Some(since) => since.as_secs_f64() * 1e3,
            None => -(self.zero - now).as_secs_f64() * 1e3,
        }
    }

    /// When it will be that many ms.
    pub(crate) fn at(&self, ms: f64) -> Instant {
        self.zero + Duration::from_secs_f64(ms.max(0.0) / 1e3)
    }

    /// Microseconds since 1970, on this clock.
    pub(crate) fn of_wall(&self, wall_us: i64) -> f64 {
        (wall_us - self.zero_wall_us) as f64 / 1e3
    }

    /// A time as RFC 3339 in UTC writes it, on this clock.
    pub(crate) fn of_text(&self, text: &str) -> Option<f64> {
        Some(self.of_wall(parse_utc_us(text)?))
    }
}

/// Microseconds since 1970.
pub(crate) fn wall_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(0)
}

/// `2026-11-26T21:00:06.795530Z` as microseconds since 1970.
fn parse_utc_us(text: &str) -> Option<i64> {
    let (date, time) = text.trim_end_matches('Z').split_once('T')?;
    let mut parts = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    let (whole, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut parts = whole.splitn(3, ':').map(str::parse::<i64>);
    let (hour, minute, second) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    let micros: i64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    let seconds = ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(seconds * 1_000_000 + micros)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; years begin in March, so that a leap day is the last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Today, as `2026-11-26`.
pub(crate) fn today() -> String {
    let mut left = wall_us() / 86_400_000_000;
    let mut year = 1970;
    while left >= days_since_1970(year + 1, 1, 1) - days_since_1970(year, 1, 1) {
        left -= days_since_1970(year + 1, 1, 1) - days_since_1970(year, 1, 1);
        year += 1;
    }
    let first = days_since_1970(year, 1, 1);
    let month = (1..=12).rev().find(|month| days_since_1970(year, *month, 1) - first <= left).unwrap_or(1);
    let day = left - (days_since_1970(year, month, 1) - first) + 1;
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_date_prints_them() {
        assert_eq!(parse_utc_us("1970-01-01T00:00:00.000001Z"), Some(1));
        assert_eq!(parse_utc_us("2026-11-26T21:00:06.795530Z"), Some(1_795_726_806_795_530));
        assert_eq!(parse_utc_us("2024-02-29T00:00:00Z"), Some(1_709_164_800_000_000));
        assert_eq!(parse_utc_us("not a time"), None);
    }

    #[test]
    fn wall_and_monotonic_times_agree() {
        let clock = Clock::starting_in(Duration::from_millis(50));
        assert!((clock.now_ms() - clock.of_wall(wall_us())).abs() < 5.0);
        assert!(today().starts_with("20"));
    }
}
