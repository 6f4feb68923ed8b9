//! The header that precedes every message: 64 bytes, little-endian, every field checked on receipt.
//!
//! ```text
//! 0 magic "TYFD"   4 version u16   6 phase u16   8 fence 3 x u64   32 operation u64
//! 40 sender u32    44 receiver u32   48 block u32   52 subject u32   56 payload length u64
//! ```

use crate::fence::Fence;

/// Bytes of a header.
pub(crate) const HEADER: usize = 64;

const MAGIC: [u8; 4] = *b"TYFD";
const VERSION: u16 = 1;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A rank asks for its seat; the subject is the number of ranks.
    Hello = 1,
    /// The seat is given; the subject is the number of ranks.
    Welcome = 2,
    /// A block of the receiver's slice of each of the sender's roots; the subject is the microbatches present.
    Sums = 3,
    /// A folded block of the sender's slice; the subject is the microbatches present.
    Slice = 4,
    /// A value to be gathered.
    Gather = 5,
    /// The sender gives up: the subject's connection broke.
    Lost = 6,
    /// The sender gives up: the subject was silent for as many milliseconds as the block says.
    Silent = 7,
    /// The sender gives up: the subject sent what it could not accept.
    Refused = 8,
    /// The sender leaves in good order.
    Leave = 9,
}

impl Phase {
    const ALL: [Phase; 9] = [
        Phase::Hello,
        Phase::Welcome,
        Phase::Sums,
        Phase::Slice,
        Phase::Gather,
        Phase::Lost,
        Phase::Silent,
        Phase::Refused,
        Phase::Leave,
    ];
}

/// A field of a header that is not what it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {got}, expected {expected}")]
pub struct Mismatch {
    /// The field's name.
    pub field: &'static str,
    /// What it must be.
    pub expected: u64,
    /// What it is.
    pub got: u64,
}

impl Mismatch {
    /// An error unless the two are equal.
    pub(crate) fn check(field: &'static str, expected: u64, got: u64) -> Result<(), Mismatch> {
        if expected == got {
            Ok(())
        } else {
            Err(Mismatch {
                field,
                expected,
                got,
            })
        }
    }
}

/// A decoded header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub phase: Phase,
    pub fence: Fence,
    pub operation: u64,
    pub sender: u32,
    pub receiver: u32,
    pub block: u32,
    pub subject: u32,
    pub length: u64,
}

impl Frame {
    /// A message without payload, block and operation.
    pub(crate) fn bare(
        phase: Phase,
        fence: Fence,
        sender: usize,
        receiver: usize,
        subject: usize,
    ) -> Frame {
        Frame {
            phase,
            fence,
            operation: 0,
            sender: sender as u32,
            receiver: receiver as u32,
            block: 0,
            subject: subject as u32,
            length: 0,
        }
    }

    pub(crate) fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let mut at = 0;
        let mut put = |field: &[u8]| {
            bytes[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        };
        put(&MAGIC);
        put(&VERSION.to_le_bytes());
        put(&(self.phase as u16).to_le_bytes());
        for word in self.fence.0 {
            put(&word.to_le_bytes());
        }
        put(&self.operation.to_le_bytes());
        for word in [self.sender, self.receiver, self.block, self.subject] {
            put(&word.to_le_bytes());
        }
        put(&self.length.to_le_bytes());
        bytes
    }

    /// The header in `bytes`, or the first of magic, version and phase that is wrong.
    pub(crate) fn decode(bytes: &[u8; HEADER]) -> Result<Frame, Mismatch> {
        let number = |at: usize, length: usize| {
            bytes[at..at + length]
                .iter()
                .rev()
                .fold(0u64, |word, &byte| word << 8 | u64::from(byte))
        };
        Mismatch::check("magic", u32::from_le_bytes(MAGIC).into(), number(0, 4))?;
        Mismatch::check("version", VERSION.into(), number(4, 2))?;
        let got = number(6, 2);
        let phase = Phase::ALL
            .into_iter()
            .find(|&phase| phase as u64 == got)
            .ok_or(Mismatch {
                field: "phase",
                expected: Phase::Sums as u64,
                got,
            })?;
        Ok(Frame {
            phase,
            fence: Fence([number(8, 8), number(16, 8), number(24, 8)]),
            operation: number(32, 8),
            sender: number(40, 4) as u32,
            receiver: number(44, 4) as u32,
            block: number(48, 4) as u32,
            subject: number(52, 4) as u32,
            length: number(56, 8),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_and_every_flipped_bit_is_seen_in_some_field() {
        for phase in Phase::ALL {
            let frame = Frame {
                phase,
                fence: Fence([1, u64::MAX, 3]),
                operation: 4,
                sender: 5,
                receiver: 6,
                block: 7,
                subject: 8,
                length: 9,
            };
            let bytes = frame.encode();
            assert_eq!(Frame::decode(&bytes), Ok(frame));
            for bit in 0..HEADER * 8 {
                let mut flipped = bytes;
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_ne!(Frame::decode(&flipped), Ok(frame), "bit {bit}");
            }
        }
    }
}
