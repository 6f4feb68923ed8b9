//! What this machine is: its name, its cores and its memory.

use rustix::system::uname;
use rustix::thread::sched_getaffinity;
use spec::job::Device;
use spec::offer::Offer;

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

/// Cores that this process may run on.
pub fn cores() -> u32 {
    sched_getaffinity(None).map_or(1, |set| set.count().max(1))
}

/// Memory of the machine, in bytes.
pub fn memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram as u64 * u64::from(info.mem_unit.max(1))
}

/// `threads` thread slots of this machine and a share of its memory that leaves room for `workers` such offers.
pub fn cpu_offer(threads: u32, workers: u32) -> Offer {
    Offer {
        device: Device::Cpu,
        device_class: engine::device_class(),
        threads,
        memory_bytes: memory_bytes() / 100 * MEMORY_SHARE / u64::from(workers.max(1)),
    }
}
