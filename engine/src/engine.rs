//! The engine: a plan's stages run forward and backward over one microbatch, and committed state moved on by one step.

pub(crate) mod apply;
pub(crate) mod faults;
mod fold;
mod running;
mod state;

use std::any::TypeId;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plan::{Mode, Plan, Stage, StageKind};

use crate::backend::{Backend, RowTargets, View};
use crate::batch::{Batch, Samples, Targets};
use crate::cpu::arena::Arena;
use crate::cpu::device::Cpu;
use crate::error::Error;
use crate::float::Float;
use crate::layers::batch_norm::Pass;
use crate::layers::views::Views;
use crate::layers::{
    activation, avg_pool2d, batch_norm, conv2d, group_norm, linear, loss, max_pool2d, relu,
    residual, softmax,
};
use crate::pool::Pool;
use crate::reference::device::Reference;
use crate::tally::{Sums, Tally};

/// Runs one plan on this machine's CPU. f32 trains; f64 runs the same plan in plain loops, to compare with.
pub struct Engine<T: Float> {
    pub(crate) views: Views,
    pub(crate) device: Box<dyn Backend>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) step: u64,
    pub(crate) number: PhantomData<T>,
}

/// How long the passes of a microbatch took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Forward, the loss included.
    pub forward: Duration,
    /// Backward.
    pub backward: Duration,
}

impl<T: Float> Engine<T> {
    /// An engine for `plan` on `threads`, at most those planned for. Parameters and optimiser state are 0.
    ///
    /// # Errors
    /// More threads than planned for; no memory for the arena; threads that cannot be started; class weights that are not yet
    /// numbers.
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
        Engine::with(views, device, pool)
    }

    /// An engine that runs `plan` in plain loops on one thread, whatever `T`: the specification of the kernels.
    ///
    /// # Errors
    /// No memory for the arena; class weights that are not yet numbers.
    pub fn reference(plan: Plan) -> Result<Self, Error> {
        let views = Views {
            plan,
            size: size_of::<T>(),
        };
        let device = Box::new(Reference::<T>::new(Arena::new(views.arena_bytes())?));
        Engine::with(views, device, Arc::new(Pool::new(1)?))
    }

    fn with(views: Views, mut device: Box<dyn Backend>, pool: Arc<Pool>) -> Result<Self, Error> {
        if let Some(view) = views.loss_weights() {
            let weights: &mut [T] = bytemuck::cast_slice_mut(device.bytes_mut(view));
            loss::weigh(&views.plan.loss, weights)?;
        }
        Ok(Engine {
            views,
            device,
            pool,
            step: 0,
            number: PhantomData,
        })
    }

    /// The plan that it runs.
    pub fn plan(&self) -> &Plan {
        &self.views.plan
    }

    /// Runs one microbatch forward and backward and assigns its sums to `slot`: the gradient summed over rows, and the sums of
    /// [`plan::Tail`]. There may be no samples.
    ///
    /// # Errors
    /// A plan without training; samples or targets that do not fit; no such slot. Nothing has changed then.
    pub fn train(&mut self, batch: &Batch<'_, T>, slot: usize) -> Result<Times, Error> {
        let record = self.slot(slot)?;
        let samples = self.check(&batch.samples)?;
        let targets = self.check_targets(&batch.targets, samples)?;
        let pool = Arc::clone(&self.pool);
        Ok(pool.enter(|| {
            let started = Instant::now();
            self.forward(&batch.samples, samples, Pass::Train);
            let (_, offset) = self.views.record();
            let tail = View {
                offset: record.offset + offset,
                bytes: self.views.plan.tail.bytes(),
            };
            self.judge(targets, samples, true, tail);
            let forward = started.elapsed();
            self.backward(samples, slot);
            self.leave_statistics(samples, slot);
            Times {
                forward,
                backward: started.elapsed() - forward,
            }
        }))
    }

    /// Runs samples forward and sums loss and right answers; [`Engine::evaluated`] has all that was summed.
    ///
    /// # Errors
    /// Samples or targets that do not fit.
    pub fn evaluate(&mut self, batch: &Batch<'_, T>) -> Result<Sums, Error> {
        let samples = self.check(&batch.samples)?;
        let targets = self.check_targets(&batch.targets, samples)?;
        let pool = Arc::clone(&self.pool);
        pool.enter(|| {
            self.forward(&batch.samples, samples, Pass::Evaluate);
            self.judge(targets, samples, false, self.evaluation());
        });
        Ok(Tally::new(self.plan(), self.evaluated()).sums())
    }

    /// The words of [`plan::Tail`] that the last evaluation came to.
    pub fn evaluated(&self) -> &[u64] {
        bytemuck::cast_slice(self.device.bytes(self.evaluation()))
    }

    fn evaluation(&self) -> View {
        View {
            bytes: self.views.plan.tail.bytes(),
            ..self.views.buffer(self.views.plan.places.evaluation)
        }
    }

    /// Assigns the sums of the rows of the output to a tail.
    fn judge(&mut self, targets: RowTargets<'_>, samples: usize, gradient: bool, tail: View) {
        let (device, views) = (&mut *self.device, &self.views);
        let rows = loss::judge(device, views, targets, samples, gradient);
        let counts = loss::Counts { samples, tokens: 0 };
        if let [rows, tail] = &mut device.many_mut(&[rows, tail])[..] {
            let (rows, tail) = (bytemuck::cast_slice(rows), bytemuck::cast_slice_mut(tail));
            loss::sum(&views.plan.tail, rows, targets, counts, tail);
        }
    }

    /// Runs samples forward: `(N, classes)`.
    ///
    /// # Errors
    /// Samples that do not fit.
    pub fn logits(&mut self, samples: Samples<'_, T>) -> Result<&[T], Error> {
        let count = self.check(&samples)?;
        let pool = Arc::clone(&self.pool);
        pool.enter(|| self.forward(&samples, count, Pass::Evaluate));
        let plan = &self.views.plan;
        let view = self.views.words(plan.places.logits, count * plan.classes);
        Ok(bytemuck::cast_slice(self.device.bytes(view)))
    }

    /// How many samples there are.
    pub(crate) fn check(&self, samples: &Samples<'_, T>) -> Result<usize, Error> {
        let Samples::Values(values) = samples;
        let plan = &self.views.plan;
        let (sample, got) = (plan.input.elements(), values.len());
        if !got.is_multiple_of(sample) {
            return Err(Error::Values { sample, got });
        }
        let samples = got / sample;
        if samples > plan.microbatch {
            return Err(Error::Samples {
                samples,
                microbatch: plan.microbatch,
            });
        }
        Ok(samples)
    }

    fn check_targets<'a>(
        &self,
        targets: &Targets<'a, T>,
        rows: usize,
    ) -> Result<RowTargets<'a>, Error> {
        let classes = self.views.plan.classes;
        let (expected, got) = match targets {
            Targets::Classes(labels) => (rows, labels.len()),
            Targets::Values(values) => (rows * classes, values.len()),
        };
        if got != expected {
            return Err(Error::Targets { expected, got });
        }
        match *targets {
            Targets::Classes(labels) => {
                match labels.iter().position(|&label| label as usize >= classes) {
                    Some(position) => Err(Error::Label {
                        position,
                        label: labels[position],
                        classes,
                    }),
                    None => Ok(RowTargets::Classes(labels)),
                }
            }
            Targets::Values(values) => Ok(RowTargets::Values(bytemuck::cast_slice(values))),
        }
    }

    fn forward(&mut self, samples: &Samples<'_, T>, count: usize, pass: Pass) {
        self.forward_until(samples, count, pass, |_, _, _| false);
    }

    /// Runs forward until `stop` says so after a stage.
    pub(crate) fn forward_until(
        &mut self,
        values: &Samples<'_, T>,
        samples: usize,
        pass: Pass,
        mut stop: impl FnMut(&dyn Backend, &Views, &Stage) -> bool,
    ) {
        let Samples::Values(x) = values;
        let input = self.views.words(self.views.plan.places.input, x.len());
        self.device
            .bytes_mut(input)
            .copy_from_slice(bytemuck::cast_slice(x));
        let (device, views) = (&mut *self.device, &self.views);
        for stage in &views.plan.stages {
            match &stage.kind {
                StageKind::Window(window) => {
                    conv2d::forward(device, views, stage, window, samples, pass)
                }
                StageKind::Dense(dense) => linear::forward(device, views, stage, dense, samples),
                StageKind::Pool(pool) => max_pool2d::forward(device, views, stage, pool, samples),
                StageKind::Average(pool) => {
                    avg_pool2d::forward(device, views, stage, pool, samples)
                }
                StageKind::BatchNorm(norm) => {
                    batch_norm::forward(device, views, stage, norm, samples, pass)
                }
                StageKind::GroupNorm(norm) => {
                    group_norm::forward(device, views, stage, norm, samples)
                }
                StageKind::Relu => relu::forward(device, views, stage, samples),
                StageKind::Activation(activation) => {
                    activation::forward(device, views, stage, activation, samples)
                }
                StageKind::Softmax(softmax) => {
                    softmax::forward(device, views, stage, softmax, samples)
                }
                StageKind::Fork => {}
                StageKind::Add => residual::add(device, views, stage, samples),
            }
            if stop(&*device, views, stage) {
                return;
            }
        }
    }

    fn backward(&mut self, samples: usize, slot: usize) {
        let (device, views) = (&mut *self.device, &self.views);
        let slot = views.plan.places.slots[slot];
        for stage in (views.plan.stages.iter().rev()).filter(|stage| stage.backward) {
            match &stage.kind {
                StageKind::Window(window) => {
                    conv2d::backward(device, views, stage, window, samples, slot)
                }
                StageKind::Dense(dense) => {
                    linear::backward(device, views, stage, dense, samples, slot)
                }
                StageKind::Pool(pool) => max_pool2d::backward(device, views, stage, pool, samples),
                StageKind::Average(pool) => {
                    avg_pool2d::backward(device, views, stage, pool, samples)
                }
                StageKind::BatchNorm(norm) => {
                    batch_norm::backward(device, views, stage, norm, samples, slot)
                }
                StageKind::GroupNorm(norm) => {
                    group_norm::backward(device, views, stage, norm, samples, slot)
                }
                StageKind::Relu => relu::backward(device, views, stage, samples),
                StageKind::Activation(activation) => {
                    activation::backward(device, views, stage, activation, samples)
                }
                StageKind::Softmax(softmax) => {
                    softmax::backward(device, views, stage, softmax, samples)
                }
                StageKind::Fork => residual::fork_backward(device, views, stage, samples),
                StageKind::Add => residual::add_backward(device, views, stage, samples),
            }
        }
    }

    /// What a microbatch leaves for the running statistics of stages that the loss does not flow back to.
    fn leave_statistics(&mut self, samples: usize, slot: usize) {
        let (device, views) = (&mut *self.device, &self.views);
        let slot = views.plan.places.slots[slot];
        for stage in views.plan.stages.iter().filter(|stage| !stage.backward) {
            if let Some(norm) = stage.kind.norm() {
                batch_norm::leave_sums(device, views, stage, norm, samples, slot);
            }
        }
    }

    pub(crate) fn slot(&self, slot: usize) -> Result<View, Error> {
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

    pub(crate) fn known_slot(&self, slot: usize) -> View {
        self.slot(slot).expect("a slot of a plan that trains")
    }

    pub(crate) fn record(&self) -> View {
        self.views.buffer(
            self.views
                .plan
                .places
                .record
                .expect("a plan that trains has a record"),
        )
    }
}
