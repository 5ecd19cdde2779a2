//! The health check of gRPC servers (grpc.health.v1): one call, one number back.
//!
//! Its two messages have a field each, so they are read and written here rather than by a generated library: a string with tag
//! 1 goes, a varint with tag 1 comes.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};

/// What is called.
pub(super) const PATH: &str = "/grpc.health.v1.Health/Check";
/// `SERVING` of `HealthCheckResponse.ServingStatus`.
const SERVING: u8 = 1;
/// Tag 1, length-delimited.
const SERVICE: u8 = 1 << 3 | 2;
/// Tag 1, varint.
const STATUS: u8 = 1 << 3;

/// The call for a service; an empty name asks for the whole server. A name is at most 127 bytes long.
pub(super) fn call(service: &str) -> Bytes {
    let length = u8::try_from(service.len()).expect("a compiled service name is short");
    let message = if length == 0 { 0 } else { 2 + length };
    let mut call = BytesMut::with_capacity(5 + usize::from(message));
    // Not compressed, and so many bytes (grpc/doc/PROTOCOL-HTTP2.md).
    call.put_u8(0);
    call.put_u32(u32::from(message));
    if length > 0 {
        call.put_u8(SERVICE);
        call.put_u8(length);
        call.put_slice(service.as_bytes());
    }
    call.freeze()
}

/// Whether the call was answered, and with `SERVING`. `end` holds the trailers, or the header where there is nothing else.
pub(super) fn is_serving(end: &HeaderMap, answer: &[u8]) -> bool {
    let is_ok = end.get("grpc-status").map(HeaderValue::as_bytes) == Some(b"0");
    is_ok && answer.get(5..) == Some(&[STATUS, SERVING])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_names_the_service() {
        assert_eq!(call(""), &b"\0\0\0\0\0"[..]);
        assert_eq!(call("shop"), &b"\0\0\0\0\x06\x0a\x04shop"[..]);
    }

    #[test]
    fn only_serving_is_well() {
        let end = |status: &'static str| {
            HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-status"),
                HeaderValue::from_static(status),
            )])
        };
        assert!(is_serving(&end("0"), b"\0\0\0\0\x02\x08\x01"));
        for (status, answer) in [
            ("0", &b"\0\0\0\0\x02\x08\x02"[..]),
            ("0", b"\0\0\0\0\0"),
            ("0", b""),
            ("12", b""),
            ("5", b"\0\0\0\0\x02\x08\x01"),
        ] {
            assert!(!is_serving(&end(status), answer), "{status} {answer:?}");
        }
        assert!(!is_serving(&HeaderMap::new(), b"\0\0\0\0\x02\x08\x01"));
    }
}
