//! The name of a chunk: the BLAKE3 digest of its bytes.

use std::fmt;

/// The BLAKE3 digest of a chunk's bytes: 32 bytes.
pub type ChunkDigest = [u8; 32];

/// The digest of `bytes`.
pub(crate) fn digest_of(bytes: &[u8]) -> ChunkDigest {
    *blake3::hash(bytes).as_bytes()
}

/// Prints a digest as 64 hex digits.
pub(crate) struct Hex<'a>(pub &'a ChunkDigest);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_prints_as_the_published_one_of_no_bytes() {
        assert_eq!(
            Hex(&digest_of(b"")).to_string(),
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
        );
    }
}
