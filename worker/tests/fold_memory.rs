//! What the plan counts for the fold is never less than what a gang keeps for it.

use collective::{Fence, Gang, local};

#[test]
fn the_plan_counts_at_least_what_a_gang_keeps_for_the_fold() {
    for microbatches in [1, 2, 3, 5, 8, 31, 64, 100, 256, 1000] {
        for ranks in (1..=9).filter(|&ranks| ranks <= microbatches) {
            let counted = plan::collective_bytes(ranks, microbatches);
            for seat in local::table(ranks as usize) {
                let gang =
                    Gang::new(Box::new(seat), Fence([0; 3]), 16 << 20, microbatches).unwrap();
                let kept = gang.scratch_bytes() as u64;
                assert!(
                    kept <= counted,
                    "{ranks} ranks, {microbatches} microbatches: {kept} bytes kept, {counted} counted"
                );
            }
        }
    }
}
