//! The only binary: `trainyard`.
fn main() {}
