//! One arena for all buffers: two may share bytes only if they are never alive together.

use crate::lifetime::Buffer;

/// Offsets are multiples of it: a cache line, and the widest vector.
const ALIGNMENT: u64 = 64;

/// More bytes than an arena can have are not counted.
pub(crate) const MOST: u64 = 1 << 50;

/// Gives every buffer its offset, largest first, each at the lowest place that is free for as long as it lives. The size
/// of the arena, if it can be counted.
pub(crate) fn pack(buffers: &mut [Buffer]) -> Option<u64> {
    let mut order: Vec<usize> = (0..buffers.len()).collect();
    order.sort_by_key(|&index| (std::cmp::Reverse(buffers[index].bytes), index));
    let mut placed: Vec<usize> = Vec::new();
    let mut arena = 0u64;
    for index in order {
        let buffer = &buffers[index];
        let mut neighbours: Vec<&Buffer> = placed
            .iter()
            .map(|&other| &buffers[other])
            .filter(|other| other.meets(buffer))
            .collect();
        neighbours.sort_by_key(|other| other.offset);
        let mut offset = 0u64;
        for other in neighbours {
            if offset.checked_add(buffer.bytes)? <= other.offset {
                break;
            }
            offset = offset.max((other.offset + other.bytes).checked_next_multiple_of(ALIGNMENT)?);
        }
        arena = arena.max(
            offset
                .checked_add(buffer.bytes)?
                .checked_next_multiple_of(ALIGNMENT)?,
        );
        buffers[index].offset = offset;
        placed.push(index);
    }
    (arena <= MOST).then_some(arena)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn buffer(bytes: u64, first: usize, last: usize) -> Buffer {
        Buffer {
            name: String::new(),
            bytes,
            first,
            last,
            offset: 0,
            in_lane: false,
        }
    }

    #[test]
    fn buffers_that_never_meet_share_their_bytes() {
        let mut buffers = [buffer(640, 0, 1), buffer(640, 2, 3), buffer(64, 1, 2)];
        assert_eq!(pack(&mut buffers), Some(704));
        assert_eq!(buffers.map(|buffer| buffer.offset), [0, 0, 640]);
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        assert_eq!(pack(&mut [buffer(u64::MAX - 8, 0, 1)]), None);
        assert_eq!(
            pack(&mut [buffer(1 << 63, 0, 1), buffer(1 << 63, 0, 1)]),
            None
        );
    }

    proptest! {
        #[test]
        fn no_two_living_buffers_overlap(sizes in prop::collection::vec((1u64..5000, 0usize..20, 0usize..20), 1..60)) {
            let mut buffers: Vec<Buffer> =
                sizes.iter().map(|&(bytes, a, b)| buffer(bytes, a.min(b), a.max(b))).collect();
            let arena = pack(&mut buffers).unwrap();
            for (index, one) in buffers.iter().enumerate() {
                prop_assert_eq!(one.offset % ALIGNMENT, 0);
                prop_assert!(one.offset + one.bytes <= arena);
                for other in &buffers[..index] {
                    let apart = one.offset + one.bytes <= other.offset || other.offset + other.bytes <= one.offset;
                    prop_assert!(apart || !one.meets(other), "{:?} {:?}", one, other);
                }
            }
        }
    }
}
