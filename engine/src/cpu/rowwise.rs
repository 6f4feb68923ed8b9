//! One row at a time.

use crate::backend::{RowWise, View};
use crate::cpu::device::Cpu;
use crate::reference::rowwise::cross_entropy;

impl RowWise for Cpu {
    fn cross_entropy(
        &mut self,
        logits: View,
        labels: &[u32],
        gradient: Option<View>,
    ) -> (f64, u64) {
        let [logits, gradient] = self
            .arena
            .numbers([logits, gradient.unwrap_or(View::EMPTY)]);
        cross_entropy::<f32>(logits, labels, gradient)
    }
}
