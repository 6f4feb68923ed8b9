//! The device: an arena, the rank's threads, and the widest instruction set of the machine.

use std::sync::Arc;

use crate::backend::{Memory, View};
use crate::cpu::arena::Arena;
use crate::pool::Pool;

/// The CPU in f32.
pub(crate) struct Cpu {
    /// All buffers.
    pub arena: Arena,
    /// The rank's threads.
    pub pool: Arc<Pool>,
    /// The widest instruction set.
    pub arch: pulp::Arch,
}

impl Cpu {
    /// Over `arena`, on the threads of `pool`.
    pub fn new(arena: Arena, pool: Arc<Pool>) -> Self {
        Cpu {
            arena,
            pool,
            arch: pulp::Arch::new(),
        }
    }
}

impl Memory for Cpu {
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
