//! The engine: a plan's stages run forward and backward over one microbatch, and committed state moved on by one step.

pub(crate) mod apply;
pub(crate) mod clock;
pub(crate) mod faults;
mod fold;
mod given;
mod running;
mod state;
mod walk;
mod wave;

use std::any::TypeId;
use std::convert::Infallible;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use plan::{Mode, Plan};

use crate::backend::{Backend, RowTargets, View};
use crate::batch::{Batch, Pass, Samples};
use crate::cpu::arena::Arena;
use crate::cpu::device::Cpu;
use crate::engine::clock::{Clock, StageTimes};
use crate::error::Error;
use crate::extent::Extent;
use crate::float::Float;
use crate::joint::{Joint, Joints, WaveError};
use crate::layers::loss;
use crate::layers::views::Views;
use crate::packing::Packing;
use crate::pool::Pool;
use crate::reference::device::Reference;
use crate::tally::{Sums, Tally};

/// Runs one plan on this machine's CPU. f32 trains; f64 runs the same plan in plain loops, to compare with.
pub struct Engine<T: Float> {
    pub(crate) views: Views,
    pub(crate) device: Box<dyn Backend>,
    pub(crate) pool: Arc<Pool>,
    /// How the rows of the microbatch at hand lie, where it is of sequences.
    pub(crate) packing: Packing,
    pub(crate) step: u64,
    pub(crate) clock: Clock,
    pub(crate) joints: Joints,
    pub(crate) number: PhantomData<T>,
}

/// How long the passes of a microbatch took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// Forward, the loss included.
    pub forward: Duration,
    /// Backward.
    pub backward: Duration,
    /// Meeting other microbatches on the way, in neither of the above.
    pub met: Duration,
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
            lane: 0,
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
            lane: 0,
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
            joints: Joints::new(&views.plan),
            packing: Packing::new(views.plan.input.steps.unwrap_or(0)),
            views,
            device,
            pool,
            step: 0,
            clock: Clock::default(),
            number: PhantomData,
        })
    }

    /// The plan that it runs.
    pub fn plan(&self) -> &Plan {
        &self.views.plan
    }

    /// Times each stage of every pass from now on, by a clock of the caller's that only goes forward.
    pub fn time_stages(&mut self, now: fn() -> Duration) {
        self.clock.switch_on(self.views.plan.stages.len(), now);
    }

    /// How long the stages of the last pass took, where they are timed.
    pub fn stage_times(&self) -> Option<&StageTimes> {
        self.clock.times()
    }

    /// Runs one microbatch forward and backward and assigns its sums to `slot`: the gradient summed over rows, and the sums of
    /// [`plan::Tail`]. There may be no samples. A norm over
    /// all samples of a step takes these for all.
    ///
    /// # Errors
    /// A plan without training; samples or targets that do not fit; no such slot. Nothing has changed then.
    pub fn train(&mut self, batch: &Batch<'_, T>, slot: usize) -> Result<Times, Error> {
        let alone = |joint: Joint<'_>| -> Result<(), Infallible> {
            joint.total.copy_from_slice(joint.parts);
            Ok(())
        };
        match self.train_wave(&[(*batch, slot)], alone) {
            Ok(times) => Ok(times),
            Err(WaveError::Engine(error)) => Err(error),
            Err(WaveError::Fold(never)) => match never {},
        }
    }

    /// Runs samples forward and sums loss and right answers; [`Engine::evaluated`] has all that was summed.
    ///
    /// # Errors
    /// Samples or targets that do not fit.
    pub fn evaluate(&mut self, batch: &Batch<'_, T>) -> Result<Sums, Error> {
        let given = self.check(&batch.samples)?;
        let targets = self.check_targets(&batch.targets, given)?;
        let pool = Arc::clone(&self.pool);
        pool.enter(|| {
            self.forward(&batch.samples, given, Pass::Evaluate);
            self.judge(targets, given, false, self.evaluation());
            self.clock.note(|times| &mut times.loss);
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
    pub(crate) fn judge(
        &mut self,
        targets: RowTargets<'_>,
        given: Extent,
        gradient: bool,
        tail: View,
    ) {
        let (device, views) = (&mut *self.device, &self.views);
        let count = given.targets(views.plan.per);
        let rows = loss::judge(device, views, targets, count, gradient);
        let counts = loss::Counts {
            samples: given.samples,
            tokens: views.plan.input.vocabulary.map_or(0, |_| given.rows),
        };
        if let [rows, tail] = &mut device.many_mut(&[rows, tail])[..] {
            let (rows, tail) = (bytemuck::cast_slice(rows), bytemuck::cast_slice_mut(tail));
            loss::sum(&views.plan.tail, rows, targets, counts, tail);
        }
    }

    /// Runs samples forward: `(N, classes)`, or `(rows, classes)` where every step has a target.
    ///
    /// # Errors
    /// Samples that do not fit.
    pub fn logits(&mut self, samples: Samples<'_, T>) -> Result<&[T], Error> {
        let extent = self.check(&samples)?;
        let pool = Arc::clone(&self.pool);
        pool.enter(|| self.forward(&samples, extent, Pass::Evaluate));
        let plan = &self.views.plan;
        let targets = extent.targets(plan.per);
        let view = self.views.words(plan.places.logits, targets * plan.classes);
        Ok(bytemuck::cast_slice(self.device.bytes(view)))
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
