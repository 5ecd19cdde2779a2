//! Why somebody changes something: the words that everybody sees who looks later.
//!
//! A reason goes to terminals, logs and the audit. What could move a cursor, begin a line, or turn the order of what is read around is
//! no part of one.

/// The longest reason, in characters.
pub const MAX_REASON_CHARACTERS: usize = 1000;

/// The longest name of a table's source, in characters.
pub const MAX_SOURCE_CHARACTERS: usize = 200;

/// What is wrong with a reason, if anything is.
#[must_use]
pub fn reason_problem(reason: &str) -> Option<&'static str> {
    if reason.trim().is_empty() || reason.chars().count() > MAX_REASON_CHARACTERS {
        return Some("say why in 1 to 1000 characters: whoever looks at it at night will ask");
    }
    reason.contains(is_obeyed).then_some(
        "a reason is one line of plain text, without control characters: others read it in terminals",
    )
}

/// What is wrong with the name of what a table was read from, if anything is: it is read where reasons are.
#[must_use]
pub fn source_problem(source: &str) -> Option<&'static str> {
    let is_sound = !source.trim().is_empty()
        && source.chars().count() <= MAX_SOURCE_CHARACTERS
        && !source.contains(is_obeyed)
        // That is how a rollback is called.
        && !source.trim_start().starts_with("version ");
    (!is_sound).then_some("a source is a name of 1 to 200 characters on one line, without control characters, and not that of a version")
}

/// Whether a character is not shown by a terminal but obeyed: it moves the cursor, begins a line, or turns the direction of what is
/// read.
#[must_use]
pub fn is_obeyed(character: char) -> bool {
    let turns = matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    turns || character.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_deceive_its_reader_is_no_reason() {
        let longest = ["y", "ü", "\u{1f680}"].map(|character| character.repeat(MAX_REASON_CHARACTERS));
        for reason in
            ["new region", "größer & schneller \u{1f680}", "x", &longest[0], &longest[1], &longest[2]]
        {
            assert_eq!(reason_problem(reason), None, "{reason}");
        }
        for reason in [
            "",
            " ",
            "a\nb",
            "a\tb",
            "\u{1b}[2J",
            "a\0",
            "\u{7f}",
            "\u{85}",
            "a\u{202e}b",
            "a\u{2028}b",
            // Not known here once, and known to the command line.
            "a\u{61c}b",
        ] {
            assert!(reason_problem(reason).is_some(), "{reason:?}");
        }
        assert!(longest.iter().all(|longest| reason_problem(&format!("{longest}y")).is_some()));
    }

    #[test]
    fn a_source_is_a_name_on_one_line() {
        let longest = "ü".repeat(MAX_SOURCE_CHARACTERS);
        for (source, is_sound) in [
            ("next.toml", true),
            ("größer & schneller", true),
            ("versions.toml", true),
            ("version 3", false),
            (&longest, true),
            ("", false),
            (" ", false),
            ("a\nb", false),
            ("a\u{202e}b", false),
            (&format!("{longest}y"), false),
        ] {
            assert_eq!(source_problem(source).is_none(), is_sound, "{source:?}");
        }
    }
}
