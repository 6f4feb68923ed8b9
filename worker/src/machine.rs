//! What this machine is: its name, its cores and its memory.

use std::time::Duration;

use plan::{Room, Whose};
use rustix::system::uname;
use rustix::thread::sched_getaffinity;
use rustix::time::{ClockId, clock_gettime};
use spec::job::Device;
use spec::offer::Offer;

use crate::cgroup;

/// The share of the machine's memory that ranks may use, in percent.
const MEMORY_SHARE: u64 = 90;

/// The machine's name, made fit for a worker's name.
pub fn host_name() -> String {
    let name = uname().nodename().to_string_lossy().to_lowercase();
    let fit: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' || c == '-' {
                c
            } else {
                '-'
            }
        })
        .collect();
    let fit = fit.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    if fit.is_empty() {
        "worker".to_string()
    } else {
        fit.to_string()
    }
}

/// A name for the machine that no other has, the same until it is started anew.
pub fn identity() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    format!("{} {}", host_name(), boot.trim())
}

/// A clock that only goes forward.
pub fn clock() -> Duration {
    read(ClockId::Monotonic)
}

/// How long this thread has computed: what else runs on the machine does not count.
pub fn thread_time() -> Duration {
    read(ClockId::ThreadCPUTime)
}

fn read(clock: ClockId) -> Duration {
    let now = clock_gettime(clock);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

/// Cores that this process may run on.
pub fn cores() -> u32 {
    sched_getaffinity(None).map_or(1, |set| set.count().max(1))
}

/// Memory of the machine, in bytes.
pub fn memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram as u64 * u64::from(info.mem_unit.max(1))
}

/// Memory of the machine, or what this process's control groups allow of it, in bytes.
pub fn usable_bytes() -> u64 {
    let limit = cgroup::limits().memory_bytes.unwrap_or(u64::MAX);
    memory_bytes().min(limit)
}

/// Memory of the machine that programs could take now without swapping, in bytes. `None` where the kernel does not tell.
pub fn available_bytes() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim()
        .strip_suffix("kB")?
        .trim_end()
        .parse::<u64>()
        .ok()?
        .checked_mul(1024)
}

/// Memory of this process that is in RAM, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resident {
    /// Now.
    pub now: u64,
    /// The most since it started.
    pub peak: u64,
}

/// Memory of this process that is in RAM. `None` where the kernel does not tell.
pub fn resident() -> Option<Resident> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let bytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        let kibibytes = line.trim().strip_suffix("kB")?.trim_end();
        kibibytes.parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(Resident {
        now: bytes("VmRSS:")?,
        peak: bytes("VmHWM:")?,
    })
}

/// `threads` thread slots of this machine and a share of the memory that it may use that leaves room for `workers` such offers.
pub fn cpu_offer(threads: u32, workers: u32) -> Offer {
    Offer {
        device: Device::Cpu,
        device_class: engine::device_class(),
        threads,
        memory_bytes: usable_bytes() / 100 * MEMORY_SHARE / u64::from(workers.max(1)),
    }
}

/// The memory that one rank of this process can have on this machine.
pub fn room() -> Room {
    Room {
        bytes: cpu_offer(1, 1).memory_bytes,
        whose: Whose::Machine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_written_becomes_resident_and_the_peak_stays_when_it_is_given_back() {
        const BYTES: usize = 64 << 20;
        let before = resident().expect("this is Linux");
        let written = std::hint::black_box(vec![1u8; BYTES]);
        let held = resident().expect("this is Linux");
        drop(written);
        let after = resident().expect("this is Linux");
        // Counters of pages lag behind a little.
        assert!(held.now >= before.now + BYTES as u64 / 4 * 3);
        assert!(after.peak >= held.now / 4 * 3 && after.peak >= before.now + BYTES as u64 / 4 * 3);
    }
}
