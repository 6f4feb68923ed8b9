//! The generated messages, clients and servers of package `trainyard.v1`. Only boundary files use them.
#![allow(missing_docs, clippy::all, clippy::pedantic, rustdoc::all)]

tonic::include_proto!("trainyard.v1");
