//! One aligned allocation for all buffers of a plan, touched once, and views of it that do not overlap.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

use bytemuck::Pod;

use crate::backend::View;
use crate::error::Error;

/// Pages are touched by this stride.
const PAGE: usize = 4096;

/// The bytes of a plan.
pub(crate) struct Arena {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the arena owns its bytes as a `Vec<u8>` would, and gives them out under the usual rules of borrowing.
unsafe impl Send for Arena {}
// SAFETY: as above; `&Arena` only reads.
unsafe impl Sync for Arena {}

impl Arena {
    /// Zeros of `bytes`, every page of them present.
    pub fn new(bytes: u64) -> Result<Arena, Error> {
        let refused = || Error::Memory { bytes };
        let size = usize::try_from(bytes).map_err(|_| refused())?.max(PAGE);
        let layout = Layout::from_size_align(size, PAGE).map_err(|_| refused())?;
        // SAFETY: the layout has a size above 0.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or_else(refused)?;
        let mut arena = Arena { start, layout };
        for page in arena
            .view_mut(View {
                offset: 0,
                bytes: size,
            })
            .chunks_mut(PAGE)
        {
            // Not elided: a page that was never written has no memory behind it yet.
            std::hint::black_box(&mut *page)[0] = 0;
        }
        Ok(arena)
    }

    fn check(&self, view: View) {
        let end = view.offset.checked_add(view.bytes);
        assert!(
            end.is_some_and(|end| end <= self.layout.size()),
            "{view:?} lies inside the arena"
        );
    }

    /// The bytes of one view.
    pub fn view(&self, view: View) -> &[u8] {
        self.check(view);
        // SAFETY: the view lies inside the allocation, which is initialised and borrowed with `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(view.offset), view.bytes) }
    }

    /// The bytes of one view, to write.
    pub fn view_mut(&mut self, view: View) -> &mut [u8] {
        let [bytes] = self.split([view]);
        bytes
    }

    /// The bytes of several views, to write.
    ///
    /// # Panics
    /// If two of them overlap: the plan keeps operands of one operation apart.
    pub fn split<const N: usize>(&mut self, views: [View; N]) -> [&mut [u8]; N] {
        check_apart(&views);
        views.map(|view| {
            self.check(view);
            // SAFETY: the view lies inside the allocation, overlaps no other of `views`, and `self` stays borrowed.
            unsafe {
                std::slice::from_raw_parts_mut(self.start.as_ptr().add(view.offset), view.bytes)
            }
        })
    }

    /// [`Arena::split`] for a number of views known at run time.
    pub fn split_many(&mut self, views: &[View]) -> Vec<&mut [u8]> {
        check_apart(views);
        let slice = |&view: &View| {
            self.check(view);
            // SAFETY: as in `split`.
            unsafe {
                std::slice::from_raw_parts_mut(self.start.as_ptr().add(view.offset), view.bytes)
            }
        };
        views.iter().map(slice).collect()
    }

    /// [`Arena::split`] as numbers.
    pub fn numbers<T: Pod, const N: usize>(&mut self, views: [View; N]) -> [&mut [T]; N] {
        self.split(views).map(bytemuck::cast_slice_mut)
    }
}

fn check_apart(views: &[View]) {
    for (index, one) in views.iter().enumerate() {
        for other in &views[..index] {
            let apart =
                one.offset + one.bytes <= other.offset || other.offset + other.bytes <= one.offset;
            assert!(
                apart || one.bytes == 0 || other.bytes == 0,
                "{one:?} and {other:?} do not overlap"
            );
        }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: `start` came from `alloc_zeroed` with this layout.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_apart_zero_at_first_and_keep_what_is_written() {
        let mut arena = Arena::new(128).unwrap();
        let (left, right) = (
            View {
                offset: 0,
                bytes: 64,
            },
            View {
                offset: 64,
                bytes: 64,
            },
        );
        let [a, b] = arena.numbers::<f32, 2>([left, right]);
        assert!(a.iter().chain(b.iter()).all(|&value| value == 0.0));
        (a[3], b[3]) = (1.0, 2.0);
        assert_eq!(bytemuck::cast_slice::<u8, f32>(arena.view(right))[3], 2.0);
    }

    #[test]
    #[should_panic(expected = "do not overlap")]
    fn overlapping_views_are_refused() {
        let mut arena = Arena::new(128).unwrap();
        arena.split([
            View {
                offset: 0,
                bytes: 65,
            },
            View {
                offset: 64,
                bytes: 64,
            },
        ]);
    }

    #[test]
    #[should_panic(expected = "inside the arena")]
    fn a_view_past_the_end_is_refused() {
        Arena::new(PAGE as u64).unwrap().view(View {
            offset: PAGE - 1,
            bytes: 2,
        });
    }

    #[test]
    fn more_memory_than_there_is_is_an_error() {
        assert!(matches!(Arena::new(u64::MAX), Err(Error::Memory { .. })));
    }
}
