//! The table where ranks meet: moves bytes and owns the schedule of the fold.
