//! Accepts jobs, decides, owns the truth.
