//! Memory for blocks on their way into the fold: allocated once, one place per leaf, each aligned to 64 bytes.

use std::ops::Range;

use crate::slice::GRAIN;

/// Places of equal size.
pub(crate) struct Scratch {
    bytes: Vec<u8>,
    /// Where the first place starts, so that it is aligned.
    start: usize,
    stride: usize,
}

impl Scratch {
    /// `places` for blocks of up to `block` bytes.
    pub(crate) fn new(places: usize, block: usize) -> Scratch {
        let stride = block.next_multiple_of(GRAIN);
        let bytes = match places * stride {
            0 => Vec::new(),
            needed => vec![0; needed + GRAIN - 1],
        };
        let offset = bytes.as_ptr().align_offset(GRAIN);
        // An offset is allowed to be unknown, and alignment is only for speed and for the adder's convenience.
        let start = if offset < GRAIN && !bytes.is_empty() {
            offset
        } else {
            0
        };
        Scratch {
            bytes,
            start,
            stride,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn range(&self, place: usize, length: usize) -> Range<usize> {
        let start = self.start + place * self.stride;
        start..start + length
    }

    pub(crate) fn at(&self, place: usize, length: usize) -> &[u8] {
        &self.bytes[self.range(place, length)]
    }

    pub(crate) fn at_mut(&mut self, place: usize, length: usize) -> &mut [u8] {
        let range = self.range(place, length);
        &mut self.bytes[range]
    }

    /// Two different places, the second to read.
    pub(crate) fn pair(&mut self, into: usize, from: usize, length: usize) -> (&mut [u8], &[u8]) {
        let ranges = [self.range(into, length), self.range(from, length)];
        let [into, from] = self
            .bytes
            .get_disjoint_mut(ranges)
            .expect("places of two leaves are apart");
        (into, from)
    }

    /// Consecutive places, in order.
    pub(crate) fn run_mut(
        &mut self,
        places: Range<usize>,
        length: usize,
    ) -> impl Iterator<Item = &mut [u8]> {
        let (start, stride) = (self.start + places.start * self.stride, self.stride.max(1));
        let end = (self.start + places.end * self.stride).min(self.bytes.len());
        self.bytes[start.min(end)..end]
            .chunks_mut(stride)
            .map(move |place| &mut place[..length])
    }
}
