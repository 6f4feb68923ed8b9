//! What a worker offers and what a gang asks for.

use serde::{Deserialize, Serialize};

use crate::job::Device;

/// What a worker offers to gangs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The kind of device.
    pub device: Device,
    /// The device class, which decides bits and speed: `cpu/x86-v4.2`.
    pub device_class: String,
    /// Thread slots.
    pub threads: u32,
    /// Memory that ranks may use, in bytes.
    pub memory_bytes: u64,
}

/// What a gang asks for, the same for each rank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GangRequest {
    /// The kind of device.
    pub device: Device,
    /// Ranks, all or none.
    pub ranks: u32,
    /// Thread slots of each rank, on one worker.
    pub threads: u32,
    /// Memory of each rank, from the Plan, in bytes.
    pub memory_bytes: u64,
    /// The device class that the job is bound to, once an attempt has run.
    pub device_class: Option<String>,
}
