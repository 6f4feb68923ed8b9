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
        self.averages_mut().fill(T::ZERO);
        let statistics = self.views.plan.running_statistics.clone();
        for statistic in statistics {
            self.running_statistics_mut()[statistic.words].fill(T::of(statistic.initial));
        }
        self.step = 0;
    }

    /// All parameters, flat; the plan names the views.
    pub fn parameters(&self) -> &[T] {
        let plan = &self.views.plan;
        self.words(plan.places.parameters, plan.parameter_count)
    }

    /// All parameters, flat, to write.
    pub fn parameters_mut(&mut self) -> &mut [T] {
        let view = self.views.words(
            self.views.plan.places.parameters,
            self.views.plan.parameter_count,
        );
        bytemuck::cast_slice_mut(self.device.bytes_mut(view))
    }

    /// The averages of what is trained, the first words of the flat parameters; empty where the plan keeps none. They are 0
    /// before their first step.
    pub fn averages(&self) -> &[T] {
        let plan = &self.views.plan;
        match plan.places.averages {
            Some(buffer) => self.words(buffer, plan.trained_count),
            None => &[],
        }
    }

    /// The averages, to write.
    pub fn averages_mut(&mut self) -> &mut [T] {
        let view = self.averages_view();
        bytemuck::cast_slice_mut(self.device.bytes_mut(view))
    }

    /// Exchanges averages and parameters, so that what follows runs on the averages; nothing where there are none yet. Done
    /// twice, all is as before.
    pub fn exchange_averages(&mut self) {
        let plan = &self.views.plan;
        if !plan.ema.is_some_and(|ema| ema.begun(self.step)) || plan.places.averages.is_none() {
            return;
        }
        let parameters = self.views.words(plan.places.parameters, plan.trained_count);
        let averages = self.averages_view();
        if let [parameters, averages] = &mut self.device.many_mut(&[parameters, averages])[..] {
            parameters.swap_with_slice(averages);
        }
    }

    fn averages_view(&self) -> View {
        let plan = &self.views.plan;
        plan.places.averages.map_or(View::EMPTY, |buffer| {
            self.views.words(buffer, plan.trained_count)
        })
    }

    fn words(&self, buffer: usize, words: usize) -> &[T] {
        bytemuck::cast_slice(self.device.bytes(self.views.words(buffer, words)))
    }

    /// The optimiser's state by name, each as long as what is trained: `momentum`, or `first_moment` and `second_moment`.
    pub fn optimizer_state(&self) -> Vec<(&'static str, &[T])> {
        self.views
            .plan
            .places
            .optimizer
            .iter()
            .map(|&(name, buffer)| (name, self.words(buffer, self.views.plan.trained_count)))
            .collect()
    }

    /// The optimiser's state by name, to write.
    pub fn optimizer_state_mut(&mut self) -> Vec<(&'static str, &mut [T])> {
        let places = &self.views.plan.places.optimizer;
        let views: Vec<View> = places
            .iter()
            .map(|&(_, buffer)| self.views.words(buffer, self.views.plan.trained_count))
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

    /// 32 hex digits over all of S: parameters, optimiser state, averages, running statistics, step, and what the caller adds.
    pub fn state_digest(&self, extra: &[u64]) -> String {
        let plan = &self.views.plan;
        let trained = |buffer| self.views.words(buffer, plan.trained_count);
        let flat = [self
            .views
            .words(plan.places.parameters, plan.parameter_count)]
        .into_iter()
        .chain(
            plan.places
                .optimizer
                .iter()
                .map(|&(_, buffer)| trained(buffer)),
        )
        .chain(plan.places.averages.map(trained))
        .chain([self.running_view()]);
        let mut sums = [0u64; 2];
        let mut add =
            |more: [u64; 2]| sums = [sums[0].wrapping_add(more[0]), sums[1].wrapping_add(more[1])];
        let mut number = 0;
        for words in flat {
            add(self.pool.enter(|| self.device.digest(words, number)));
            number += (words.bytes / self.views.size) as u64;
        }
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
