//! The terminal that a command is typed at: how wide it is, and that nothing which comes from elsewhere can move its cursor.
//!
//! Reasons, names and addresses are written by others. What a terminal would obey in them is shown instead of sent, and so are
//! the marks that turn the direction of a text, which would make one line look like another.
//!
//! Left out: colours and pictures; the demo has a screen of its own.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::os::fd::AsFd;

use control::reason::is_obeyed;

/// Narrower than the least is not readable whatever is done; wider than the most is nobody's terminal.
const LEAST_COLUMNS: u16 = 20;
const MOST_COLUMNS: u16 = 1000;

/// Columns that a line may have on that output: those of the terminal, or what COLUMNS says. `None` is as many as it likes, in a
/// pipe or a file.
pub(super) fn width(output: &(impl AsFd + IsTerminal)) -> Option<u16> {
    let said = || std::env::var("COLUMNS").ok()?.trim().parse().ok().filter(|columns| *columns > 0);
    let columns: Option<u16> = size(output).map(|(columns, _)| columns).or_else(said);
    columns.map(|columns| columns.clamp(LEAST_COLUMNS, MOST_COLUMNS))
}

/// Columns and rows of the terminal, if there is one and it knows.
pub(super) fn size(output: &(impl AsFd + IsTerminal)) -> Option<(u16, u16)> {
    if !output.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(output).ok()?;
    (size.ws_col > 0).then_some((size.ws_col, size.ws_row))
}

/// A text of several lines without what a terminal would obey.
pub(super) fn harmless(text: &str) -> Cow<'_, str> {
    shown(text, &['\n', '\t'], |told, character| told.extend(character.escape_default()))
}

/// A text without what a terminal would obey, in one line.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    shown(text, &[], |told, character| told.extend(character.escape_default()))
}

/// A JSON document that means the same, without what a terminal would obey. Such characters stand in its strings alone.
pub(super) fn harmless_json(text: &str) -> Cow<'_, str> {
    shown(text, &['\n', '\t'], |told, character| {
        // Writing to a string does not fail.
        let _ = write!(told, "\\u{:04x}", u32::from(character));
    })
}

fn shown<'a>(text: &'a str, kept: &[char], show: impl Fn(&mut String, char)) -> Cow<'a, str> {
    let is_shown = |character: char| is_obeyed(character) && !kept.contains(&character);
    if !text.contains(is_shown) {
        return Cow::Borrowed(text);
    }
    let mut told = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match is_shown(character) {
            true => show(&mut told, character),
            false => told.push(character),
        }
    }
    Cow::Owned(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(harmless("a\u{1b}[2Jb\nc\td\r"), "a\\u{1b}[2Jb\nc\td\\r");
        assert_eq!(
            one_line("two\nlines, \u{9b}31m, \u{202e}turned"),
            "two\\nlines, \\u{9b}31m, \\u{202e}turned"
        );
        assert!(matches!(one_line("Zürich, 東京"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_means_the_same() {
        let text = serde_json::json!({"reason": "a\u{9b}2J\u{7f}\u{1b}"}).to_string();
        let told = harmless_json(&text);
        assert!(told.is_ascii() && !told.contains(char::is_control), "{told}");
        let (was, is): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(&text).expect("JSON"), serde_json::from_str(&told).expect("JSON"));
        assert_eq!(was, is);
    }
}
