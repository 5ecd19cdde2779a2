//! A certificate's subject as text, by RFC 4514.
//!
//! Origins compare it, so no value may look like two attributes: what has a meaning is escaped, and so is everything that is
//! not visible ASCII, for the text goes into a header field.

use std::fmt::Write as _;

use x509_parser::asn1_rs::ToDer;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The attributes that have a short name (RFC 4514, section 3); others are told by their number.
const SHORT: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

/// The subject, its last part first.
pub(super) fn rfc4514(subject: &X509Name<'_>) -> String {
    let mut parts: Vec<String> =
        subject.iter_rdn().map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+")).collect();
    parts.reverse();
    parts.join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let number = attribute.attr_type().to_id_string();
    let short = SHORT.iter().find(|(known, _)| *known == number);
    if let (Some((_, name)), Ok(value)) = (short, attribute.as_str()) {
        return format!("{name}={}", escaped(value));
    }
    let mut text = short.map_or(number.clone(), |(_, name)| (*name).to_owned());
    text.push_str("=#");
    for byte in attribute.attr_value().to_der_vec().unwrap_or_default() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.len().saturating_sub(1);
    for (at, byte) in value.bytes().enumerate() {
        let is_edge = (at == 0 && matches!(byte, b' ' | b'#')) || (at == last && byte == b' ');
        match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' | b'=' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            _ if is_edge => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "\\{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_looks_like_two_attributes() {
        assert_eq!(escaped("plain name"), "plain name");
        assert_eq!(escaped("a, CN=admin"), "a\\, CN\\=admin");
        assert_eq!(escaped("#1 "), "\\#1\\ ");
        assert_eq!(escaped(" "), "\\ ");
        assert_eq!(escaped(""), "");
        assert_eq!(escaped("M\u{fc}ller\r\nX: y\0"), "M\\C3\\BCller\\0D\\0AX: y\\00");
    }
}
