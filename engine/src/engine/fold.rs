//! The records of a step: slots, and the folded record R.

use crate::backend::View;
use crate::engine::Engine;
use crate::float::Float;
use crate::record::add_elements;

impl<T: Float> Engine<T> {
    /// Adds one slot's sums to another's, on all threads: each element is one sum of two.
    ///
    /// # Panics
    /// If one does not exist, both are the same, or the plan is not for training.
    pub fn add(&mut self, into: usize, from: usize) {
        let slots = [into, from].map(|slot| self.known_slot(slot));
        assert_ne!(into, from, "a slot is added to another");
        let (_, tail) = self.views.record();
        let [sums, addend] = slots.map(|slot| View {
            bytes: tail,
            ..slot
        });
        self.device.add(None, addend, sums);
        let tails = slots.map(|slot| View {
            offset: slot.offset + tail,
            bytes: slot.bytes - tail,
        });
        if let [into, from] = &mut self.device.many_mut(&tails)[..] {
            add_elements::<T>(tail, tail, into, from);
        }
    }

    /// Makes a slot's sums the folded record R, as for a gang of one whose microbatches are all summed: nothing is copied,
    /// the slot gets the memory that R had, and what is in it does not matter.
    ///
    /// # Panics
    /// If it does not exist, or the plan is not for training.
    pub fn fold_alone(&mut self, slot: usize) {
        self.known_slot(slot);
        let places = &mut self.views.plan.places;
        if let Some(record) = &mut places.record {
            std::mem::swap(record, &mut places.slots[slot]);
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
}
