//! Input that is refused.
