//! The engine: a plan's stages run forward and backward over one microbatch, and committed state moved on by one step.

use std::any::TypeId;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plan::{Mode, Plan, StageKind};
use spec::job::Optimizer;

use crate::backend::{Adam, AdamOperands, Backend, Sgd, SgdOperands, View};
use crate::cpu::arena::Arena;
use crate::cpu::device::Cpu;
use crate::error::Error;
use crate::float::Float;
use crate::init::initialize;
use crate::layers::cross_entropy::{self, Sums};
use crate::layers::views::Views;
use crate::layers::{conv2d, linear, max_pool2d, relu};
use crate::pool::Pool;
use crate::record::{Tail, add_elements};
use crate::reference::device::Reference;

/// Runs one plan on this machine's CPU. f32 trains; f64 runs the same plan in plain loops, to compare with.
pub struct Engine<T: Float> {
    views: Views,
    device: Box<dyn Backend>,
    pool: Arc<Pool>,
    step: u64,
    number: PhantomData<T>,
}

/// How long the passes of a microbatch took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Forward, the loss included.
    pub forward: Duration,
    /// Backward.
    pub backward: Duration,
}

/// What a step's record came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepResult {
    /// Mean loss over the samples; `None` if there were none or it is no number.
    pub loss: Option<f64>,
    /// Share of the samples classified right; `None` if there were none.
    pub accuracy: Option<f64>,
    /// Samples of the step.
    pub samples: u64,
    /// Euclidean norm of the mean gradient; `None` if it is no number.
    pub gradient_norm: Option<f64>,
}

impl<T: Float> Engine<T> {
    /// An engine for `plan` on `threads`, at most those planned for. Parameters and optimiser state are 0.
    ///
    /// # Errors
    /// More threads than planned for; no memory for the arena; threads that cannot be started.
    pub fn new(plan: Plan, threads: usize) -> Result<Self, Error> {
        if threads == 0 || threads > plan.threads {
            return Err(Error::Threads {
                threads,
                planned: plan.threads,
            });
        }
        let pool = Arc::new(Pool::new(threads)?);
        let views = Views {
            plan,
            size: size_of::<T>(),
        };
        let arena = Arena::new(views.arena_bytes())?;
        let device: Box<dyn Backend> = if TypeId::of::<T>() == TypeId::of::<f32>() {
            Box::new(Cpu::new(arena, Arc::clone(&pool)))
        } else {
            Box::new(Reference::<T>::new(arena))
        };
        Ok(Engine {
            views,
            device,
            pool,
            step: 0,
            number: PhantomData,
        })
    }

    /// An engine that runs `plan` in plain loops on one thread, whatever `T`: the specification of the kernels.
    ///
    /// # Errors
    /// No memory for the arena.
    pub fn reference(plan: Plan) -> Result<Self, Error> {
        let views = Views {
            plan,
            size: size_of::<T>(),
        };
        let device = Box::new(Reference::<T>::new(Arena::new(views.arena_bytes())?));
        Ok(Engine {
            views,
            device,
            pool: Arc::new(Pool::new(1)?),
            step: 0,
            number: PhantomData,
        })
    }

    /// The plan that it runs.
    pub fn plan(&self) -> &Plan {
        &self.views.plan
    }

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

    fn words(&self, buffer: usize) -> &[T] {
        let view = self.views.words(buffer, self.views.plan.parameter_count);
        bytemuck::cast_slice(self.device.bytes(view))
    }

    /// Runs one microbatch forward and backward and assigns its sums to `slot`: the gradient summed over samples, the
    /// summed loss, the samples classified right, and the samples. `x: (N, sample)`, one label per sample; N may be 0.
    ///
    /// # Errors
    /// A plan without training; samples, values or labels that do not fit; no such slot. Nothing has changed then.
    pub fn train(&mut self, x: &[T], labels: &[u32], slot: usize) -> Result<Times, Error> {
        let record = self.slot(slot)?;
        self.check(x, labels.len())?;
        self.check_labels(labels)?;
        let pool = Arc::clone(&self.pool);
        Ok(pool.enter(|| {
            let started = Instant::now();
            self.forward(x, labels.len());
            let sums = cross_entropy::forward_backward(&mut *self.device, &self.views, labels);
            let forward = started.elapsed();
            self.backward(labels.len(), slot);
            let (_, tail) = self.views.record();
            let tail = View {
                offset: record.offset + tail,
                bytes: record.bytes - tail,
            };
            let Sums {
                loss,
                correct,
                samples,
            } = sums;
            Tail {
                loss,
                correct,
                samples,
            }
            .write(self.device.bytes_mut(tail));
            Times {
                forward,
                backward: started.elapsed() - forward,
            }
        }))
    }

    /// Runs samples forward and sums loss and right answers. `x: (N, sample)`, one label per sample.
    ///
    /// # Errors
    /// Samples, values or labels that do not fit.
    pub fn evaluate(&mut self, x: &[T], labels: &[u32]) -> Result<Sums, Error> {
        self.check(x, labels.len())?;
        self.check_labels(labels)?;
        let pool = Arc::clone(&self.pool);
        Ok(pool.enter(|| {
            self.forward(x, labels.len());
            cross_entropy::forward(&mut *self.device, &self.views, labels)
        }))
    }

    /// Runs `samples` forward: `(N, classes)`.
    ///
    /// # Errors
    /// Samples or values that do not fit.
    pub fn logits(&mut self, x: &[T], samples: usize) -> Result<&[T], Error> {
        self.check(x, samples)?;
        let pool = Arc::clone(&self.pool);
        pool.enter(|| self.forward(x, samples));
        let plan = &self.views.plan;
        let view = self.views.words(plan.places.logits, samples * plan.classes);
        Ok(bytemuck::cast_slice(self.device.bytes(view)))
    }

    fn check(&self, x: &[T], samples: usize) -> Result<(), Error> {
        let plan = &self.views.plan;
        if samples > plan.microbatch {
            return Err(Error::Samples {
                samples,
                microbatch: plan.microbatch,
            });
        }
        let expected = samples * plan.input.elements();
        if x.len() != expected {
            return Err(Error::Values {
                samples,
                expected,
                got: x.len(),
            });
        }
        Ok(())
    }

    fn check_labels(&self, labels: &[u32]) -> Result<(), Error> {
        let classes = self.views.plan.classes;
        match labels.iter().position(|&label| label as usize >= classes) {
            Some(position) => Err(Error::Label {
                position,
                label: labels[position],
                classes,
            }),
            None => Ok(()),
        }
    }

    fn forward(&mut self, x: &[T], samples: usize) {
        let input = self.views.words(self.views.plan.places.input, x.len());
        self.device
            .bytes_mut(input)
            .copy_from_slice(bytemuck::cast_slice(x));
        let (device, views) = (&mut *self.device, &self.views);
        for stage in &views.plan.stages {
            match &stage.kind {
                StageKind::Window(window) => conv2d::forward(device, views, stage, window, samples),
                StageKind::Dense(dense) => linear::forward(device, views, stage, dense, samples),
                StageKind::Pool(pool) => max_pool2d::forward(device, views, stage, pool, samples),
                StageKind::Relu => relu::forward(device, views, stage, samples),
            }
        }
    }

    fn backward(&mut self, samples: usize, slot: usize) {
        let (device, views) = (&mut *self.device, &self.views);
        let slot = views.plan.places.slots[slot];
        for stage in views
            .plan
            .stages
            .iter()
            .rev()
            .take_while(|stage| stage.backward)
        {
            match &stage.kind {
                StageKind::Window(window) => {
                    conv2d::backward(device, views, stage, window, samples, slot)
                }
                StageKind::Dense(dense) => {
                    linear::backward(device, views, stage, dense, samples, slot)
                }
                StageKind::Pool(pool) => max_pool2d::backward(device, views, stage, pool, samples),
                StageKind::Relu => relu::backward(device, views, stage, samples),
            }
        }
    }

    fn slot(&self, slot: usize) -> Result<View, Error> {
        let plan = &self.views.plan;
        if plan.mode != Mode::Train {
            return Err(Error::NotTraining);
        }
        let buffer = plan.places.slots.get(slot).ok_or(Error::Slot {
            slot,
            slots: plan.slots,
        })?;
        Ok(self.views.buffer(*buffer))
    }

    fn known_slot(&self, slot: usize) -> View {
        self.slot(slot).expect("a slot of a plan that trains")
    }

    fn record(&self) -> View {
        self.views.buffer(
            self.views
                .plan
                .places
                .record
                .expect("a plan that trains has a record"),
        )
    }

    /// Adds one slot's sums to another's.
    ///
    /// # Panics
    /// If one does not exist, both are the same, or the plan is not for training.
    pub fn add(&mut self, into: usize, from: usize) {
        let views = [into, from].map(|slot| self.known_slot(slot));
        let (_, tail) = self.views.record();
        if let [into, from] = &mut self.device.many_mut(&views)[..] {
            add_elements::<T>(tail, 0, into, from);
        }
    }

    /// The bytes of a slot's record.
    ///
    /// # Panics
    /// If it does not exist, or the plan is not for training.
    pub fn slot_bytes(&self, slot: usize) -> &[u8] {
        self.device.bytes(self.known_slot(slot))
    }

    /// The bytes of the folded record R.
    ///
    /// # Panics
    /// If the plan is not for training.
    pub fn record_bytes(&self) -> &[u8] {
        self.device.bytes(self.record())
    }

    /// The bytes of the folded record R, to write.
    ///
    /// # Panics
    /// If the plan is not for training.
    pub fn record_bytes_mut(&mut self) -> &mut [u8] {
        let record = self.record();
        self.device.bytes_mut(record)
    }

    /// Several slots to read, and R to write, at once.
    ///
    /// # Panics
    /// If a slot does not exist or is named twice, or the plan is not for training.
    pub fn fold_views(&mut self, slots: &[usize]) -> (Vec<&[u8]>, &mut [u8]) {
        let views: Vec<View> = slots
            .iter()
            .map(|&slot| self.known_slot(slot))
            .chain([self.record()])
            .collect();
        let mut views = self.device.many_mut(&views);
        let record = views.pop().expect("the record is the last");
        (views.into_iter().map(|slot| &*slot).collect(), record)
    }

    /// `S' = apply(S, R)`: divides R by its number of samples, updates parameters and optimiser state at learning rate
    /// `lr`, and counts the step. If there are no samples, the gradient is 0.
    ///
    /// # Panics
    /// If the plan is not for training.
    pub fn apply(&mut self, lr: f64) -> StepResult {
        let (record, plan) = (self.record(), &self.views.plan);
        let (_, tail) = self.views.record();
        let Tail {
            loss,
            correct,
            samples,
        } = Tail::read(&self.device.bytes(record)[tail..]);
        if samples == 0 {
            self.device.bytes_mut(record).fill(0);
        }
        let divisor = samples.max(1) as f64;
        let view = |buffer| self.views.words(buffer, plan.parameter_count);
        let gradient = View {
            bytes: plan.parameter_count * self.views.size,
            ..record
        };
        let parameters = view(plan.places.parameters);
        let state: Vec<View> = plan
            .places
            .optimizer
            .iter()
            .map(|&(_, buffer)| view(buffer))
            .collect();
        self.step += 1;
        let (step, optimizer, device) = (self.step, plan.optimizer, &mut self.device);
        let norm = self.pool.enter(|| {
            let norm = device.square_norm(gradient, divisor).sqrt();
            match (optimizer, &state[..]) {
                (
                    Optimizer::Sgd {
                        momentum,
                        weight_decay,
                        ..
                    },
                    state,
                ) => {
                    let sgd = Sgd {
                        lr,
                        momentum,
                        weight_decay,
                        divisor,
                    };
                    device.sgd(
                        &sgd,
                        SgdOperands {
                            parameters,
                            gradient,
                            momentum: state.first().copied(),
                        },
                    );
                }
                (
                    Optimizer::Adam {
                        betas,
                        eps,
                        weight_decay,
                        ..
                    },
                    &[first_moment, second_moment],
                ) => {
                    let [left1, left2] = betas.map(|beta| 1.0 - libm::pow(beta, step as f64));
                    let (step_size, second_correction) = (lr / left1, left2.sqrt());
                    let adam = Adam {
                        betas,
                        eps,
                        weight_decay,
                        divisor,
                        step_size,
                        second_correction,
                    };
                    device.adam(
                        &adam,
                        AdamOperands {
                            parameters,
                            gradient,
                            first_moment,
                            second_moment,
                        },
                    );
                }
                (Optimizer::Adam { .. }, _) => unreachable!("the plan gives Adam two moments"),
            }
            norm
        });
        let share = |sum: f64| Some(sum / divisor).filter(|mean| samples > 0 && mean.is_finite());
        StepResult {
            loss: share(loss),
            accuracy: share(correct as f64),
            samples,
            gradient_norm: Some(norm).filter(|norm| norm.is_finite()),
        }
    }

    /// 32 hex digits over all parameters; the same for any number of threads and any slicing.
    pub fn parameters_digest(&self) -> String {
        let words = self.views.words(
            self.views.plan.places.parameters,
            self.views.plan.parameter_count,
        );
        hex(self.pool.enter(|| self.device.digest(words, 0)))
    }

    /// 32 hex digits over all of S: parameters, optimiser state, step, and what the caller adds.
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
        for &word in [self.step].iter().chain(extra) {
            add(crate::reference::reduce::mix(word, number));
            number += 1;
        }
        hex(sums)
    }
}

fn hex([high, low]: [u64; 2]) -> String {
    format!("{high:016x}{low:016x}")
}
