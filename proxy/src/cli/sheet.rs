//! Tables and sentences for people, in the width that there is.
//!
//! A table that fits is columns two spaces apart. Where only its last column is too long, which is where free text stands, that is
//! wrapped. Where even that does not help, each row becomes a block of a few lines, and every value stands beside its name.

use std::io;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};

use super::terminal;

/// What the last column gets at least before it is wrapped.
const LEAST_TEXT: u16 = 24;
/// How far the values of a block stand from the edge.
const INDENT: usize = 4;

/// A table for standard output.
pub(super) fn columns(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    columns_within(terminal::width(&io::stdout()), header, rows)
}

/// A table in at most so many columns of the terminal; `None` is as many as it takes.
pub(super) fn columns_within(
    width: Option<u16>,
    header: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| row.iter().map(|cell| terminal::one_line(cell).into_owned()).collect())
        .collect();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().copied());
    for row in &rows {
        table.add_row(row.iter().map(String::as_str));
    }
    let Some(width) = width else { return trimmed(&table) };
    let contents = table.column_max_content_widths();
    let takes: Vec<u16> = table
        .column_iter()
        .zip(contents)
        .map(|(column, content)| content.saturating_add(column.padding_width()))
        .collect();
    let all_but_last: u32 = takes.iter().rev().skip(1).copied().map(u32::from).sum();
    let last = u32::from(takes.last().copied().unwrap_or_default());
    if all_but_last + last <= u32::from(width) {
        return trimmed(&table);
    }
    if all_but_last + u32::from(LEAST_TEXT) <= u32::from(width) {
        let count = takes.len();
        for column in table.column_iter_mut().take(count - 1) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        return trimmed(&table);
    }
    let blocks: Vec<String> = rows.iter().map(|row| block(header, row, width)).collect();
    blocks.join("\n")
}

/// Names and what they stand for, one a line, for standard output. What has nothing to say is left out.
pub(super) fn facts<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    facts_within(terminal::width(&io::stdout()), rows)
}

fn facts_within<'a>(width: Option<u16>, rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let rows: Vec<(&str, String)> = rows.into_iter().filter(|(_, told)| !told.is_empty()).collect();
    let hanging = rows.iter().map(|(name, _)| name.len() + 2).max().unwrap_or_default();
    let line = |(name, told): &(&str, String)| {
        folded_within(width, &format!("{name:<hanging$}{}", terminal::one_line(told)), hanging)
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Sentences for standard output, or lines that begin with a word and go on at `indent`.
pub(super) fn folded(text: &str, indent: usize) -> String {
    folded_within(terminal::width(&io::stdout()), text, indent)
}

/// Breaks lines at spaces so that they fit; what follows is indented. What has no space stays whole, to be copied.
pub(super) fn folded_within(width: Option<u16>, text: &str, indent: usize) -> String {
    let Some(width) = width else { return text.to_owned() };
    let lines: Vec<String> = text.lines().map(|line| fold(line, indent, usize::from(width))).collect();
    lines.join("\n")
}

fn fold(line: &str, indent: usize, width: usize) -> String {
    let mut folded = String::with_capacity(line.len());
    let mut column = 0;
    for word in line.split_inclusive(' ') {
        let length = word.trim_end().chars().count();
        if column > indent && column + length > width {
            folded.truncate(folded.trim_end().len());
            folded.push('\n');
            folded.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        }
        folded.push_str(word);
        column += word.chars().count();
    }
    folded
}

fn trimmed(table: &Table) -> String {
    let trimmed: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    trimmed.join("\n")
}

/// A row as a block: its first cell, then names and values side by side, and the last value, which may be a sentence, on its own.
fn block(header: &[&str], row: &[String], width: u16) -> String {
    let width = usize::from(width);
    let mut lines = vec![row.first().map(|cell| cell.trim_end().to_owned()).unwrap_or_default()];
    let mut line = String::new();
    let last = row.len().saturating_sub(1);
    for (index, (name, value)) in header.iter().zip(row).enumerate().skip(1) {
        // Nothing to say takes no room where there is little.
        if matches!(value.trim(), "" | "-") {
            continue;
        }
        let pair = format!("{} {}", spoken(name), value.trim());
        let taken = line.chars().count();
        let is_full = taken > 0 && (index == last || taken + 2 + pair.chars().count() > width);
        if is_full {
            lines.push(std::mem::take(&mut line));
        }
        line.push_str(&" ".repeat(if line.is_empty() { INDENT } else { 2 }));
        line.push_str(&pair);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    let folded: Vec<String> = lines.iter().map(|line| fold(line, INDENT + 2, width)).collect();
    folded.join("\n")
}

/// A column's name in a block. Single letters are symbols, in which capitals mean something.
fn spoken(name: &str) -> String {
    let words = name.split_whitespace().map(|word| match word.len() {
        1 => word.to_owned(),
        _ => word.to_lowercase(),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: [&str; 4] = ["REGION", "WEIGHT", "L MS", "OVERRIDE"];

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        vec![
            row(["eu-central", "25 *", "1.0", "half the racks are being moved to the other hall"]),
            row(["us-east", "100", "81.5", ""]),
        ]
    }

    #[test]
    fn nothing_is_wider_than_the_terminal() {
        for width in 20..100 {
            let told = columns_within(Some(width), &HEADER, rows());
            let widest = told.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(usize::from(width)), "{width}:\n{told}");
            assert!(told.contains("25 *") && told.contains("hall"), "{width}:\n{told}");
        }
    }

    #[test]
    fn what_fits_is_columns_and_what_does_not_is_blocks() {
        let wide = columns_within(None, &HEADER, rows());
        assert_eq!(wide.lines().count(), 3, "{wide}");
        let wrapped = columns_within(Some(60), &HEADER, rows());
        assert!(wrapped.starts_with(" REGION") && wrapped.lines().count() > 3, "{wrapped}");
        let blocks = columns_within(Some(40), &HEADER, rows());
        assert_eq!(
            blocks,
            "eu-central\n    weight 25 *  L ms 1.0\n    override half the racks are being\n      moved to the other hall\n\
             us-east\n    weight 100  L ms 81.5"
        );
    }

    #[test]
    fn a_cell_stays_in_its_row() {
        let told = columns_within(None, &["A", "B"], [vec!["x\ny".to_owned(), "\u{1b}[31m".to_owned()]]);
        assert!(
            told.contains("x\\ny") && told.contains("\\u{1b}[31m") && told.lines().count() == 2,
            "{told}"
        );
    }

    #[test]
    fn facts_stand_below_each_other_and_go_on_there() {
        let rows = [
            ("route", "web".to_owned()),
            ("methods", String::new()),
            ("hosts", "www.example.com, *.example.com".to_owned()),
        ];
        assert_eq!(
            facts_within(Some(26), rows),
            "route  web\nhosts  www.example.com,\n       *.example.com",
            "what is empty takes no room"
        );
    }

    #[test]
    fn lines_are_broken_at_spaces() {
        assert_eq!(
            folded_within(Some(20), "client    8.8.8.8  US  somewhere", 10),
            "client    8.8.8.8\n          US\n          somewhere"
        );
        assert_eq!(folded_within(None, "as it is", 0), "as it is");
    }
}
