//! Trainyard as people use it: the real binary, real processes, real files. A main road, processes that are killed, and
//! input that is refused.

mod best;
mod endings;
mod exchange;
mod kills;
mod main_road;
mod memory;
mod process;
mod readme;
mod refusals;
mod sequences;
mod tools;
mod training;
mod yard;
