//! The device that runs them.

use std::marker::PhantomData;

use crate::backend::{Memory, View};
use crate::cpu::arena::Arena;
use crate::float::Float;

/// An arena of `T`, and plain loops.
pub(crate) struct Reference<T> {
    /// All buffers.
    pub arena: Arena,
    number: PhantomData<T>,
}

impl<T: Float> Reference<T> {
    /// Over `arena`.
    pub fn new(arena: Arena) -> Self {
        Reference {
            arena,
            number: PhantomData,
        }
    }

    /// Views as numbers, an absent one as none.
    pub fn numbers<const N: usize>(&mut self, views: [Option<View>; N]) -> [&mut [T]; N] {
        self.arena
            .numbers(views.map(|view| view.unwrap_or(View::EMPTY)))
    }
}

impl<T: Float> Memory for Reference<T> {
    fn bytes(&self, view: View) -> &[u8] {
        self.arena.view(view)
    }

    fn bytes_mut(&mut self, view: View) -> &mut [u8] {
        self.arena.view_mut(view)
    }

    fn many_mut(&mut self, views: &[View]) -> Vec<&mut [u8]> {
        self.arena.split_many(views)
    }
}
