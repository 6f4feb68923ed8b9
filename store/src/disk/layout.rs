//! How records, the chunk index and the reference counts share the one tree of sled.
//!
//! | key | value |
//! | --- | --- |
//! | `s` | schema version: u32 |
//! | `n` | batches applied since the store was made: u64 |
//! | `u` + key of a record | 0 + its value, or 1 + the digest of a chunk that is its value |
//! | `c` + digest | 0 + the chunk's bytes, or 1 + pack, offset, length: u64 each |
//! | `r` + digest | number of references, absent when none: u64 |
//!
//! Numbers are little-endian. No value is longer than [`INLINE_BYTES`] and a tag: sled keeps at most
//! 17 entries in a node, and a node above 128 KiB would go into a file that sled never syncs.

use crate::digest::ChunkDigest;

/// The longest value or chunk that lies in sled itself, in bytes.
pub(super) const INLINE_BYTES: usize = 4096;

/// The schema version that this program writes, and the newest that it reads.
pub(super) const SCHEMA: u32 = 1;

/// The key of the schema version.
pub(super) const SCHEMA_KEY: &[u8] = b"s";

/// The key of the number of batches applied.
pub(super) const BATCHES_KEY: &[u8] = b"n";

/// The prefix of all index entries.
pub(super) const CHUNKS: &[u8] = b"c";

const HERE: u8 = 0;
const APART: u8 = 1;

/// Where a record of the caller lies.
pub(super) fn record_key(key: &[u8]) -> Vec<u8> {
    [b"u", key].concat()
}

/// Where the index entry of a chunk lies.
pub(super) fn chunk_key(digest: &ChunkDigest) -> Vec<u8> {
    [CHUNKS, digest].concat()
}

/// Where the reference count of a chunk lies.
pub(super) fn count_key(digest: &ChunkDigest) -> Vec<u8> {
    [&b"r"[..], digest].concat()
}

/// A stretch of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) pack: u64,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// Where the bytes of a chunk are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// In the index entry itself.
    Inline(Vec<u8>),
    /// In a pack.
    Packed(Place),
}

impl Slot {
    /// Length of the chunk in bytes.
    pub(super) fn length(&self) -> u64 {
        match self {
            Slot::Inline(bytes) => bytes.len() as u64,
            Slot::Packed(place) => place.length,
        }
    }

    /// The index entry that says so.
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Slot::Inline(bytes) => [&[HERE], &bytes[..]].concat(),
            Slot::Packed(Place {
                pack,
                offset,
                length,
            }) => [
                &[APART][..],
                &pack.to_le_bytes(),
                &offset.to_le_bytes(),
                &length.to_le_bytes(),
            ]
            .concat(),
        }
    }

    /// Reads an index entry, `None` if it is none.
    pub(super) fn decode(entry: &[u8]) -> Option<Slot> {
        let (&tag, rest) = entry.split_first()?;
        match (tag, rest.len()) {
            (HERE, _) => Some(Slot::Inline(rest.to_vec())),
            (APART, 24) => Some(Slot::Packed(Place {
                pack: number(&rest[..8])?,
                offset: number(&rest[8..16])?,
                length: number(&rest[16..])?,
            })),
            _ => None,
        }
    }
}

/// The value of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Short enough to lie in the record.
    Here(Vec<u8>),
    /// Kept as the chunk of this digest.
    Apart(ChunkDigest),
}

impl Value {
    /// The entry that says so.
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Value::Here(bytes) => [&[HERE], &bytes[..]].concat(),
            Value::Apart(digest) => [&[APART], &digest[..]].concat(),
        }
    }

    /// Reads a record's entry, `None` if it is none.
    pub(super) fn decode(entry: &[u8]) -> Option<Value> {
        let (&tag, rest) = entry.split_first()?;
        match tag {
            HERE => Some(Value::Here(rest.to_vec())),
            APART => Some(Value::Apart(rest.try_into().ok()?)),
            _ => None,
        }
    }
}

/// Reads a u64, `None` if `bytes` are not 8.
pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_as_they_were_written() {
        let place = Place {
            pack: 3,
            offset: 1 << 40,
            length: 77,
        };
        for slot in [
            Slot::Inline(vec![]),
            Slot::Inline(vec![1, 2]),
            Slot::Packed(place),
        ] {
            assert_eq!(Slot::decode(&slot.encode()), Some(slot));
        }
        for value in [
            Value::Here(vec![]),
            Value::Here(vec![9]),
            Value::Apart([5; 32]),
        ] {
            assert_eq!(Value::decode(&value.encode()), Some(value));
        }
    }

    #[test]
    fn entries_of_another_shape_are_none() {
        assert_eq!(Slot::decode(&[]), None);
        assert_eq!(Slot::decode(&[APART, 1, 2]), None);
        assert_eq!(Slot::decode(&[9; 25]), None);
        assert_eq!(Value::decode(&[APART; 32]), None);
        assert_eq!(number(&[0; 7]), None);
    }
}
