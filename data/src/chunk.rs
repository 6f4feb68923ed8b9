//! A chunk of rows: a header of 20 bytes, then the values of its rows without gaps. All numbers are little-endian.
//!
//! | bytes | content |
//! | --- | --- |
//! | 0..4 | `TYRC` |
//! | 4..6 | format version, 1 |
//! | 6 | element: 0 for u8, 1 for f32, 2 for u16, 3 for u32 |
//! | 7 | 0 |
//! | 8..12 | rows, at least 1 |
//! | 12..20 | values of a row, at least 1 |
//!
//! In a dataset of tokens each token is a row of one value. Labels are not in it: a split has one labels chunk, bare `u32`
//! words, one a row; nor are the lengths of rows of tokens, which lie in such a chunk too.

use spec::dataset::{Element, Lengths};

use crate::fault::ChunkFault;

const MAGIC: [u8; 4] = *b"TYRC";
const VERSION: u16 = 1;
/// Bytes before the first value.
pub const HEADER_BYTES: usize = 20;

/// The bytes of rows that an importer puts into one chunk, unless one row takes more.
pub const TARGET_BYTES: usize = 256 * 1024;

/// The most bytes that one row may take.
pub const MAX_ROW_BYTES: u64 = 64 << 20;

/// A chunk whose header has been checked against its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    bytes: Vec<u8>,
    element: Element,
    rows: u32,
    values: usize,
}

impl Chunk {
    /// Checks the header of an encoded chunk, and takes its bytes as they are.
    ///
    /// # Errors
    /// What is wrong with the header, or a size that is not that of its rows.
    pub fn decode(bytes: Vec<u8>) -> Result<Self, ChunkFault> {
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(ChunkFault::Short {
                found: bytes.len(),
                expected: HEADER_BYTES,
            });
        };
        let [
            m0,
            m1,
            m2,
            m3,
            v0,
            v1,
            element,
            zero,
            r0,
            r1,
            r2,
            r3,
            w @ ..,
        ] = *header;
        if [m0, m1, m2, m3] != MAGIC || zero != 0 {
            return Err(ChunkFault::Magic);
        }
        let version = u16::from_le_bytes([v0, v1]);
        if version != VERSION {
            return Err(ChunkFault::Version {
                found: version,
                expected: VERSION,
            });
        }
        let element = match element {
            0 => Element::U8,
            1 => Element::F32,
            2 => Element::U16,
            3 => Element::U32,
            found => return Err(ChunkFault::Element { found }),
        };
        let rows = u32::from_le_bytes([r0, r1, r2, r3]);
        let values = u64::from_le_bytes(w);
        let expected =
            u128::from(rows) * u128::from(values) * element.bytes() as u128 + HEADER_BYTES as u128;
        if rows == 0 || values == 0 || expected != bytes.len() as u128 {
            return Err(ChunkFault::Size {
                found: bytes.len(),
                rows,
                values,
                expected,
            });
        }
        Ok(Chunk {
            element,
            rows,
            values: values as usize,
            bytes,
        })
    }

    /// How values are kept.
    pub fn element(&self) -> Element {
        self.element
    }

    /// How many rows it has.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// How many values a row has.
    pub fn values(&self) -> usize {
        self.values
    }

    /// The bytes of all rows, without the header.
    pub fn content(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// The bytes of one row, from 0; empty beyond the last.
    pub fn row(&self, row: u32) -> &[u8] {
        let bytes = self.values * self.element.bytes();
        let start = HEADER_BYTES.saturating_add(bytes.saturating_mul(row as usize));
        self.bytes
            .get(start..start.saturating_add(bytes))
            .unwrap_or_default()
    }
}

/// The tokens of these bytes.
pub(crate) fn token_words(element: Element, bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    let (short, long) = match element {
        Element::U16 => (bytes, [].as_slice()),
        _ => ([].as_slice(), bytes),
    };
    let short = short.as_chunks::<2>().0.iter();
    let long = long.as_chunks::<4>().0.iter();
    short
        .map(|word| u32::from(u16::from_le_bytes(*word)))
        .chain(long.map(|word| u32::from_le_bytes(*word)))
}

/// Encodes rows of `values` values each, given as their bytes without gaps.
///
/// # Panics
/// If `content` is not a whole number of rows, or none.
pub fn encode(element: Element, values: usize, content: &[u8]) -> Vec<u8> {
    let row_bytes = values * element.bytes();
    assert!(
        row_bytes > 0 && !content.is_empty() && content.len().is_multiple_of(row_bytes),
        "whole rows"
    );
    let rows = u32::try_from(content.len() / row_bytes).expect("a chunk has fewer than 2^32 rows");
    let mut bytes = Vec::with_capacity(HEADER_BYTES + content.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    let code = match element {
        Element::U8 => 0,
        Element::F32 => 1,
        Element::U16 => 2,
        Element::U32 => 3,
    };
    bytes.extend_from_slice(&[code, 0]);
    bytes.extend_from_slice(&rows.to_le_bytes());
    bytes.extend_from_slice(&(values as u64).to_le_bytes());
    bytes.extend_from_slice(content);
    bytes
}

/// Encodes the labels of a split, in row order.
pub fn encode_labels(labels: &[u32]) -> Vec<u8> {
    labels
        .iter()
        .flat_map(|label| label.to_le_bytes())
        .collect()
}

/// Reads the labels of a split of `rows` rows, each below `classes`.
///
/// # Errors
/// A size that is not that of the rows, or a label without a class.
pub fn decode_labels(bytes: &[u8], rows: u64, classes: usize) -> Result<Vec<u32>, ChunkFault> {
    if rows.checked_mul(4) != Some(bytes.len() as u64) {
        return Err(ChunkFault::Labels {
            found: bytes.len(),
            rows,
            expected: rows.saturating_mul(4),
        });
    }
    let (words, _) = bytes.as_chunks::<4>();
    let labels: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
    match labels.iter().position(|&label| label as usize >= classes) {
        Some(row) => Err(ChunkFault::Class {
            row,
            label: labels[row],
            classes,
        }),
        None => Ok(labels),
    }
}

/// Encodes the lengths of a split's rows of tokens, in row order.
pub fn encode_lengths(lengths: &[u32]) -> Vec<u8> {
    encode_labels(lengths)
}

/// Reads the lengths of a split of `rows` rows of `tokens` tokens together, as the manifest knows them.
///
/// # Errors
/// A size that is not that of the rows, or lengths that do not keep to what the manifest says.
pub fn decode_lengths(
    bytes: &[u8],
    rows: u64,
    tokens: u64,
    known: &Lengths,
) -> Result<Vec<u32>, ChunkFault> {
    if rows.checked_mul(4) != Some(bytes.len() as u64) {
        return Err(ChunkFault::Lengths {
            found: bytes.len(),
            rows,
            expected: rows.saturating_mul(4),
        });
    }
    let (words, _) = bytes.as_chunks::<4>();
    let lengths: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let shortest = lengths.iter().copied().min().unwrap_or(0);
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let sum = lengths.iter().map(|&length| u64::from(length)).sum();
    if shortest == 0 || (shortest, longest, sum) != (known.shortest, known.longest, tokens) {
        return Err(ChunkFault::Tokens {
            shortest,
            longest,
            tokens: sum,
            expected: format!("{} to {}, {tokens} in all", known.shortest, known.longest),
        });
    }
    Ok(lengths)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_chunk_gives_back_its_rows() {
        let chunk = Chunk::decode(encode(Element::U8, 3, &[1, 2, 3, 4, 5, 6])).unwrap();
        assert_eq!(
            (chunk.element(), chunk.rows(), chunk.values()),
            (Element::U8, 2, 3)
        );
        assert_eq!(chunk.row(1), [4, 5, 6]);
        assert!(chunk.row(2).is_empty());
        assert_eq!(chunk.content(), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn every_part_of_the_header_is_checked() {
        let good = encode(Element::F32, 1, &[0; 8]);
        let fault = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            Chunk::decode(bytes).unwrap_err()
        };
        assert_eq!(fault(0, 0), ChunkFault::Magic);
        assert_eq!(fault(7, 1), ChunkFault::Magic);
        assert_eq!(
            fault(4, 2),
            ChunkFault::Version {
                found: 2,
                expected: 1
            }
        );
        assert_eq!(fault(6, 4), ChunkFault::Element { found: 4 });
        assert_eq!(
            fault(6, 0),
            ChunkFault::Size {
                found: 28,
                rows: 2,
                values: 1,
                expected: 22
            }
        );
        assert!(matches!(fault(8, 0), ChunkFault::Size { rows: 0, .. }));
        assert!(matches!(fault(19, 0xff), ChunkFault::Size { .. }));
        assert_eq!(
            Chunk::decode(good[..19].to_vec()),
            Err(ChunkFault::Short {
                found: 19,
                expected: 20
            })
        );
        assert!(matches!(
            Chunk::decode(good[..27].to_vec()),
            Err(ChunkFault::Size { found: 27, .. })
        ));
    }

    #[test]
    fn labels_are_checked_for_size_and_class() {
        let bytes = encode_labels(&[0, 2, 1]);
        assert_eq!(decode_labels(&bytes, 3, 3), Ok(vec![0, 2, 1]));
        assert_eq!(
            decode_labels(&bytes, 3, 2),
            Err(ChunkFault::Class {
                row: 1,
                label: 2,
                classes: 2
            })
        );
        assert_eq!(
            decode_labels(&bytes[..11], 3, 3),
            Err(ChunkFault::Labels {
                found: 11,
                rows: 3,
                expected: 12
            })
        );
        assert!(decode_labels(&bytes, u64::MAX, 3).is_err());
    }

    #[test]
    fn lengths_are_held_against_the_manifest() {
        let known = Lengths {
            chunk: spec::Digest([0; 32]),
            shortest: 1,
            median: 2,
            p95: 3,
            longest: 3,
        };
        let read = |lengths: &[u32], tokens| {
            decode_lengths(
                &encode_lengths(lengths),
                lengths.len() as u64,
                tokens,
                &known,
            )
        };
        assert_eq!(read(&[3, 1, 2], 6), Ok(vec![3, 1, 2]));
        let wrong = [
            (vec![3, 1, 2], 7),
            (vec![3, 0, 1, 2], 6),
            (vec![2, 2, 2], 6),
            (vec![1, 1, 4], 6),
        ];
        for (lengths, tokens) in wrong {
            let fault = read(&lengths, tokens).unwrap_err();
            assert!(matches!(fault, ChunkFault::Tokens { .. }), "{lengths:?}");
        }
        let fault = decode_lengths(&[0; 11], 3, 6, &known).unwrap_err();
        assert!(matches!(fault, ChunkFault::Lengths { found: 11, .. }));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..64), begins_well in any::<bool>()) {
            if begins_well && bytes.len() >= 8 {
                let element = bytes[6] & 3;
                bytes[..8].copy_from_slice(&[b'T', b'Y', b'R', b'C', 1, 0, element, 0]);
            }
            if let Ok(chunk) = Chunk::decode(bytes.clone()) {
                prop_assert_eq!(encode(chunk.element(), chunk.values(), chunk.content()), bytes);
            }
        }
    }
}
