//! `trainyard doctor`: what this machine has, what it would offer, and what it would miss.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use serde::Serialize;
use spec::rates::{Kernel, Rates};
use worker::{cgroup, machine, rates};

use crate::arguments;
use crate::client::Client;
use crate::stop::{Code, Stop};
use crate::view::{Details, Format, bytes};

mod libraries;
mod processor;

use libraries::Library;

/// What this machine has.
#[derive(Debug, Serialize)]
struct Machine {
    /// The version of this program.
    version: &'static str,
    processor: String,
    features: Vec<&'static str>,
    device_class: String,
    /// Cores that this process may run on, and all that are switched on.
    cores: u32,
    cores_online: usize,
    /// Processor time that its control group allows, in cores.
    cgroup_cores: Option<f64>,
    memory_bytes: u64,
    memory_available_bytes: Option<u64>,
    cgroup_memory_bytes: Option<u64>,
    /// What `worker start` would offer.
    offer: Offered,
    disk: Disk,
    coordinator: Coordinator,
    gpus: Vec<String>,
    libraries: Vec<Library>,
    /// Measured now.
    rates: Rates,
}

#[derive(Debug, Serialize)]
struct Offered {
    threads: u32,
    memory_bytes: u64,
}

/// The disk that a data directory is or would be on.
#[derive(Debug, Serialize)]
struct Disk {
    data_dir: PathBuf,
    free_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Coordinator {
    url: String,
    answers: bool,
    /// Why it does not answer.
    reason: Option<String>,
    /// Whether one could listen there; `None` where one answers, or the address is not this machine's.
    port_free: Option<bool>,
}

/// Looks and prints. What is missing is no failure.
///
/// # Errors
/// Rates that cannot be measured: no memory, no threads or no loopback.
pub async fn run(options: &arguments::Doctor, url: &str, format: Format) -> Result<(), Stop> {
    let processor = processor::processor();
    let limits = cgroup::limits();
    let cores = machine::cores();
    let offer = machine::cpu_offer(cores, 1);
    let machine = Machine {
        version: env!("CARGO_PKG_VERSION"),
        processor: processor.name,
        features: processor.features,
        device_class: offer.device_class.clone(),
        cores,
        cores_online: processor::cores_online(),
        cgroup_cores: limits.cores,
        memory_bytes: machine::memory_bytes(),
        memory_available_bytes: machine::available_bytes(),
        cgroup_memory_bytes: limits.memory_bytes,
        offer: Offered {
            threads: offer.threads,
            memory_bytes: offer.memory_bytes,
        },
        disk: disk(&options.data_dir),
        coordinator: coordinator(url).await,
        gpus: libraries::gpus(),
        libraries: libraries::libraries(),
        rates: measured().await?,
    };
    format.details(&machine);
    Ok(())
}

/// How fast this machine is.
async fn measured() -> Result<Rates, Stop> {
    let measured = tokio::task::spawn_blocking(|| rates::measure(&|| true)).await;
    let rates = measured
        .map_err(Stop::failed)?
        .map_err(|failure| Stop::of(failure, Code::Failed))?;
    rates.ok_or_else(|| Stop::failed("the measurement was stopped"))
}

/// The free space where a folder is, or where its nearest parent is.
fn disk(data_dir: &Path) -> Disk {
    let whole = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_path_buf());
    let free = |folder: &Path| {
        let disk = rustix::fs::statvfs(folder).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    };
    Disk {
        data_dir: data_dir.to_path_buf(),
        free_bytes: whole.ancestors().find_map(free),
    }
}

async fn coordinator(url: &str) -> Coordinator {
    let answer = Client::connect(url).await;
    let (answers, reason) = match answer {
        Ok(_) => (true, None),
        Err(stop) => (false, Some(stop.message)),
    };
    let port_free = if answers { None } else { port_free(url) };
    Coordinator {
        url: url.to_string(),
        answers,
        reason,
        port_free,
    }
}

/// Whether the port of a URL with an address of this machine can be listened on.
fn port_free(url: &str) -> Option<bool> {
    let address = url.strip_prefix("http://")?.trim_end_matches('/');
    let address: std::net::SocketAddr = address.parse().ok()?;
    match TcpListener::bind(address) {
        Ok(_) => Some(true),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Some(false),
        Err(_) => None,
    }
}

impl Details for Machine {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let unknown = || "-".to_string();
        let cores = format!("{} of {}", self.cores, self.cores_online);
        let group_cores = self
            .cgroup_cores
            .map(|cores| format!(", {cores} by control group"));
        let available = self
            .memory_available_bytes
            .map(|free| format!(", {} available", bytes(free)));
        let group_memory = self
            .cgroup_memory_bytes
            .map(|limit| format!(", {} by control group", bytes(limit)));
        let libraries: Vec<String> = self
            .libraries
            .iter()
            .map(|library| match &library.path {
                Some(path) => format!("{}: {}", library.name, path.display()),
                None => format!("{}: not found", library.name),
            })
            .collect();
        let gpus = if self.gpus.is_empty() {
            "none".to_string()
        } else {
            self.gpus.join("\n")
        };
        vec![
            ("version", self.version.to_string()),
            ("processor", self.processor.clone()),
            ("features", self.features.join(" ")),
            ("device class", self.device_class.clone()),
            ("cores", cores + &group_cores.unwrap_or_default()),
            (
                "memory",
                bytes(self.memory_bytes)
                    + &available.unwrap_or_default()
                    + &group_memory.unwrap_or_default(),
            ),
            (
                "worker offers",
                format!(
                    "cpu:{} and {}",
                    self.offer.threads,
                    bytes(self.offer.memory_bytes)
                ),
            ),
            (
                "disk",
                format!(
                    "{} free for {}",
                    self.disk.free_bytes.map_or_else(unknown, bytes),
                    self.disk.data_dir.display()
                ),
            ),
            ("coordinator", self.coordinator.said()),
            ("gpus", gpus),
            ("libraries", libraries.join("\n")),
            ("rates", self.rates_said()),
        ]
    }
}

impl Machine {
    /// The rates that people know: what one thread computes, moves and waits for.
    fn rates_said(&self) -> String {
        let rates = &self.rates;
        let per_s = |seconds: f64| if seconds > 0.0 { 1e-9 / seconds } else { 0.0 };
        let flops = |kernel: Kernel| {
            let rate = rates.kernels.get(&kernel).copied().unwrap_or_default();
            format!("{}: {:.0} GFLOP/s", kernel.word(), per_s(rate.flop_s))
        };
        let kernels = [
            Kernel::LinearForward,
            Kernel::LinearBackward,
            Kernel::ConvForward,
            Kernel::ConvBackward,
        ];
        let mut lines: Vec<String> = kernels.map(flops).to_vec();
        lines.push(format!("memory: {:.1} GB/s", per_s(rates.far_byte_s)));
        lines.push(format!(
            "fold over loopback: {:.0} us, {:.1} GB/s",
            1e6 * rates.fold_s,
            per_s(rates.fold_byte_s)
        ));
        lines.push(format!(
            "a further thread adds {:.0} %",
            100.0 * rates.thread_gain
        ));
        lines.push(format!(
            "beside busy cores {:.2} x as long",
            rates.crowding.max(1.0)
        ));
        lines.push(format!(
            "a step takes {:.0} us beside kernels",
            1e6 * rates.step_s
        ));
        lines.join("\n")
    }
}

impl Coordinator {
    fn said(&self) -> String {
        let port = match self.port_free {
            Some(true) => "\nthe port is free",
            Some(false) => "\nthe port is in use",
            None => "",
        };
        match &self.reason {
            None => format!("answers at {}", self.url),
            Some(reason) => format!("{reason}{port}"),
        }
    }
}
