//! Placement: which workers take the ranks of a gang, all of them or none. As few workers as possible; among those that
//! can take all that remains, the one that it fills best; among equals, the lower id. A gang never mixes device classes.

use std::collections::BTreeMap;

use spec::WorkerId;
use spec::offer::GangRequest;

use crate::reason::Reason;
use crate::worker::{Link, Share, Worker};

/// Whether a gang has a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has.
    Fits {
        device_class: String,
        /// By rank.
        workers: Vec<WorkerId>,
    },
    /// It would have if others gave back what they use.
    Waits(Reason),
    /// It would not even if all workers were idle.
    Never(Reason),
}

/// Finds places for a gang of the device class, or of any if `None`.
pub(crate) fn place(
    request: &GangRequest,
    device_class: Option<&str>,
    workers: &BTreeMap<WorkerId, Worker>,
) -> Verdict {
    let mut classes: BTreeMap<&str, Vec<(WorkerId, &Worker)>> = BTreeMap::new();
    for (&id, worker) in workers {
        if worker.offer.device == request.device && worker.link != Link::Silent {
            classes
                .entry(&worker.offer.device_class)
                .or_default()
                .push((id, worker));
        }
    }
    if classes.is_empty() {
        return Verdict::Never(Reason::NoWorkers {
            device: request.device,
        });
    }
    if let Some(wanted) = device_class {
        classes.retain(|&class, _| class == wanted);
        if classes.is_empty() {
            return Verdict::Never(Reason::WaitingForDeviceClass {
                device_class: wanted.to_string(),
            });
        }
    }

    let share = Share {
        threads: request.threads,
        memory_bytes: request.memory_bytes,
    };
    let mut best: Option<(usize, &str, Vec<WorkerId>)> = None;
    for (&class, members) in &classes {
        let rooms = members
            .iter()
            .map(|&(id, worker)| Room {
                worker: id,
                open: worker.open(),
            })
            .collect();
        if let Some(chosen) = pack(rooms, share, request.ranks) {
            let spread = chosen.chunk_by(|a, b| a == b).count();
            if best.as_ref().is_none_or(|&(least, ..)| spread < least) {
                best = Some((spread, class, chosen));
            }
        }
    }
    match best {
        Some((_, class, workers)) => Verdict::Fits {
            device_class: class.to_string(),
            workers,
        },
        None => without_place(request, share, &classes),
    }
}

/// What a worker has to give.
struct Room {
    worker: WorkerId,
    open: Share,
}

/// The worker of each rank, ranks of one worker in a row.
fn pack(mut rooms: Vec<Room>, share: Share, ranks: u32) -> Option<Vec<WorkerId>> {
    if sum(rooms.iter().map(|room| room.open.portions(share))) < u64::from(ranks) {
        return None;
    }
    // Fullest first; the sort is stable and the rooms come by id, so that equals stay in the order of their ids.
    rooms.sort_by_key(|room| {
        (
            room.open.portions(share),
            room.open.threads,
            room.open.memory_bytes,
        )
    });
    let mut chosen = Vec::new();
    let mut left = ranks;
    while left > 0 {
        let fullest_that_takes_all = rooms
            .iter()
            .position(|room| room.open.portions(share) >= left);
        let roomiest = || first_of_the_last(&rooms, |room| room.open.portions(share));
        let index = fullest_that_takes_all.or_else(roomiest)?;
        let room = rooms.remove(index);
        let taken = room.open.portions(share).min(left);
        chosen.extend(std::iter::repeat_n(room.worker, taken as usize));
        left -= taken;
    }
    Some(chosen)
}

/// The first of those that share the last one's key.
fn first_of_the_last<K: PartialEq>(rooms: &[Room], key: impl Fn(&Room) -> K) -> Option<usize> {
    let last = key(rooms.last()?);
    rooms.iter().position(|room| key(room) == last)
}

fn sum(portions: impl Iterator<Item = u32>) -> u64 {
    portions.map(u64::from).sum()
}

/// Why the gang has no place now, told of the class that could hold most of it.
fn without_place(
    request: &GangRequest,
    share: Share,
    classes: &BTreeMap<&str, Vec<(WorkerId, &Worker)>>,
) -> Verdict {
    let ranks = u64::from(request.ranks);
    let idle_room = |members: &[(WorkerId, &Worker)]| {
        sum(members.iter().map(|(_, w)| w.whole().portions(share)))
    };
    let mut roomiest: Option<(u64, &[(WorkerId, &Worker)])> = None;
    for members in classes.values() {
        let room = idle_room(members);
        if roomiest.is_none_or(|(most, _)| room > most) {
            roomiest = Some((room, members));
        }
    }
    let (room, members) = roomiest.unwrap_or_default();
    if room == 0 {
        let wholes = || classes.values().flatten().map(|(_, worker)| worker.whole());
        return Verdict::Never(Reason::NoWorkerLargeEnough {
            threads: share.threads,
            memory_bytes: share.memory_bytes,
            most_threads: wholes().map(|whole| whole.threads).max().unwrap_or(0),
            most_memory_bytes: wholes().map(|whole| whole.memory_bytes).max().unwrap_or(0),
        });
    }
    if room < ranks {
        return Verdict::Never(Reason::GangTooLarge {
            ranks: request.ranks,
            room: saturated(room),
        });
    }
    let open = |portions: fn(Share, Share) -> u32| {
        sum(members.iter().map(|(_, w)| portions(w.open(), share)))
    };
    let by_threads = open(Share::portions_by_threads);
    let by_memory = open(Share::portions_by_memory);
    if by_threads < ranks {
        let threads = u64::from(share.threads);
        Verdict::Waits(Reason::WaitingForThreads {
            needed: ranks * threads,
            free: by_threads * threads,
        })
    } else if by_memory < ranks {
        let bytes = |portions: u64| portions.saturating_mul(share.memory_bytes);
        Verdict::Waits(Reason::WaitingForMemory {
            needed_bytes: bytes(ranks),
            free_bytes: bytes(by_memory),
        })
    } else {
        let room = saturated(open(Share::portions));
        Verdict::Waits(Reason::WaitingForRoom {
            ranks: request.ranks,
            room,
        })
    }
}

fn saturated(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(open: &[(u32, u64)], share: (u32, u64), ranks: u32) -> Option<Vec<u64>> {
        let share = Share {
            threads: share.0,
            memory_bytes: share.1,
        };
        let room = |(index, &(threads, memory_bytes))| Room {
            worker: WorkerId(index as u64 + 1),
            open: Share {
                threads,
                memory_bytes,
            },
        };
        let rooms = open.iter().enumerate().map(room).collect();
        pack(rooms, share, ranks).map(|chosen| chosen.into_iter().map(|worker| worker.0).collect())
    }

    #[test]
    fn a_gang_goes_to_the_worker_that_it_fills_best() {
        assert_eq!(
            packed(&[(8, 9), (3, 9), (2, 9), (2, 9)], (1, 1), 2),
            Some(vec![3, 3])
        );
    }

    #[test]
    fn a_gang_that_fits_on_one_worker_is_not_spread() {
        assert_eq!(
            packed(&[(1, 9), (1, 9), (4, 9)], (1, 1), 3),
            Some(vec![3, 3, 3])
        );
    }

    #[test]
    fn what_is_left_after_the_largest_worker_goes_where_it_fits_best() {
        assert_eq!(
            packed(&[(2, 9), (4, 9), (1, 9), (4, 9)], (1, 1), 5),
            Some(vec![2, 2, 2, 2, 3])
        );
    }

    #[test]
    fn a_rank_is_never_split_over_two_workers() {
        assert_eq!(packed(&[(3, 9), (3, 9)], (2, 1), 3), None);
        assert_eq!(packed(&[(3, 9), (3, 9)], (4, 1), 1), None);
        assert_eq!(packed(&[(3, 1), (3, 9)], (1, 2), 4), None);
    }

    #[test]
    fn a_gang_is_whole_or_absent() {
        assert_eq!(packed(&[(1, 9), (1, 9)], (1, 1), 3), None);
        assert_eq!(packed(&[], (1, 1), 1), None);
        assert_eq!(packed(&[(1, 9), (1, 9)], (1, 0), 2), Some(vec![1, 2]));
    }
}
