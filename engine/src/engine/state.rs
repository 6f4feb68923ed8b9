//! Committed state S: parameters, optimiser state and step, and their digests.

use crate::backend::View;
use crate::engine::Engine;
use crate::float::Float;
use crate::init::initialize;
use crate::reference::reduce::mix;

impl<T: Float> Engine<T> {
    /// Sets the parameters to PyTorch's default distributions, drawn from `seed` and each parameter's number, the
    /// optimiser's state to 0 and the step to 0.
    pub fn initialize(&mut self, seed: u64) {
        let parameters = self.views.plan.parameters.clone();
        let words = self.parameters_mut();
        for (number, parameter) in parameters.iter().enumerate() {
            initialize(seed, number, parameter, &mut words[parameter.words()]);
        }
        for (_, words) in self.optimizer_state_mut() {
            words.fill(T::ZERO);
        }
        let statistics = self.views.plan.running_statistics.clone();
        for statistic in statistics {
            self.running_statistics_mut()[statistic.words].fill(T::of(statistic.initial));
        }
        self.step = 0;
    }

    /// All parameters, flat; the plan names the views.
    pub fn parameters(&self) -> &[T] {
        self.words(self.views.plan.places.parameters)
    }

    /// All parameters, flat, to write.
    pub fn parameters_mut(&mut self) -> &mut [T] {
        let view = self.views.words(
            self.views.plan.places.parameters,
            self.views.plan.parameter_count,
        );
        bytemuck::cast_slice_mut(self.device.bytes_mut(view))
    }

    /// The optimiser's state by name, each as long as the parameters: `momentum`, or `first_moment` and `second_moment`.
    pub fn optimizer_state(&self) -> Vec<(&'static str, &[T])> {
        self.views
            .plan
            .places
            .optimizer
            .iter()
            .map(|&(name, buffer)| (name, self.words(buffer)))
            .collect()
    }

    /// The optimiser's state by name, to write.
    pub fn optimizer_state_mut(&mut self) -> Vec<(&'static str, &mut [T])> {
        let places = &self.views.plan.places.optimizer;
        let views: Vec<View> = places
            .iter()
            .map(|&(_, buffer)| self.views.words(buffer, self.views.plan.parameter_count))
            .collect();
        let names = places.iter().map(|&(name, _)| name);
        names
            .zip(
                self.device
                    .many_mut(&views)
                    .into_iter()
                    .map(bytemuck::cast_slice_mut),
            )
            .collect()
    }

    /// Steps applied.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Sets the steps applied, when state was loaded from elsewhere.
    pub fn set_step(&mut self, step: u64) {
        self.step = step;
    }

    /// 32 hex digits over all parameters and running statistics; the same for any number of threads and any slicing.
    pub fn parameters_digest(&self) -> String {
        let words = self.views.words(
            self.views.plan.places.parameters,
            self.views.plan.parameter_count,
        );
        let count = self.views.plan.parameter_count as u64;
        let sums = self.pool.enter(|| {
            let parameters = self.device.digest(words, 0);
            let running = self.device.digest(self.running_view(), count);
            [0, 1].map(|sum| parameters[sum].wrapping_add(running[sum]))
        });
        hex(sums)
    }

    /// 32 hex digits over all of S: parameters, optimiser state, running statistics, step, and what the caller adds.
    pub fn state_digest(&self, extra: &[u64]) -> String {
        let plan = &self.views.plan;
        let buffers = [plan.places.parameters]
            .into_iter()
            .chain(plan.places.optimizer.iter().map(|&(_, buffer)| buffer));
        let count = plan.parameter_count as u64;
        let mut sums = [0u64; 2];
        let mut add =
            |more: [u64; 2]| sums = [sums[0].wrapping_add(more[0]), sums[1].wrapping_add(more[1])];
        let mut number = 0;
        for buffer in buffers {
            let words = self.views.words(buffer, plan.parameter_count);
            add(self.pool.enter(|| self.device.digest(words, number)));
            number += count;
        }
        let running = self.running_view();
        add(self.pool.enter(|| self.device.digest(running, number)));
        number += plan.statistic_count as u64;
        for &word in [self.step].iter().chain(extra) {
            add(mix(word, number));
            number += 1;
        }
        hex(sums)
    }
}

fn hex([high, low]: [u64; 2]) -> String {
    format!("{high:016x}{low:016x}")
}
