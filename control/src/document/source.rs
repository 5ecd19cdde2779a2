//! A text and its lines: byte offsets become the line and column that an editor jumps to.

/// A text with a name.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// What it is called in messages: a path, or `request body`.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// A place in a text, counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Source {
    pub(crate) fn position(&self, offset: usize) -> Position {
        let offset =
            (0..=offset.min(self.text.len())).rfind(|at| self.text.is_char_boundary(*at)).unwrap_or(0);
        let before = &self.text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one() {
        let source = Source { name: String::new(), text: "a = 1\nü = 2\n".to_owned() };
        let at = |offset| {
            let Position { line, column } = source.position(offset);
            (line, column)
        };
        assert_eq!([at(0), at(4), at(6), at(8), at(9)], [(1, 1), (1, 5), (2, 1), (2, 2), (2, 3)]);
        assert_eq!(at(7), (2, 1), "inside a character is at its start");
        assert_eq!(at(9999), (3, 1));
    }
}
