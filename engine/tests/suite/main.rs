//! The engine from outside: against PyTorch's numbers, against finite differences, against its own plain loops, and
//! against itself on other threads, slots and slicings.

mod differences;
mod exactness;
mod fast;
mod networks;
mod pytorch;
mod refusals;
