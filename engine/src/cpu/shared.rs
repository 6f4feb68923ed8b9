//! Memory that the threads of one operation share out among themselves.

use std::marker::PhantomData;
use std::ops::Range;

/// A mutable slice that several threads take disjoint parts of.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a, T> {
    start: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: parts are handed out by `part` alone, whose caller keeps them disjoint; `T` may then be used on any thread.
unsafe impl<T: Send> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    /// The whole of `slice`, to be shared out.
    pub fn new(slice: &'a mut [T]) -> Self {
        Shared {
            start: slice.as_mut_ptr(),
            len: slice.len(),
            slice: PhantomData,
        }
    }

    /// How much there is.
    pub fn len(&self) -> usize {
        self.len
    }

    /// One part; none if the whole is empty, as an absent operand is.
    ///
    /// # Safety
    /// No two parts that are alive at once overlap.
    pub unsafe fn part(&self, range: Range<usize>) -> &'a mut [T] {
        if self.len == 0 {
            return &mut [];
        }
        assert!(
            range.start <= range.end && range.end <= self.len,
            "{range:?} lies inside {}",
            self.len
        );
        // SAFETY: the range lies inside the slice that is borrowed for 'a, and overlaps no other living part.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}
