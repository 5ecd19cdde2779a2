//! What the origin answers, so that whoever asks through a contestant can compare byte by byte.

use bytes::Bytes;

/// Answered with [`small`].
pub(crate) const SMALL_PATH: &str = "/small";
/// Answered with [`large`].
pub(crate) const LARGE_PATH: &str = "/large";
/// Takes a body and answers with the number of its bytes.
pub(crate) const UPLOAD_PATH: &str = "/upload";
/// For the contestants' own probes.
pub(crate) const HEALTH_PATH: &str = "/healthz";

/// Bytes of a large body, in either direction.
pub(crate) const LARGE_BYTES: usize = 1 << 20;
/// Bytes of a small answer: about what a short piece of JSON takes.
pub(crate) const SMALL_BYTES: usize = 128;

pub(crate) fn small() -> Bytes {
    pattern(SMALL_BYTES)
}

pub(crate) fn large() -> Bytes {
    pattern(LARGE_BYTES)
}

/// Letters in an order that does not repeat with any buffer's size, so that a lost or doubled piece shows.
fn pattern(bytes: usize) -> Bytes {
    (0..bytes).map(|index| b'a' + u8::try_from(index % 8191 % 26).unwrap_or(0)).collect()
}
