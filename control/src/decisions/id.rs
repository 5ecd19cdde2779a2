//! The name of a decision: which start of which edge, which worker, and where in its ring.
//!
//! ```text
//! 1a4ckq0z.3.4f2
//! │        │ └─ the place in the worker's ring: counts up, never again the same
//! │        └─── the worker
//! └──────────── the start, in sixteenths of a second since 1970
//! ```
//! The digits are Crockford's base 32: no letter looks like a digit, so an id survives being read out.

use std::fmt::{self, Write as _};
use std::str::FromStr;

const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Digits of a number of 64 bits.
const MAX_DIGITS: usize = 13;

/// A decision's name.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DecisionId {
    /// When the edge was started, in sixteenths of a second since 1970.
    pub start: u64,
    /// Whose decision it is.
    pub worker: u16,
    /// Where it stands in the worker's ring.
    pub line: u64,
}

/// What was written names no decision.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotADecision;

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, number) in [self.start, u64::from(self.worker), self.line].into_iter().enumerate() {
            if index > 0 {
                f.write_char('.')?;
            }
            let digits = (64 - number.leading_zeros()).max(1).div_ceil(5);
            for digit in (0..digits).rev() {
                f.write_char(char::from(DIGITS[(number >> (5 * digit) & 31) as usize]))?;
            }
        }
        Ok(())
    }
}

impl FromStr for DecisionId {
    type Err = NotADecision;

    fn from_str(text: &str) -> Result<Self, NotADecision> {
        let mut numbers = text.split('.').map(number);
        let mut next = || numbers.next().flatten().ok_or(NotADecision);
        let id =
            Self { start: next()?, worker: next()?.try_into().map_err(|_| NotADecision)?, line: next()? };
        if numbers.next().is_some() { Err(NotADecision) } else { Ok(id) }
    }
}

fn number(text: &str) -> Option<u64> {
    if text.is_empty() || text.len() > MAX_DIGITS {
        return None;
    }
    text.bytes().try_fold(0_u64, |number, byte| {
        let digit = DIGITS.iter().position(|digit| *digit == byte.to_ascii_lowercase())?;
        number.checked_mul(32)?.checked_add(digit as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        for (start, worker, line, text) in [
            (0, 0, 0, "0.0.0"),
            (31, 32, 1024, "z.10.100"),
            (28_637_952_000, 7, 12_345, "tnevmh0.7.c1s"),
            (u64::MAX, u16::MAX, u64::MAX, "fzzzzzzzzzzzz.1zzz.fzzzzzzzzzzzz"),
        ] {
            let id = DecisionId { start, worker, line };
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(id.to_string().split('.').count(), 3);
            assert!(id.to_string().len() <= text.len(), "{id} {text}");
        }
        assert_eq!("Z.10.100".parse(), Ok(DecisionId { start: 31, worker: 32, line: 1024 }));
    }

    #[test]
    fn what_names_no_decision_is_refused() {
        for text in [
            "",
            "1",
            "1.2",
            "1.2.",
            ".1.2",
            "1.2.3.4",
            "1.2.u",
            "1.-2.3",
            "gzzzzzzzzzzzz.0.0",
            "1.8000.0x",
            "1.2 .3",
        ] {
            assert_eq!(text.parse::<DecisionId>(), Err(NotADecision), "{text}");
        }
    }
}
