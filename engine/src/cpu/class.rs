//! The name of what decides bits and speed on this machine.

/// Counts up whenever a kernel's arithmetic changes, so that gangs never mix two.
const KERNEL_SET: u32 = 2;

/// The device class of this machine's CPU: instruction set and kernel set, as in `cpu/x86-v4.2`.
pub fn device_class() -> String {
    format!("cpu/{}.{KERNEL_SET}", instruction_set())
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn instruction_set() -> &'static str {
    match pulp::Arch::new() {
        pulp::Arch::V4(_) => "x86-v4",
        pulp::Arch::V3(_) => "x86-v3",
        _ => "x86-v1",
    }
}

#[cfg(target_arch = "aarch64")]
fn instruction_set() -> &'static str {
    match pulp::Arch::new() {
        pulp::Arch::Neon(_) => "neon",
        _ => "scalar",
    }
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
fn instruction_set() -> &'static str {
    "scalar"
}
