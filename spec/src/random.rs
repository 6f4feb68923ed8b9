//! Counter-based randomness: Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2,
//! 3", SC 2011). A value is a pure function of its key and counter, never of call order or rank.

/// Ten rounds of Philox4x32 over `counter` under `key`.
pub fn philox(key: [u32; 2], counter: [u32; 4]) -> [u32; 4] {
    const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
    const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
    let (mut k, mut c) = (key, counter);
    for _ in 0..10 {
        let (high0, low0) = widening(MULTIPLIERS[0], c[0]);
        let (high1, low1) = widening(MULTIPLIERS[1], c[2]);
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0];
        k = [k[0].wrapping_add(WEYL[0]), k[1].wrapping_add(WEYL[1])];
    }
    c
}

fn widening(a: u32, b: u32) -> (u32, u32) {
    let product = u64::from(a) * u64::from(b);
    ((product >> 32) as u32, product as u32)
}

/// A stream of random words named by a seed, a purpose and a number within the purpose.
#[derive(Debug, Clone)]
pub struct Stream {
    key: [u32; 2],
    counter: [u32; 4],
    words: [u32; 4],
    used: usize,
}

/// What a stream is for: streams of different purposes never overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Initial values of parameters; numbered by parameter.
    Initialization = 1,
    /// The order of chunks in an epoch; numbered by epoch.
    ChunkOrder = 2,
    /// The order of rows in a window of an epoch; numbered by epoch (high half) and window (low half).
    RowOrder = 3,
    /// The choice of validation rows; numbered by class.
    Stratification = 4,
    /// The values that a dropout sets to 0; numbered otherwise than streams are, see the engine's `Draw`.
    Dropout = 5,
}

impl Stream {
    /// The stream of `purpose` and `number` under `seed`.
    pub fn new(seed: u64, purpose: Purpose, number: u64) -> Self {
        Stream {
            key: [seed as u32, (seed >> 32) as u32],
            counter: [0, purpose as u32, number as u32, (number >> 32) as u32],
            words: [0; 4],
            used: 4,
        }
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            self.words = philox(self.key, self.counter);
            self.counter[0] = self.counter[0]
                .checked_add(1)
                .expect("a stream has 2^34 words");
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        u64::from(self.next_u32()) | u64::from(self.next_u32()) << 32
    }

    /// A uniform value in [0, 1) with 53 random bits.
    pub fn next_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A uniform number below `bound`, without bias (Lemire 2019, by rejection).
    ///
    /// # Panics
    /// If `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "a bound of at least 1");
        loop {
            let wide = u128::from(self.next_u64()) * u128::from(bound);
            if (wide as u64) >= bound.wrapping_neg() % bound {
                return (wide >> 64) as u64;
            }
        }
    }

    /// Shuffles `items` (Fisher and Yates, from the end).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_equals_the_known_answers_of_its_authors() {
        assert_eq!(
            philox([0; 2], [0; 4]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox([u32::MAX; 2], [u32::MAX; 4]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox(
                [0xa409_3822, 0x299f_31d0],
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn a_shuffle_is_a_permutation_that_the_stream_alone_decides() {
        let shuffled = |number| {
            let mut items: Vec<u32> = (0..1000).collect();
            Stream::new(7, Purpose::RowOrder, number).shuffle(&mut items);
            items
        };
        assert_eq!(shuffled(1), shuffled(1));
        assert_ne!(shuffled(1), shuffled(2));
        let mut sorted = shuffled(1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<u32>>());
    }

    #[test]
    fn numbers_below_a_bound_are_uniform() {
        let mut stream = Stream::new(1, Purpose::ChunkOrder, 0);
        let mut counts = [0u32; 5];
        for _ in 0..50_000 {
            counts[stream.below(5) as usize] += 1;
        }
        assert!(
            counts.iter().all(|&count| (9_600..10_400).contains(&count)),
            "{counts:?}"
        );
    }
}
