//! Why a job is not running: what it waits for, what is ending it, or what ended it. A value, not a text.

use std::fmt;

use serde::{Deserialize, Serialize};
use spec::JobId;
use spec::job::Device;

use crate::cause::Cause;
use crate::time::Time;

/// Why a job is not running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No worker offers this kind of device.
    NoWorkers {
        /// The kind that is asked for.
        device: Device,
    },
    /// The job is bound to a device class that no worker offers.
    WaitingForDeviceClass {
        /// The class.
        device_class: String,
    },
    /// No worker could hold one rank even if it were idle.
    NoWorkerLargeEnough {
        /// Thread slots that a rank needs.
        threads: u32,
        /// Memory that a rank needs, in bytes.
        memory_bytes: u64,
        /// Thread slots of the worker with most.
        most_threads: u32,
        /// Memory of the worker with most, in bytes.
        most_memory_bytes: u64,
    },
    /// The workers of no device class could hold the gang even if they were idle.
    GangTooLarge {
        /// Ranks of the gang.
        ranks: u32,
        /// Ranks that the workers of one class could hold.
        room: u32,
    },
    /// It waits for thread slots that others use.
    WaitingForThreads {
        /// Thread slots that the gang needs.
        needed: u64,
        /// Thread slots that are free in portions of a rank's size.
        free: u64,
    },
    /// It waits for memory that others use.
    WaitingForMemory {
        /// Memory that the gang needs, in bytes.
        needed_bytes: u64,
        /// Memory that is free in portions of a rank's size, in bytes.
        free_bytes: u64,
    },
    /// There is enough of everything, but not on the same workers.
    WaitingForRoom {
        /// Ranks of the gang.
        ranks: u32,
        /// Ranks that there is room for.
        room: u32,
    },
    /// It waits for its turn.
    Behind {
        /// The first job of the queue that waits for devices.
        job: JobId,
    },
    /// An attempt failed and another follows.
    BackingOff {
        /// Not before this.
        until: Time,
        /// The whole wait, in milliseconds.
        wait_ms: u64,
        /// Why the attempt failed.
        cause: Box<Cause>,
    },
    /// An attempt failed and its ranks are being stopped.
    Stopping {
        /// Why, as far as is known.
        cause: Box<Cause>,
    },
    /// A person cancelled it and its ranks are being stopped.
    Cancelling,
    /// A person cancelled it.
    Cancelled,
    /// It failed in a way that no other attempt will do better.
    Failed {
        /// Why.
        cause: Box<Cause>,
    },
    /// It failed too often.
    GaveUp {
        /// Failed attempts in a row without a newer checkpoint.
        failures: u32,
        /// Why the last of them failed.
        cause: Box<Cause>,
    },
    /// It asks for no rank at all.
    EmptyGang,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoWorkers { device: Device::Cpu } => {
                f.write_str("waiting for a worker that offers cpu slots: start one with `trainyard worker start`")
            }
            Reason::WaitingForDeviceClass { device_class } => {
                write!(f, "waiting for a worker of device class {device_class}, which the job has run on")
            }
            Reason::NoWorkerLargeEnough { threads, memory_bytes, most_threads, most_memory_bytes } => write!(
                f,
                "no worker is large enough: a rank needs {threads} threads and {}, the largest offers have \
                 {most_threads} threads and {}",
                Mebibytes(*memory_bytes),
                Mebibytes(*most_memory_bytes)
            ),
            Reason::GangTooLarge { ranks, room } => {
                write!(f, "the gang has {ranks} ranks, the workers of one device class have room for {room}")
            }
            Reason::WaitingForThreads { needed, free } => {
                write!(f, "waiting for {needed} thread slots, {free} are free")
            }
            Reason::WaitingForMemory { needed_bytes, free_bytes } => {
                write!(f, "waiting for {} of memory, {} is free", Mebibytes(*needed_bytes), Mebibytes(*free_bytes))
            }
            Reason::WaitingForRoom { ranks, room } => {
                write!(f, "waiting for room for {ranks} ranks at once, there is room for {room}")
            }
            Reason::Behind { job } => write!(f, "waiting behind {job}"),
            Reason::BackingOff { wait_ms, cause, .. } => {
                write!(f, "trying again {:.1} s after the last failure: {cause}", *wait_ms as f64 / 1000.0)
            }
            Reason::Stopping { cause } => write!(f, "stopping: {cause}"),
            Reason::Cancelling => f.write_str("being cancelled"),
            Reason::Cancelled => f.write_str("cancelled"),
            Reason::Failed { cause } => write!(f, "{cause}"),
            Reason::GaveUp { failures: 1, cause } => write!(f, "gave up after a failure: {cause}"),
            Reason::GaveUp { failures, cause } => {
                write!(f, "gave up after {failures} failures in a row without a newer checkpoint, the last: {cause}")
            }
            Reason::EmptyGang => f.write_str("the job asks for 0 ranks: at least 1 is needed"),
        }
    }
}

struct Mebibytes(u64);

impl fmt::Display for Mebibytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB", self.0.div_ceil(1 << 20))
    }
}
