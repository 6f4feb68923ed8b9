//! Whether a job's plan fits into the memory that there is, and if not, the largest batch that would.

use std::fmt;

use spec::Job;
use spec::bytes::Bytes;
use spec::job_file::default_microbatches;

use crate::plan::Plan;

/// Memory that one rank of a job can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// How much.
    pub bytes: u64,
    /// Where.
    pub whose: Whose,
}

/// Who gives memory to ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The workers of a cluster.
    Workers,
    /// This machine.
    Machine,
    /// A person, by a flag.
    Flag,
}

/// A job that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Memory that a rank needs, in bytes.
    pub needed_bytes: u64,
    /// Memory that a rank can have.
    pub room: Room,
    /// What most of the memory is for, and how much that is.
    pub most: (&'static str, u64),
    /// The entry of the model's lists that stores most, the path of its layer, and how much that is.
    pub layer: (usize, String, u64),
    /// The largest `batch_size` below the job's own that fits, if one does.
    pub largest: Option<u32>,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((kind, share), (_, path, stored)) = (self.most, &self.layer);
        let whose = match self.room.whose {
            Whose::Workers => "the workers have room for",
            Whose::Machine => "this machine has room for",
            Whose::Flag => "--memory allows",
        };
        write!(
            f,
            "the job does not fit: a rank needs {}, {} of it for {kind}, layer {path} storing most with {}, and {whose} {}; ",
            Bytes(self.needed_bytes),
            Bytes(share),
            Bytes(*stored),
            Bytes(self.room.bytes)
        )?;
        match self.largest {
            Some(batch) => write!(f, "the largest training.batch_size that fits is {batch}"),
            None => f.write_str("no training.batch_size fits: use fewer or smaller layers"),
        }
    }
}

/// Whether a job's plan fits. `memory` plans a changed job and tells what a rank of it needs, `None` where there is no plan.
///
/// # Errors
/// It does not.
pub fn fit(
    job: &Job,
    plan: &Plan,
    room: Room,
    memory: impl Fn(&Job) -> Option<u64>,
) -> Result<(), Box<Misfit>> {
    if plan.memory.total <= room.bytes {
        return Ok(());
    }
    let kinds = plan.memory.kinds;
    let shares = [
        ("activations", kinds.activations),
        ("gradients", kinds.gradients),
        ("optimizer state", kinds.optimizer),
        ("parameters", kinds.parameters),
        ("workspace", kinds.workspace),
        ("data and fold", kinds.data),
    ];
    let most = shares.into_iter().rev().max_by_key(|&(_, bytes)| bytes);
    // Of equals the first.
    let layer = plan
        .layers
        .iter()
        .rev()
        .max_by_key(|layer| layer.memory_bytes);
    Err(Box::new(Misfit {
        needed_bytes: plan.memory.total,
        room,
        most: most.unwrap_or_default(),
        layer: layer.map_or_else(Default::default, |layer| {
            (layer.entry, layer.path.clone(), layer.memory_bytes)
        }),
        largest: largest_batch(job, |job| {
            memory(job).is_some_and(|bytes| bytes <= room.bytes)
        }),
    }))
}

/// The largest `batch_size` below the job's own that `fits`, its microbatches chosen as a job file without them does where
/// the job's own are. What a rank needs depends on the size of its microbatches, so that multiples of their number are
/// the candidates; it grows with that size, so that the search halves.
fn largest_batch(job: &Job, fits: impl Fn(&Job) -> bool) -> Option<u32> {
    let (batch, count) = (job.training.batch_size, job.training.microbatches);
    let chosen = default_microbatches(batch) == count;
    let mut counts = vec![count];
    while let Some(&last) = counts.last()
        && chosen
        && last > 1
    {
        counts.push(last / 2);
    }
    counts.retain(|&count| count >= job.resources.ranks);
    counts.into_iter().find_map(|count| {
        let valid = |size: u32| !chosen || default_microbatches(size * count) == count;
        // Where the number is chosen, sizes that belong to it lie together.
        let sizes: Vec<u32> = if chosen {
            let below = (batch - 1) / count;
            (1..=below)
                .rev()
                .skip_while(|&size| !valid(size))
                .take_while(|&size| valid(size))
                .collect()
        } else {
            (1..=(batch - 1) / count).rev().collect()
        };
        let fits = |size: u32| {
            let mut smaller = job.clone();
            smaller.training.batch_size = size * count;
            smaller.training.microbatches = count;
            fits(&smaller)
        };
        // The sizes fall; the first that fits.
        let first = sizes.partition_point(|&size| !fits(size));
        sizes.get(first).map(|size| size * count)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(batch: u32, microbatches: Option<u32>, ranks: u32) -> Job {
        let microbatches = microbatches
            .map(|count| format!("microbatches = {count}\n"))
            .unwrap_or_default();
        let text = format!(
            "name = \"small\"\n[data]\ntrain = \"d/train\"\n[model]\nlayers = [\"flatten\", {{ linear = \"classes\" }}]\n\
             [training]\nsteps = 1\nbatch_size = {batch}\n{microbatches}[resources]\nranks = {ranks}\n"
        );
        spec::job_file::parse(&text).unwrap()
    }

    #[test]
    fn the_largest_batch_is_that_of_a_search_through_all() {
        for (batch, microbatches) in [
            (64, None),
            (200, None),
            (300, Some(16)),
            (96, Some(3)),
            (7, None),
        ] {
            let job = job(batch, microbatches, 1);
            for most in 0..job.microbatch_size() {
                let expected = (1..batch).rev().find(|&smaller| {
                    let count = match microbatches {
                        None => default_microbatches(smaller),
                        Some(count) => count,
                    };
                    let size = smaller.div_ceil(count);
                    smaller.div_ceil(size) == count && size as usize <= most
                });
                let found = largest_batch(&job, |job| job.microbatch_size() <= most);
                assert_eq!(found, expected, "{batch} {microbatches:?} {most}");
            }
        }
    }

    #[test]
    fn a_batch_is_not_cut_into_fewer_microbatches_than_there_are_ranks() {
        let found =
            |ranks| largest_batch(&job(64, None, ranks), |job| job.training.batch_size <= 40);
        assert_eq!(found(4), Some(40));
        assert_eq!(found(8), None, "8 microbatches need at least 57");
    }
}
