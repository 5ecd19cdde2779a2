//! Requests that come back: `CDN-Loop` (RFC 8586).
//!
//! Whoever forwards a request adds an element of his own, and nobody takes one away; so a request in which this PoP finds its
//! own has passed here before, and goes round until somebody runs out of connections. It is refused. The element is
//! `nearside; pop="<name>"`: PoPs may forward to each other, one after the other, as long as their names differ.
//!
//! A field that cannot be read is refused as well: behind an open quotation mark, our own element would be hidden from us.
//! Left out: `Via`, which others may fold or take away (RFC 9110, 7.6.3).

use http::{HeaderMap, HeaderName, HeaderValue};

use super::refusal::Refused;

pub(crate) const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// Our name in it, which all PoPs share.
const PSEUDONYM: &[u8] = b"nearside";
const POP: &[u8] = b"pop";

/// So many others are no way that anybody meant a request to go.
const MAX_ELEMENTS: usize = 64;

/// What tells this PoP's requests from all others.
#[derive(Debug)]
pub(crate) struct CdnLoop {
    pop: Vec<u8>,
    element: HeaderValue,
}

impl CdnLoop {
    /// For the PoP of that name.
    pub(crate) fn of(pop: &str) -> Self {
        let element = HeaderValue::from_str(&format!("nearside; pop=\"{pop}\""));
        Self { pop: pop.as_bytes().to_vec(), element: element.expect("a checked name is a header value") }
    }

    /// Refuses what has passed here before, or what does not end.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let mut elements = 0;
        for line in headers.get_all(CDN_LOOP) {
            let mut rest = Scanner(line.as_bytes());
            loop {
                match rest.element(&self.pop) {
                    Element::Ours => return Err(Refused::LOOP),
                    Element::Other => elements += 1,
                    Element::End => break,
                    Element::Broken => return Err(Refused::bad("not a valid CDN-Loop")),
                }
                if elements >= MAX_ELEMENTS {
                    return Err(Refused::TOO_FAR);
                }
            }
        }
        Ok(())
    }

    /// Adds this PoP's element behind all others, in one line.
    pub(crate) fn append(&self, headers: &mut HeaderMap) {
        if !headers.contains_key(CDN_LOOP) {
            headers.insert(CDN_LOOP, self.element.clone());
            return;
        }
        let lines = headers.get_all(CDN_LOOP).iter().map(HeaderValue::as_bytes);
        let all: Vec<&[u8]> =
            lines.filter(|line| !line.is_empty()).chain([self.element.as_bytes()]).collect();
        let joined = HeaderValue::from_bytes(&all.join(&b", "[..]));
        headers.insert(CDN_LOOP, joined.expect("values joined by commas are a value"));
    }
}

/// What comes next in a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Element {
    Ours,
    Other,
    End,
    Broken,
}

/// What is left of a line.
struct Scanner<'a>(&'a [u8]);

impl<'a> Scanner<'a> {
    /// Reads one element (RFC 8586, 2): an id and its parameters, up to the comma or the end.
    fn element(&mut self, pop: &[u8]) -> Element {
        // A list may have empty elements (RFC 9110, 5.6.1.2).
        while self.blank().eat(b',') {}
        if self.0.is_empty() {
            return Element::End;
        }
        let id = self.take(is_in_id);
        if id.is_empty() {
            return Element::Broken;
        }
        let mut names_pop = false;
        while self.blank().eat(b';') {
            let name = self.blank().take(is_in_token);
            if !self.eat(b'=') {
                continue;
            }
            let Some(is_pop) = self.value(pop) else { return Element::Broken };
            names_pop |= is_pop && name.eq_ignore_ascii_case(POP);
        }
        match self.0.first() {
            None | Some(b',') if names_pop && id.eq_ignore_ascii_case(PSEUDONYM) => Element::Ours,
            None | Some(b',') => Element::Other,
            Some(_) => Element::Broken,
        }
    }

    /// Reads the value of a parameter; whether it is this one. `None`: it is no value.
    fn value(&mut self, wanted: &[u8]) -> Option<bool> {
        if !self.eat(b'"') {
            let value = self.take(is_in_token);
            return (!value.is_empty()).then(|| value.eq_ignore_ascii_case(wanted));
        }
        let mut wanted = wanted.iter();
        let mut is_same = true;
        loop {
            let byte = match self.next()? {
                b'"' => return Some(is_same && wanted.next().is_none()),
                b'\\' => self.next()?,
                byte => byte,
            };
            is_same &= wanted.next().is_some_and(|wanted| wanted.eq_ignore_ascii_case(&byte));
        }
    }

    fn blank(&mut self) -> &mut Self {
        self.take(|byte| matches!(byte, b' ' | b'\t'));
        self
    }

    fn take(&mut self, is_part: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|byte| !is_part(*byte)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    fn eat(&mut self, wanted: u8) -> bool {
        let found = self.0.first() == Some(&wanted);
        self.0 = &self.0[usize::from(found)..];
        found
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }
}

/// RFC 9110, 5.6.2.
fn is_in_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A pseudonym, or a host with a port, which may be an address in brackets.
fn is_in_id(byte: u8) -> bool {
    is_in_token(byte) || b":[]()=@/".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let value = |line: &&str| HeaderValue::from_str(line).unwrap();
        lines.iter().map(|line| (CDN_LOOP, value(line))).collect()
    }

    fn status(lines: &[&str]) -> Option<u16> {
        CdnLoop::of("fra1").check(&headers(lines)).err().map(|refused| refused.status.as_u16())
    }

    #[test]
    fn this_pop_is_found_however_it_is_written() {
        for line in [
            "nearside; pop=\"fra1\"",
            "nearside;pop=fra1",
            "NearSide ;\tPOP=\"fra1\"",
            "nearside; pop=\"f\\r\\a1\"",
            "nearside; pop=FRA1",
            "nearside; a=b; pop=\"ams1\"; pop=\"fra1\"",
            "nearside; flag; pop=fra1;",
            "other, , nearside; pop=fra1 , more",
            "other; note=\"a, \\\"b; c\", nearside; pop=fra1",
            ",nearside; pop=fra1",
        ] {
            assert_eq!(status(&[line]), Some(508), "{line}");
            assert_eq!(status(&["other", line]), Some(508), "{line}");
        }
    }

    #[test]
    fn others_are_let_through() {
        for line in [
            "",
            " , ,",
            "nearside",
            "nearside; pop=\"ams1\"",
            "nearside; pop=\"fra\"",
            "nearside; pop=\"fra10\"",
            "nearside; pop=fra10",
            "nearside; pops=fra1",
            "other; pop=\"fra1\"",
            "nearside.example; pop=\"fra1\"",
            "other; note=\"nearside; pop=fra1\"",
            "other; note=\", nearside; pop=fra1\"",
            "cloudflare; subreqs=1; loops=2",
            "[2001:db8::1]:8080; v=1.0;c=1, cdn.example:443, Fastly",
        ] {
            assert_eq!(status(&[line]), None, "{line}");
        }
        assert_eq!(status(&[]), None);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for line in [
            "other; note=\"open",
            "other; note=\"open\\",
            "other; note=\"open, nearside; pop=fra1",
            "other; note=",
            "other; note=\"a\" b",
            "a b",
            "; pop=fra1",
            "\"nearside\"; pop=fra1",
            "nearside; =\"",
        ] {
            assert_eq!(status(&[line]), Some(400), "{line}");
        }
        // The one that would hide ours, which is combined behind it.
        let open = headers(&["other; note=\"open"]);
        assert!(CdnLoop::of("fra1").check(&open).is_err());
    }

    #[test]
    fn ways_end() {
        let long = vec!["a"; MAX_ELEMENTS - 1].join(",");
        assert_eq!(status(&[&long]), None);
        assert_eq!(status(&[&long, "a"]), Some(508));
        assert_eq!(status(&[&long, "a, nearside; pop=fra1"]), Some(508));
        let mut full = headers(&[&long]);
        CdnLoop::of("ams1").append(&mut full);
        assert_eq!(CdnLoop::of("lon1").check(&full), Err(Refused::TOO_FAR));
    }

    #[test]
    fn an_element_is_added_and_none_is_lost() {
        for (before, after) in [
            (&[][..], "nearside; pop=\"fra1\""),
            (&[""], "nearside; pop=\"fra1\""),
            (&["a", "", "b; c=\"d, e\""], "a, b; c=\"d, e\", nearside; pop=\"fra1\""),
        ] {
            let mut headers = headers(before);
            CdnLoop::of("fra1").append(&mut headers);
            let lines: Vec<&HeaderValue> = headers.get_all(CDN_LOOP).iter().collect();
            assert_eq!(lines, [after]);
            assert!(CdnLoop::of("fra1").check(&headers).is_err(), "it comes back");
            assert!(CdnLoop::of("ams1").check(&headers).is_ok(), "another PoP takes it");
        }
    }

    #[test]
    fn whatever_is_let_through_is_refused_when_it_comes_back() {
        let pieces =
            ["nearside", "pop", "fra1", "a", ";", "=", ",", "\"", "\\", " ", "\t", ":", "[", "\u{e9}"];
        let ours = CdnLoop::of("fra1");
        let (mut passed, mut refused) = (0, 0);
        for seed in 0..100_000 {
            let mut rng = steer::draw::Rng::new(seed);
            let mut draw = |most: u64| (rng.next_u64() % most) as usize;
            let mut headers = HeaderMap::new();
            for _ in 0..=draw(2) {
                let line: String = (0..draw(10)).map(|_| pieces[draw(pieces.len() as u64)]).collect();
                headers.append(CDN_LOOP, HeaderValue::from_bytes(line.as_bytes()).unwrap());
            }
            if ours.check(&headers).is_err() {
                refused += 1;
                continue;
            }
            passed += 1;
            let before: Vec<HeaderValue> = headers.get_all(CDN_LOOP).iter().cloned().collect();
            ours.append(&mut headers);
            assert_eq!(ours.check(&headers), Err(Refused::LOOP), "seed {seed}: {before:?}");
            assert_eq!(CdnLoop::of("ams1").check(&headers), Ok(()), "seed {seed}: {before:?}");
        }
        assert!(passed > 10_000 && refused > 10_000, "{passed} {refused}");
    }
}
