//! The rows of a loss, compiled for the widest instruction set.

use pulp::{Simd, WithSimd};

use crate::backend::RowTargets;
use crate::cpu::functions::Quick;
use crate::reference::loss::{Judging, Row, Target, judge};

/// Some rows, the first of which has number `first`.
pub(crate) struct JudgeRows<'a> {
    pub judging: &'a Judging<'a, f32>,
    pub targets: RowTargets<'a>,
    pub first: usize,
    pub features: usize,
    pub outputs: &'a mut [f32],
    /// Where the gradient goes, unless that is the place of the outputs.
    pub apart: &'a mut [f32],
    pub rows: &'a mut [Row],
}

impl WithSimd for JudgeRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let features = self.features;
        for (number, row) in self.rows.iter_mut().enumerate() {
            let words = number * features..(number + 1) * features;
            let mut outputs = &mut self.outputs[words.clone()];
            if !self.apart.is_empty() {
                let apart = &mut self.apart[words];
                apart.copy_from_slice(outputs);
                outputs = apart;
            }
            let target = Target::of(self.targets, self.first + number, features);
            *row = judge::<f32, Quick>(self.judging, target, outputs);
        }
    }
}
