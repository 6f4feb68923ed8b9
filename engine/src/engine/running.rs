//! Running statistics: committed state that no gradient moves.

use crate::backend::View;
use crate::engine::Engine;
use crate::float::Float;
use crate::layers::batch_norm;

impl<T: Float> Engine<T> {
    /// All running statistics, flat; the plan names the views. Empty where no layer has any.
    pub fn running_statistics(&self) -> &[T] {
        bytemuck::cast_slice(self.device.bytes(self.running_view()))
    }

    /// All running statistics, flat, to write.
    pub fn running_statistics_mut(&mut self) -> &mut [T] {
        let view = self.running_view();
        bytemuck::cast_slice_mut(self.device.bytes_mut(view))
    }

    pub(crate) fn running_view(&self) -> View {
        let plan = &self.views.plan;
        plan.places
            .running_statistics
            .map_or(View::EMPTY, |buffer| {
                self.views.words(buffer, plan.statistic_count)
            })
    }

    /// Moves them by the folded record of a step.
    pub(crate) fn apply_statistics(&mut self, samples: u64, paired: u64) {
        let (record, views, device) = (self.record(), &self.views, &mut *self.device);
        for stage in &views.plan.stages {
            if let Some(norm) = stage.kind.norm() {
                batch_norm::apply(device, views, stage, norm, record, [samples, paired]);
            }
        }
    }
}
