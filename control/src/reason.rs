//! Why somebody changes something: the words that everybody sees who looks later.
//!
//! A reason goes to terminals, logs and the audit. What could move a cursor, begin a line, or turn the order of what is read around is
//! no part of one.

/// The longest reason, in bytes.
pub const MAX_REASON_BYTES: usize = 1000;

/// What is wrong with a reason, if anything is.
#[must_use]
pub fn reason_problem(reason: &str) -> Option<&'static str> {
    if reason.trim().is_empty() || reason.len() > MAX_REASON_BYTES {
        return Some("say why in 1 to 1000 characters: whoever looks at it at night will ask");
    }
    let is_unseen = |sign: char| {
        sign.is_control()
            || matches!(sign, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    reason.contains(is_unseen).then_some(
        "a reason is one line of plain text, without control characters: others read it in terminals",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_deceive_its_reader_is_no_reason() {
        for reason in ["new region", "größer & schneller \u{1f680}", "x", &"y".repeat(MAX_REASON_BYTES)] {
            assert_eq!(reason_problem(reason), None, "{reason}");
        }
        for reason in
            ["", " ", "a\nb", "a\tb", "\u{1b}[2J", "a\0", "\u{7f}", "\u{85}", "a\u{202e}b", "a\u{2028}b"]
        {
            assert!(reason_problem(reason).is_some(), "{reason:?}");
        }
        assert!(reason_problem(&"y".repeat(MAX_REASON_BYTES + 1)).is_some());
    }
}
