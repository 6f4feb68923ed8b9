//! The chunks kept in memory: at most so many bytes of them, the first in the first out. The order of rows goes from
//! window to window, so what came in first is what is needed no more.

use std::collections::{BTreeMap, VecDeque};

use crate::chunk::Chunk;
use crate::error::Error;

/// Chunks by number, within a limit.
#[derive(Debug)]
pub(crate) struct Cache {
    limit: u64,
    held: u64,
    chunks: BTreeMap<u32, Chunk>,
    arrival: VecDeque<u32>,
}

impl Cache {
    /// A cache of at most `limit` bytes of values; one chunk is held even if it is larger.
    pub(crate) fn new(limit: u64) -> Self {
        Cache {
            limit,
            held: 0,
            chunks: BTreeMap::new(),
            arrival: VecDeque::new(),
        }
    }

    /// The chunk, fetched if it is not there; `bytes` of values are made room for before that.
    pub(crate) fn get(
        &mut self,
        number: u32,
        bytes: u64,
        fetch: impl FnOnce() -> Result<Chunk, Error>,
    ) -> Result<&Chunk, Error> {
        if !self.chunks.contains_key(&number) {
            while self.held + bytes > self.limit
                && let Some(oldest) = self.arrival.pop_front()
            {
                let chunk = self.chunks.remove(&oldest).expect("what arrived is there");
                self.held -= chunk.content().len() as u64;
            }
            let chunk = fetch()?;
            self.held += chunk.content().len() as u64;
            self.arrival.push_back(number);
            self.chunks.insert(number, chunk);
        }
        Ok(&self.chunks[&number])
    }
}

#[cfg(test)]
mod tests {
    use spec::dataset::Element;

    use super::*;
    use crate::chunk::encode;

    #[test]
    fn the_first_in_is_the_first_out_and_the_limit_holds() {
        let mut cache = Cache::new(10);
        let mut fetched = Vec::new();
        for number in [0, 1, 0, 2, 1, 0] {
            let chunk = || {
                fetched.push(number);
                Ok(Chunk::decode(encode(Element::U8, 4, &[number as u8; 4])).unwrap())
            };
            assert_eq!(cache.get(number, 4, chunk).unwrap().row(0)[0], number as u8);
            assert!(cache.held <= 10);
        }
        assert_eq!(fetched, [0, 1, 2, 0]);
    }

    #[test]
    fn a_chunk_above_the_limit_is_held_alone() {
        let mut cache = Cache::new(3);
        for number in 0..3 {
            let chunk = || Ok(Chunk::decode(encode(Element::U8, 4, &[number as u8; 4])).unwrap());
            cache.get(number, 4, chunk).unwrap();
            assert_eq!(cache.chunks.len(), 1);
        }
    }
}
