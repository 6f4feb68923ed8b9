//! Peers that die or stop, at any byte: whoever is to blame is named, on every rank, over every transport.

use std::io::{self, IoSlice, IoSliceMut};
use std::sync::{Arc, Condvar, Mutex};

use super::*;

/// A seat whose fuse blows when it has sent so many bytes.
struct Faulty {
    seat: Option<Box<dyn Transport>>,
    fuse: usize,
    fault: Fault,
}

enum Fault {
    /// The process is gone.
    Dies,
    /// The process is stopped, until so many others are through and it finds itself alone.
    Stops(Arc<Through>),
}

/// Counts the ranks that have finished or failed.
#[derive(Default)]
struct Through {
    ranks: Mutex<usize>,
    changed: Condvar,
}

impl Faulty {
    /// The seat, if it still works.
    fn seat(&mut self) -> io::Result<&mut Box<dyn Transport>> {
        if self.fuse == 0 {
            match &self.fault {
                Fault::Dies => self.seat = None,
                Fault::Stops(through) => {
                    let ranks = through.ranks.lock().unwrap();
                    drop(
                        through
                            .changed
                            .wait_while(ranks, |ranks| *ranks < 2)
                            .unwrap(),
                    );
                }
            }
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        self.seat
            .as_mut()
            .ok_or_else(|| io::ErrorKind::ConnectionReset.into())
    }
}

impl Transport for Faulty {
    fn rank(&self) -> usize {
        CULPRIT
    }

    fn ranks(&self) -> usize {
        3
    }

    fn address(&self, peer: usize) -> String {
        format!("seat {peer}")
    }

    fn send(&mut self, peer: usize, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let fuse = self.fuse;
        let mut bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        bytes.truncate(fuse);
        let sent = self.seat()?.send(peer, &[IoSlice::new(&bytes)])?;
        self.fuse -= sent;
        Ok(sent)
    }

    fn receive(&mut self, peer: usize, parts: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.seat()?.receive(peer, parts)
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        self.seat()?.wait(timeout)
    }
}

/// One fold of three ranks; the results of the two that are sound, by rank.
fn fold_with(
    case: &Case,
    table: Table,
    fuse: usize,
    fault: impl Fn() -> Fault + Sync,
    through: &Through,
    deadline: Duration,
) -> Vec<Result<Vec<u8>, Error>> {
    let results = each(table(3), |seat| {
        if seat.rank() == CULPRIT {
            let mut gang = case.gang(Box::new(Faulty {
                seat: Some(seat),
                fuse,
                fault: fault(),
            }));
            return case.fold(&mut gang, 1, 8, LONG);
        }
        let mut gang = case.gang(seat);
        let result = case.fold(&mut gang, 1, 8, deadline);
        drop(gang);
        *through.ranks.lock().unwrap() += 1;
        through.changed.notify_all();
        result
    });
    let sound = |(rank, result)| (rank != CULPRIT).then_some(result);
    results.into_iter().enumerate().filter_map(sound).collect()
}

/// What the culprit sends in a fold in which it does not fail.
fn undisturbed_bytes(case: &Case) -> usize {
    let traffic = each(local_table(3), |seat| {
        let mut gang = case.gang(seat);
        case.fold(&mut gang, 1, 8, LONG).unwrap();
        gang.traffic()
    });
    traffic[CULPRIT].bytes() as usize
}

#[test]
fn a_rank_that_dies_at_any_byte_is_named_by_all_who_miss_something() {
    let case = case();
    let (total, expected) = (undisturbed_bytes(&case), case.expected(8));
    for ((_, table), step) in TABLES.into_iter().zip([23, 211]) {
        for fuse in (0..total).step_by(step) {
            let results = fold_with(
                &case,
                table,
                fuse,
                || Fault::Dies,
                &Through::default(),
                LONG,
            );
            assert!(
                results.iter().any(Result::is_err),
                "after {fuse} bytes somebody misses something"
            );
            for result in results {
                match result {
                    Ok(record) => assert!(record == expected),
                    Err(Error::LostPeer {
                        rank: CULPRIT,
                        operation: 1,
                        ..
                    }) => {}
                    Err(other) => panic!("after {fuse} of {total} bytes: {other}"),
                }
            }
        }
    }
}

#[test]
fn a_rank_that_stops_at_some_byte_is_named_at_the_deadline() {
    let case = case();
    let (total, expected) = (undisturbed_bytes(&case), case.expected(8));
    for (_, table) in TABLES {
        for fuse in [1, total / 3, total / 2, total - 1] {
            let through = Arc::new(Through::default());
            let fault = || Fault::Stops(Arc::clone(&through));
            let results = fold_with(
                &case,
                table,
                fuse,
                fault,
                &through,
                Duration::from_millis(300),
            );
            assert!(
                results.iter().any(Result::is_err),
                "after {fuse} bytes somebody misses something"
            );
            for result in results {
                match result {
                    Ok(record) => assert!(record == expected),
                    Err(Error::Silent { ranks, .. }) => {
                        assert!(ranks.contains(&CULPRIT), "{ranks:?}")
                    }
                    Err(other) => panic!("after {fuse} of {total} bytes: {other}"),
                }
            }
        }
    }
}

#[test]
fn a_record_is_not_touched_before_every_rank_has_come() {
    let case = case();
    for (_, table) in TABLES {
        let mut seats = table(3);
        let absent = seats.pop();
        each(seats, |seat| {
            let mut gang = case.gang(seat);
            let schedule = schedule(gang.share(), 8);
            let sum = vec![0; case.layout.bytes()];
            let roots: Vec<_> = schedule
                .roots
                .iter()
                .map(|&(node, _)| (node, sum.as_slice()))
                .collect();
            let mut record = vec![0xA5; case.layout.bytes()];
            let add = |_: usize, _: &mut [u8], _: &[u8]| {};
            let result = gang.fold(1, 8, &roots, &mut record, &add, Duration::from_millis(200));
            assert!(
                matches!(&result, Err(Error::Silent { ranks, .. }) if *ranks == [2]),
                "{result:?}"
            );
            assert!(record.iter().all(|&byte| byte == 0xA5));
            let again = gang.fold(2, 8, &roots, &mut record, &add, LONG);
            assert!(matches!(again, Err(Error::Over { operation: 1 })));
        });
        drop(absent);
    }
}
