//! The worker: an agent process per machine that offers devices, and the rank processes it starts. A rank compiles the
//! plan and runs the step loop; what it needs of the rest of the world is a depot and a gang.
#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!(
    "trainyard runs on Linux: it stands on pidfds, parent-death signals and affinity masks"
);

pub mod agent;
pub mod cgroup;
pub mod client;
pub mod depot;
pub mod machine;
pub mod rank;
pub mod rates;
pub mod training;
