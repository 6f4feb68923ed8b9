//! A worker: what it offers, what was given away of it, and whether it is still heard.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use spec::offer::Offer;
use spec::{AttemptId, WorkerId};

use crate::time::Time;

/// A rank of an attempt.
pub(crate) type RankId = (AttemptId, u32);

/// Thread slots and memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub threads: u32,
    pub memory_bytes: u64,
}

impl Share {
    pub fn plus(self, other: Share) -> Share {
        Share {
            threads: self.threads.saturating_add(other.threads),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
        }
    }

    pub fn minus(self, other: Share) -> Share {
        Share {
            threads: self.threads.saturating_sub(other.threads),
            memory_bytes: self.memory_bytes.saturating_sub(other.memory_bytes),
        }
    }

    pub fn holds(self, other: Share) -> bool {
        self.threads >= other.threads && self.memory_bytes >= other.memory_bytes
    }

    /// How many portions of this size fit.
    pub fn portions(self, portion: Share) -> u32 {
        self.portions_by_threads(portion)
            .min(self.portions_by_memory(portion))
    }

    pub fn portions_by_threads(self, portion: Share) -> u32 {
        self.threads
            .checked_div(portion.threads)
            .unwrap_or(u32::MAX)
    }

    pub fn portions_by_memory(self, portion: Share) -> u32 {
        let portions = self
            .memory_bytes
            .checked_div(portion.memory_bytes)
            .unwrap_or(u64::MAX);
        u32::try_from(portions).unwrap_or(u32::MAX)
    }
}

/// Whether a worker is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// Its stream is open and it was heard within the lease.
    Connected,
    /// Its stream broke; it is lost unless it is back within the lease.
    Broken,
    /// The scheduler was restored and waits for it: records say that it runs ranks.
    Expected,
    /// It was silent for longer than the lease although its stream is open. Its ranks count as lost.
    Silent,
}

/// A worker.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    pub name: String,
    pub offer: Offer,
    pub link: Link,
    pub heard_at: Time,
    /// The living ranks that it was given, and what each takes.
    pub given: BTreeMap<RankId, Share>,
    /// Ranks that run there although no living attempt has them there. What they take is unknown, so that the worker
    /// is given nothing until they are gone.
    pub strangers: BTreeSet<RankId>,
    /// Strangers still there then are told to stop again.
    pub stop_at: Time,
    /// What `given` takes together.
    pub taken: Share,
    /// The worker came back with an offer below what it had been given.
    pub overdrawn: bool,
}

impl Worker {
    pub fn new(name: String, offer: Offer, link: Link, now: Time) -> Self {
        Worker {
            name,
            offer,
            link,
            heard_at: now,
            given: BTreeMap::new(),
            strangers: BTreeSet::new(),
            stop_at: now,
            taken: Share::default(),
            overdrawn: false,
        }
    }

    pub fn give(&mut self, rank: RankId, share: Share) {
        self.given.insert(rank, share);
        self.count();
    }

    pub fn take_back(&mut self, rank: RankId) {
        if self.given.remove(&rank).is_some() {
            self.count();
            self.overdrawn &= !self.whole().holds(self.taken);
        }
    }

    fn count(&mut self) {
        self.taken = self
            .given
            .values()
            .copied()
            .fold(Share::default(), Share::plus);
    }

    pub fn renew(&mut self, name: String, offer: Offer, now: Time) {
        self.name = name;
        self.offer = offer;
        self.link = Link::Connected;
        self.heard_at = now;
        self.overdrawn = !self.whole().holds(self.taken);
    }

    /// When strangers that it still has are told to stop again.
    pub fn stop_strangers_at(&self) -> Option<Time> {
        let heeds = self.link == Link::Connected && !self.strangers.is_empty();
        heeds.then_some(self.stop_at)
    }

    /// All that it offers.
    pub fn whole(&self) -> Share {
        Share {
            threads: self.offer.threads,
            memory_bytes: self.offer.memory_bytes,
        }
    }

    /// What can be given away now.
    pub fn open(&self) -> Share {
        match self.link {
            Link::Connected if self.strangers.is_empty() => self.whole().minus(self.taken),
            _ => Share::default(),
        }
    }

    pub fn view(&self, worker: WorkerId) -> WorkerView<'_> {
        let free = self.whole().minus(self.taken);
        WorkerView {
            worker,
            name: &self.name,
            offer: &self.offer,
            link: self.link,
            heard_at: self.heard_at,
            free_threads: free.threads,
            free_memory_bytes: free.memory_bytes,
            ranks: self.given.keys().copied().collect(),
        }
    }
}

/// A worker, for lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerView<'a> {
    /// Which worker.
    pub worker: WorkerId,
    /// Its name.
    pub name: &'a str,
    /// What it offers.
    pub offer: &'a Offer,
    /// Whether it is heard.
    pub link: Link,
    /// When it was last heard.
    pub heard_at: Time,
    /// Thread slots that no rank has.
    pub free_threads: u32,
    /// Memory that no rank has, in bytes.
    pub free_memory_bytes: u64,
    /// The ranks that it was given.
    pub ranks: Vec<(AttemptId, u32)>,
}
