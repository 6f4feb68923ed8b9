//! Peers that are from elsewhere, leave, disagree or talk nonsense: refused, and named.

use std::io::{self, IoSlice, IoSliceMut};

use super::*;
use crate::error::Evidence;
use crate::frame::HEADER;

#[test]
fn a_rank_under_another_fence_is_refused_and_learns_why() {
    let stale = Fence([7, 1, 9]);
    for (_, table) in TABLES {
        let errors = each(table(2), |seat| {
            let fence = if seat.rank() == CULPRIT { stale } else { FENCE };
            let mut gang = Gang::new(seat, fence, 64, 2).unwrap();
            gang.gather(1, &[0; 32], LONG).unwrap_err()
        });
        let mut tokens = errors.iter().map(|error| match error {
            Error::Fenced {
                rank, ours, theirs, ..
            } => Some((*rank, *ours, *theirs)),
            _ => None,
        });
        assert_eq!(tokens.next(), Some(Some((1, FENCE, stale))), "{errors:?}");
        assert_eq!(tokens.next(), Some(Some((0, stale, FENCE))), "{errors:?}");
    }
}

#[test]
fn a_rank_that_leaves_early_is_lost_and_one_that_leaves_in_time_is_not_missed() {
    let case = case();
    for (_, table) in TABLES {
        let errors = each(table(2), |seat| {
            let mut gang = case.gang(seat);
            gang.gather(1, &[0; 32], LONG).unwrap();
            (gang.rank() != CULPRIT).then(|| gang.gather(2, &[0; 32], LONG).unwrap_err())
        });
        let left = |error: &Error| {
            matches!(
                error,
                Error::LostPeer {
                    rank: CULPRIT,
                    operation: 2,
                    evidence: Evidence::Left,
                    ..
                }
            )
        };
        assert!(errors[0].as_ref().is_some_and(left), "{errors:?}");
    }
}

#[test]
fn ranks_that_disagree_about_the_step_find_out() {
    let case = case();
    for (_, table) in TABLES {
        let errors = each(table(2), |seat| {
            let mut gang = case.gang(seat);
            let present = 8 - gang.rank() as u32;
            case.fold(&mut gang, 1, present, LONG).unwrap_err()
        });
        assert!(
            errors
                .iter()
                .any(|error| matches!(error, Error::Protocol { .. })),
            "{errors:?}"
        );
        assert!(
            errors.iter().all(|error| error.culprit().is_some()),
            "{errors:?}"
        );

        let errors = each(table(2), |seat| {
            let mut gang = case.gang(seat);
            let operation = 3 + gang.rank() as u64;
            case.fold(&mut gang, operation, 8, LONG).unwrap_err()
        });
        assert!(
            errors
                .iter()
                .any(|error| matches!(error, Error::Protocol { .. })),
            "{errors:?}"
        );
    }
}

/// A seat that flips bits of one byte of what it sends.
struct Garbling {
    seat: Box<dyn Transport>,
    sent: usize,
    at: usize,
    mask: u8,
}

impl Transport for Garbling {
    fn rank(&self) -> usize {
        self.seat.rank()
    }

    fn ranks(&self) -> usize {
        self.seat.ranks()
    }

    fn address(&self, peer: usize) -> String {
        self.seat.address(peer)
    }

    fn send(&mut self, peer: usize, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        if let Some(byte) = self
            .at
            .checked_sub(self.sent)
            .and_then(|at| bytes.get_mut(at))
        {
            *byte ^= self.mask;
        }
        let sent = self.seat.send(peer, &[IoSlice::new(&bytes)])?;
        self.sent += sent;
        Ok(sent)
    }

    fn receive(&mut self, peer: usize, parts: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.seat.receive(peer, parts)
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        self.seat.wait(timeout)
    }
}

#[test]
fn every_flipped_bit_of_a_header_is_found_and_its_sender_named() {
    let case = case();
    for bit in 0..HEADER * 8 {
        let results = each(local_table(2), |seat| {
            if seat.rank() == 0 {
                return case.fold(&mut case.gang(seat), 1, 8, LONG);
            }
            let (at, mask) = (bit / 8, 1 << (bit % 8));
            case.fold(
                &mut case.gang(Box::new(Garbling {
                    seat,
                    sent: 0,
                    at,
                    mask,
                })),
                1,
                8,
                LONG,
            )
        });
        let error = results[0].as_ref().unwrap_err();
        assert_eq!(error.culprit(), Some(1), "bit {bit}: {error}");
        assert!(
            matches!(error, Error::Protocol { .. } | Error::Fenced { .. }),
            "bit {bit}: {error}"
        );
    }
}

#[test]
fn noise_is_refused_whole_or_cut() {
    let case = case();
    for (_, table) in TABLES {
        for length in [1, HEADER - 1, HEADER, 1000] {
            let results = each(table(2), |mut seat| {
                if seat.rank() == 0 {
                    return Some(case.fold(&mut case.gang(seat), 1, 8, LONG).unwrap_err());
                }
                let noise: Vec<u8> = (0..length).map(|at| (at * 151 + 7) as u8).collect();
                assert_eq!(seat.send(0, &[IoSlice::new(&noise)]).unwrap(), length);
                None
            });
            match results[0].as_ref() {
                Some(Error::LostPeer { rank: 1, .. }) if length < HEADER => {}
                Some(Error::Protocol { rank: 1, what, .. }) if length >= HEADER => {
                    assert_eq!(what.field, "magic");
                }
                other => panic!("{length} bytes of noise: {other:?}"),
            }
        }
    }
}
