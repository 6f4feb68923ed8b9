//! The sections `[resources]` and `[checkpoint]`.

use crate::job::{Checkpointing, Device, Resources};
use crate::job_file::field::Section;
use crate::job_file::found::Found;
use crate::job_file::keys;
use crate::job_file::training::MOST_MICROBATCHES;

const MOST_THREADS: u32 = 1024;
const MOST_STEPS: u64 = 1_000_000_000_000;
const MOST_KEPT: u32 = 1_000_000;

/// Reads `[resources]`.
pub(super) fn resources(section: &Section<'_>, found: &mut Found) -> Option<Resources> {
    let device = section.or("device", Device::Cpu, found, |field, found| {
        field.word(keys::DEVICES, found).map(|_| Device::Cpu)
    });
    let ranks = section.or("ranks", 1, found, |field, found| {
        field.count(MOST_MICROBATCHES, found)
    });
    let threads = section.or("threads", 1, found, |field, found| {
        field.count(MOST_THREADS, found)
    });
    Some(Resources {
        device: device?,
        ranks: ranks?,
        threads: threads?,
    })
}

/// Reads `[checkpoint]`.
pub(super) fn checkpoint(section: &Section<'_>, found: &mut Found) -> Option<Checkpointing> {
    let every_steps = section.or("every_steps", None, found, |field, found| {
        field.whole(1, MOST_STEPS, found).map(Some)
    });
    let keep_last = section.or("keep_last", 3, found, |field, found| {
        field.count(MOST_KEPT, found)
    });
    let keep_best = section.or("keep_best", 1, found, |field, found| {
        field
            .whole(0, u64::from(MOST_KEPT), found)
            .map(|kept| kept as u32)
    });
    Some(Checkpointing {
        every_steps: every_steps?,
        keep_last: keep_last?,
        keep_best: keep_best?,
    })
}
