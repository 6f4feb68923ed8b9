//! The engine's own threads. One thread is the caller itself.

use rayon::prelude::*;

use crate::error::Error;

/// As many threads as the rank was given.
pub(crate) struct Pool {
    threads: usize,
    rayon: Option<rayon::ThreadPool>,
}

impl Pool {
    /// A pool of `threads`.
    pub fn new(threads: usize) -> Result<Pool, Error> {
        let build = || {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .thread_name(|n| format!("engine-{n}"))
                .build()
        };
        Ok(Pool {
            threads,
            rayon: if threads > 1 { Some(build()?) } else { None },
        })
    }

    /// Runs `work` on a thread of the pool, so that what it hands out next needs no hand-over.
    pub fn enter<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.rayon {
            Some(rayon) => rayon.install(work),
            None => work(),
        }
    }

    /// Runs `work(thread, index)` for every index below `count`, in any order, at most one per thread at a time.
    pub fn for_each(&self, count: usize, work: impl Fn(usize, usize) + Sync) {
        match &self.rayon {
            Some(rayon) if count > 1 => rayon.install(|| {
                (0..count)
                    .into_par_iter()
                    .with_max_len(1)
                    .for_each(|index| {
                        work(
                            rayon::current_thread_index().expect("a thread of the pool"),
                            index,
                        );
                    });
            }),
            _ => (0..count).for_each(|index| work(0, index)),
        }
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.threads
    }
}
