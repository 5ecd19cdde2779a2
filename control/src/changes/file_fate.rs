//! What came of the table's file, in one line: the reason of the note that it was read. The log says all that is wrong with a
//! file; the audit, the first thing, for whoever looks there why a change of his is not in force.

use crate::document::Finding;
use crate::effect::TakenAway;

/// It says what is in force already.
pub const SAME: &str = "the same as what is in force";
/// A reason is read in a table of reasons.
const MAX_CHARS: usize = 300;

/// A text has mistakes: the first of them, where it is, and how many there are besides. What is wrong is not quoted of a text with
/// variables: they may be secrets, and the audit keeps what it has.
#[must_use]
pub fn refused_for(findings: &[Finding], text: &str) -> String {
    let Some(Finding { file, line, key, problem, .. }) = findings.first() else {
        return "refused".to_owned();
    };
    let key = if key.is_empty() { String::new() } else { format!("{key}: ") };
    let problem = if text.contains("${") { "a mistake, which the log tells" } else { problem };
    let first = bounded(&format!("refused: {file}:{line}: {key}{problem}"));
    match findings.len() - 1 {
        0 => first,
        further => format!("{first} (and {further} more)"),
    }
}

/// It would take away more than the guard lets anybody take away unawares.
#[must_use]
pub fn refused_by_guard(violations: &[TakenAway]) -> String {
    let violations: Vec<String> = violations.iter().map(ToString::to_string).collect();
    bounded(&format!("refused by the guard: {}", violations.join("; ")))
}

/// In one line that is not too long.
fn bounded(text: &str) -> String {
    let mut chars = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut line: String = chars.by_ref().take(MAX_CHARS).collect();
    if chars.next().is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_however_much_is_wrong() {
        let finding =
            |problem: String| Finding { line: 7, ..Finding::of_file("table.toml", problem, "", "") };
        let told = refused_for(&[finding("no such\npool".into()), finding(String::new())], "");
        assert_eq!(told, "refused: table.toml:7: no such pool (and 1 more)");
        let told = refused_for(&[finding("x".repeat(1000))], "");
        assert_eq!((told.chars().count(), told.ends_with('…')), (MAX_CHARS + 1, true));
    }

    #[test]
    fn a_secret_that_a_variable_had_was_in_the_audit() {
        let secret = "\"Bearer s3cret\\n\" is not the value of a header field";
        let finding = Finding { line: 7, ..Finding::of_file("table.toml", secret.to_owned(), "", "") };
        let told = refused_for(&[finding], "set = { authorization = \"Bearer ${TOKEN}\" }");
        assert_eq!(told, "refused: table.toml:7: a mistake, which the log tells");
    }
}
