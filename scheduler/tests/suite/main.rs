//! The scheduler's behaviour, told through its public face: sentences first, then random events, then a simulated yard.

mod agenda;
mod deeds;
mod machine;
mod simulation;
mod yard;

mod cancelling;
mod failures;
mod gangs;
mod leases;
mod queueing;
mod random_events;
mod restarts;
mod simulated;
