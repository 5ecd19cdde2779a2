//! Which requests passed by, from the bytes of HTTP/1.1 alone: each carries its number in a header field.
//!
//! What an edge says of itself is no proof. HTTP/2 and TLS cannot be read this way; there the edge's log has to do.

use serde::{Deserialize, Serialize};

/// A request that passed.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Sighting {
    pub(crate) id: u32,
    pub(crate) at_ms: f64,
}

/// The field with the number.
pub(crate) const FIELD: &str = "x-matrix-id";

const NEEDLE: &[u8] = b"x-matrix-id: ";
/// The longest number, with the end of its line.
const MOST: usize = NEEDLE.len() + 12;

/// Finds numbers in a stream of bytes, wherever it is cut.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    tail: Vec<u8>,
}

impl Scanner {
    /// The numbers that end in these bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<u32> {
        // Bodies have no such letter, and `contains` is fast.
        if self.tail.is_empty() && !bytes.contains(&b'x') {
            return Vec::new();
        }
        let mut text = std::mem::take(&mut self.tail);
        text.extend_from_slice(bytes);
        let (mut ids, mut from) = (Vec::new(), 0);
        while let Some(at) = text[from..].windows(NEEDLE.len()).position(|window| window == NEEDLE) {
            let digits = &text[from + at + NEEDLE.len()..];
            let Some(end) = digits.iter().position(|byte| !byte.is_ascii_digit()) else { break };
            ids.extend(
                std::str::from_utf8(&digits[..end]).ok().and_then(|digits| digits.parse::<u32>().ok()),
            );
            from += at + NEEDLE.len() + end;
        }
        let keep = from.max(text.len().saturating_sub(MOST));
        self.tail = text.split_off(keep);
        if !self.tail.contains(&b'x') {
            self.tail.clear();
        }
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_wherever_the_stream_is_cut() {
        let text = b"GET / HTTP/1.1\r\nx-matrix-id: 17\r\n\r\nGET / HTTP/1.1\r\nX: x\r\nx-matrix-id: 4242\r\nhost: x\r\n\r\n";
        for cut in 0..text.len() {
            let mut scanner = Scanner::default();
            let mut ids = scanner.feed(&text[..cut]);
            ids.extend(scanner.feed(&text[cut..]));
            assert_eq!(ids, [17, 4242], "cut at {cut}");
        }
        let mut scanner = Scanner::default();
        let ids: Vec<u32> = text.iter().flat_map(|byte| scanner.feed(&[*byte])).collect();
        assert_eq!(ids, [17, 4242], "byte by byte");
        assert!(scanner.feed(&[b'z'; 100_000]).is_empty());
    }
}
