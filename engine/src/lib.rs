//! Runs a plan on a device. Knows no job and no network.
