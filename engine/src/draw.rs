//! Which random words a dropout draws: a function of moment and place, of nothing that depends on who computes.

use spec::random::Purpose;

/// What the random words of a dropout are a function of, beside a value's place in its sample.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draw {
    /// The job's seed.
    pub seed: u64,
    /// The layer, below 2^24.
    pub layer: u32,
    /// The step, below 2^40.
    pub step: u64,
    /// The position of the first sample in the global batch; that of no sample reaches 2^24.
    pub position: u64,
    /// The step of the sequences that it is for; 0 where there are none.
    pub time: usize,
}

impl Draw {
    /// Values of a sample that the words of sixteen counters are for: value `v` of them has word `v / 16` of counter `v % 16`.
    pub const GROUP: usize = 64;

    /// Philox's key.
    pub fn key(&self) -> [u32; 2] {
        [self.seed as u32, (self.seed >> 32) as u32]
    }

    /// The first of the sixteen counters of a group of the `values` of a sample; the others count on in their first word.
    pub fn counter(&self, values: usize, sample: usize, group: usize) -> [u32; 4] {
        let number = self.step << 24 | (self.position + sample as u64);
        let groups = values.div_ceil(Self::GROUP);
        let first = ((self.time * groups + group) * Self::GROUP / 4) as u32;
        let purpose = Purpose::Dropout as u32 | self.layer << 8;
        [first, purpose, number as u32, (number >> 32) as u32]
    }
}
