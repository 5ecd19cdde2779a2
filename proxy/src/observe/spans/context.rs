//! W3C Trace Context: which trace a request belongs to, as its header fields say it.
//!
//! A `traceparent` that breaks the format is taken out, and `tracestate` with it, since it belongs to nothing then. What is
//! sound goes on as it came, unless spans are recorded: then origins hear the id of the attempt's span.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The recorded bit of the flags.
pub(crate) const SAMPLED: u8 = 1;
/// The flags that version 00 defines: sampled, and a trace id that is random.
const KNOWN_FLAGS: u8 = 3;
/// The length of version 00; later versions may be longer.
const LENGTH: usize = 55;
/// What a `tracestate` may have, at most.
const MAX_MEMBERS: usize = 32;

/// A trace's id.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TraceId(pub(crate) [u8; 16]);

/// A span's id.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SpanId(pub(crate) [u8; 8]);

/// What a `traceparent` says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Parent {
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
    pub(crate) flags: u8,
}

impl TraceId {
    /// A new one, from two draws.
    pub(crate) fn new(mut draw: impl FnMut() -> u64) -> Self {
        let bits = u128::from(draw()) << 64 | u128::from(draw());
        // All zeros would mean that there is none.
        Self(bits.max(1).to_be_bytes())
    }
}

impl SpanId {
    /// A new one, from a draw.
    pub(crate) fn new(mut draw: impl FnMut() -> u64) -> Self {
        Self(draw().max(1).to_be_bytes())
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl Parent {
    /// Reads the fields of a request, and takes out what is broken.
    pub(crate) fn read(headers: &mut HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let parent = match (values.next(), values.next()) {
            (Some(value), None) => Self::parse(value.as_bytes()),
            _ => None,
        };
        if parent.is_none() {
            headers.remove(TRACEPARENT);
        }
        if headers.contains_key(TRACESTATE) && (parent.is_none() || !is_sound_state(headers)) {
            headers.remove(TRACESTATE);
        }
        parent
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let version: [u8; 1] = hex(text.get(..2)?)?;
        let is_long_enough = match version[0] {
            0 => text.len() == LENGTH,
            0xff => false,
            _ => text.len() == LENGTH || text.get(LENGTH) == Some(&b'-'),
        };
        let dashes = [2, 35, 52].iter().all(|at| text.get(*at) == Some(&b'-'));
        if !is_long_enough || !dashes {
            return None;
        }
        let trace: [u8; 16] = hex(&text[3..35])?;
        let span: [u8; 8] = hex(&text[36..52])?;
        let flags: [u8; 1] = hex(&text[53..55])?;
        let is_valid = trace != [0; 16] && span != [0; 8];
        is_valid.then_some(Self { trace: TraceId(trace), span: SpanId(span), flags: flags[0] & KNOWN_FLAGS })
    }

    /// As a header field.
    pub(crate) fn header(&self) -> HeaderValue {
        let text = format!("00-{}-{}-{:02x}", self.trace, self.span, self.flags);
        HeaderValue::try_from(text).expect("hex digits and dashes are a header value")
    }
}

/// Lower-case digits only, as the format demands.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

fn is_sound_state(headers: &HeaderMap) -> bool {
    let values = headers.get_all(TRACESTATE).iter();
    let members = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let mut count = 0;
    members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty()).all(|member| {
        count += 1;
        count <= MAX_MEMBERS && is_sound_member(member)
    })
}

fn is_sound_member(member: &[u8]) -> bool {
    let Some(at) = member.iter().position(|byte| *byte == b'=') else { return false };
    let (key, value) = (&member[..at], &member[at + 1..]);
    let in_key = |byte: &u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@')
    };
    let in_value = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'=';
    let begins_well = key.first().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    begins_well
        && key.len() <= 256
        && key.iter().all(in_key)
        && value.len() <= 256
        && value.iter().all(in_value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(fields: &[(&'static str, &str)]) -> (Option<Parent>, HeaderMap) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        (Parent::read(&mut headers), headers)
    }

    #[test]
    fn what_is_sound_goes_on_as_it_came() {
        let later = format!("cc{}-what-comes", &SOUND[2..]);
        for text in [SOUND, &later] {
            let (parent, headers) =
                read(&[("traceparent", text), ("tracestate", "a=1,b@c=2"), ("tracestate", "d=3")]);
            assert_eq!(parent.unwrap().header(), SOUND, "{text}");
            assert_eq!(headers["traceparent"], text);
            assert_eq!(headers.get_all("tracestate").iter().count(), 2);
        }
    }

    #[test]
    fn what_is_broken_is_taken_out() {
        for text in [
            "",
            "00",
            &SOUND[..54],
            &format!("{SOUND}-more"),
            &SOUND.to_uppercase(),
            &SOUND.replace("00-", "ff-"),
            &SOUND.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &SOUND.replace("b7ad6b7169203331", &"0".repeat(16)),
            &SOUND.replace('-', "_"),
            &SOUND.replace("-01", "-0g"),
        ] {
            let (parent, headers) = read(&[("traceparent", text), ("tracestate", "a=1")]);
            assert!(parent.is_none() && headers.is_empty(), "{text}: {headers:?}");
        }
        let (parent, headers) = read(&[("traceparent", SOUND), ("traceparent", SOUND)]);
        assert!(parent.is_none() && headers.is_empty(), "which of the two?");
        for state in ["a", "=1", "A=1", "a=1=2", &"a=1,".repeat(33), &format!("a={}", "x".repeat(257))] {
            let (parent, headers) = read(&[("traceparent", SOUND), ("tracestate", state)]);
            assert!(parent.is_some() && headers.get("tracestate").is_none(), "{state}");
        }
    }

    #[test]
    fn no_bytes_are_too_odd() {
        // Every prefix and every single changed byte is read without panic.
        for at in 0..SOUND.len() {
            let _ = Parent::parse(&SOUND.as_bytes()[..at]);
            for byte in 0..=u8::MAX {
                let mut text = SOUND.as_bytes().to_vec();
                text[at] = byte;
                let _ = Parent::parse(&text);
            }
        }
    }
}
