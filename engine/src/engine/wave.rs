//! A wave: the microbatches of a rank's share under way at once, each in its lane. They run one after the other up to a norm
//! over all samples of the step, meet there those of the other ranks, and go on; backward likewise. Where the plan has no
//! such norm a wave is one microbatch.

use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::{RowTargets, View};
use crate::batch::{Batch, Pass};
use crate::engine::{Engine, Times};
use crate::error::Error;
use crate::extent::Extent;
use crate::float::Float;
use crate::joint::{Joint, Meeting, WaveError};
use crate::layers::{batch_norm, sync_norm};

/// A microbatch of a wave, held against the plan.
struct Rider<'b, 'a, T> {
    batch: &'b Batch<'a, T>,
    extent: Extent,
    targets: RowTargets<'a>,
    slot: usize,
    /// Its record.
    record: View,
}

impl<T: Float> Engine<T> {
    /// Runs microbatches forward and backward and assigns the sums of each to its slot, as [`Engine::train`]. `fold` adds up
    /// the parts of all microbatches of the step, those of other ranks too, at every norm over all samples: once
    /// forward and, where the loss flows back to it, once backward, in the order of [`plan::Plan::sync_norms`] and
    /// back. A wave may be empty: it takes part in the folds.
    ///
    /// # Errors
    /// As [`Engine::train`], or more microbatches than the plan has lanes; what `fold` fails with.
    pub fn train_wave<F>(
        &mut self,
        wave: &[(Batch<'_, T>, usize)],
        fold: impl FnMut(Joint<'_>) -> Result<(), F>,
    ) -> Result<Times, WaveError<F>> {
        let riders = self.riders(wave).map_err(WaveError::Engine)?;
        let times = if self.views.plan.sync_norms().next().is_some() {
            self.ride(&riders, fold)
        } else {
            // Nothing is folded: the pool is entered once for all of it.
            let unmet = |_: Joint<'_>| -> Result<(), Infallible> { Ok(()) };
            let pool = Arc::clone(&self.pool);
            match pool.enter(|| self.ride(&riders, unmet)) {
                Ok(times) => Ok(times),
                Err(never) => match never {},
            }
        };
        self.views.lane = 0;
        times.map_err(WaveError::Fold)
    }

    fn riders<'b, 'a>(
        &mut self,
        wave: &'b [(Batch<'a, T>, usize)],
    ) -> Result<Vec<Rider<'b, 'a, T>>, Error> {
        let lanes = self.views.plan.lanes;
        if wave.len() > lanes {
            return Err(Error::Lanes {
                microbatches: wave.len(),
                lanes,
            });
        }
        let rider = |(batch, slot): &'b (Batch<'a, T>, usize)| {
            let record = self.slot(*slot)?;
            let extent = self.check(&batch.samples)?;
            Ok(Rider {
                batch,
                extent,
                targets: self.check_targets(&batch.targets, extent)?,
                slot: *slot,
                record,
            })
        };
        wave.iter().map(rider).collect()
    }

    fn ride<F>(
        &mut self,
        riders: &[Rider<'_, '_, T>],
        mut fold: impl FnMut(Joint<'_>) -> Result<(), F>,
    ) -> Result<Times, F> {
        let norms: Vec<(usize, usize)> = self.views.plan.sync_norms().collect();
        let stages = self.views.plan.stages.len();
        let pool = Arc::clone(&self.pool);
        let (mut met, started) = (Duration::ZERO, Instant::now());

        let mut from = 0;
        let mut values = Vec::with_capacity(norms.len());
        pool.enter(|| {
            self.each(riders, |engine, _, rider| {
                engine.bring(&rider.batch.samples)
            })
        });
        for &(norm, channels) in &norms {
            let words = Meeting::Moments.words() * channels;
            pool.enter(|| {
                self.each(riders, |engine, lane, rider| {
                    engine.forward_between(from..norm, rider);
                    let at = sync_norm::At::<T>::new(&engine.views, norm, rider.extent.samples);
                    let part = &mut engine.joints.parts[words * lane..][..words];
                    at.measure(&mut *engine.device, part);
                });
            });
            met += self.meet(Meeting::Moments, words, riders.len(), &mut fold)?;
            // All channels have as many values.
            values.push(self.joints.total.first().map_or(0, |&values| values as u64));
            pool.enter(|| {
                self.each(riders, |engine, _, rider| {
                    let at = sync_norm::At::<T>::new(&engine.views, norm, rider.extent.samples);
                    let total = &engine.joints.total[..words];
                    at.normalise(&mut *engine.device, total, rider.record);
                });
            });
            from = norm + 1;
        }
        pool.enter(|| {
            self.each(riders, |engine, _, rider| {
                engine.forward_between(from..stages, rider);
                let (_, offset) = engine.views.record();
                let tail = View {
                    offset: rider.record.offset + offset,
                    bytes: engine.views.plan.tail.bytes(),
                };
                engine.judge(rider.targets, rider.extent, true, tail);
                engine.clock.note(|times| &mut times.loss);
            });
        });
        let forward = started.elapsed().saturating_sub(met);

        let mut to = stages;
        for (&(norm, channels), &values) in norms.iter().zip(&values).rev() {
            if !self.views.plan.stages[norm].backward {
                continue;
            }
            let words = Meeting::Gradients.words() * channels;
            pool.enter(|| {
                self.each(riders, |engine, lane, rider| {
                    engine.backward_through(norm + 1..to, rider.batch, rider.extent, rider.slot);
                    let at = sync_norm::At::<T>::new(&engine.views, norm, rider.extent.samples);
                    let part = &mut engine.joints.parts[words * lane..][..words];
                    at.gradients(&mut *engine.device, rider.record, part);
                });
            });
            met += self.meet(Meeting::Gradients, words, riders.len(), &mut fold)?;
            pool.enter(|| {
                self.each(riders, |engine, _, rider| {
                    let at = sync_norm::At::<T>::new(&engine.views, norm, rider.extent.samples);
                    let total = &engine.joints.total[..words];
                    at.input(&mut *engine.device, values, total, rider.record);
                });
            });
            to = norm;
        }
        pool.enter(|| {
            self.each(riders, |engine, _, rider| {
                engine.backward_through(0..to, rider.batch, rider.extent, rider.slot);
                engine.leave_statistics(rider.extent.samples, rider.slot);
            });
        });
        let both = started.elapsed().saturating_sub(met);
        Ok(Times {
            forward,
            backward: both.saturating_sub(forward),
            met,
        })
    }

    /// Does something for every microbatch in its lane.
    fn each<'b, 'a>(
        &mut self,
        riders: &[Rider<'b, 'a, T>],
        mut work: impl FnMut(&mut Self, usize, &Rider<'b, 'a, T>),
    ) {
        for (lane, rider) in riders.iter().enumerate() {
            self.views.lane = lane;
            if riders.len() > 1 {
                let extent = self.check(&rider.batch.samples);
                debug_assert!(extent.is_ok(), "what was checked before");
            }
            work(self, lane, rider);
        }
    }

    fn forward_between(&mut self, stages: Range<usize>, rider: &Rider<'_, '_, T>) {
        let pass = Pass::Train(rider.batch.moment);
        let samples = &rider.batch.samples;
        self.forward_through(stages, samples, rider.extent, pass, |_, _, _| false);
    }

    /// Folds so many parts of so many words; how long that took.
    fn meet<F>(
        &mut self,
        meeting: Meeting,
        words: usize,
        parts: usize,
        fold: &mut impl FnMut(Joint<'_>) -> Result<(), F>,
    ) -> Result<Duration, F> {
        let began = Instant::now();
        fold(Joint {
            meeting,
            parts: &mut self.joints.parts[..words * parts],
            total: &mut self.joints.total[..words],
        })?;
        Ok(began.elapsed())
    }

    /// What a microbatch leaves for the running statistics of stages that the loss does not flow back to; a norm over all
    /// samples of a step has left it on the way forward.
    fn leave_statistics(&mut self, samples: usize, slot: usize) {
        let (device, views) = (&mut *self.device, &self.views);
        let slot = views.plan.places.slots[slot];
        for stage in views.plan.stages.iter().filter(|stage| !stage.backward) {
            if let Some(norm) = stage.kind.norm().filter(|norm| !norm.sync) {
                batch_norm::leave_sums(device, views, stage, norm, samples, slot);
            }
        }
    }
}
