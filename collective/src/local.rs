//! Lines between threads of one process: bounded queues of bytes, so that back-pressure is as real as on a network.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::transport::Transport;

/// Bytes that a line holds before its sender has to wait.
const LINE_BYTES: usize = 64 * 1024;

/// What a wait is cut to, so that any timeout can be given.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// One rank's seat at a table of threads. Dropping it ends its lines.
pub struct Local {
    rank: usize,
    ranks: usize,
    table: Arc<Table>,
    /// Rings of this rank's bell that are already answered.
    heard: u64,
}

/// The seats of a table of `ranks` threads, by rank.
pub fn table(ranks: usize) -> Vec<Local> {
    let lines = (0..ranks * ranks)
        .map(|_| Mutex::new(Line::default()))
        .collect();
    let bells = (0..ranks).map(|_| Bell::default()).collect();
    let table = Arc::new(Table { lines, bells });
    (0..ranks)
        .map(|rank| Local {
            rank,
            ranks,
            table: Arc::clone(&table),
            heard: 0,
        })
        .collect()
}

struct Table {
    /// From `sender * ranks + receiver`.
    lines: Vec<Mutex<Line>>,
    bells: Vec<Bell>,
}

#[derive(Default)]
struct Line {
    bytes: VecDeque<u8>,
    state: State,
}

#[derive(Default, PartialEq)]
enum State {
    #[default]
    Open,
    Ended,
}

/// Rung whenever something changed for its rank.
#[derive(Default)]
struct Bell {
    rings: Mutex<u64>,
    rung: Condvar,
}

impl Bell {
    fn ring(&self) {
        *held(&self.rings) += 1;
        self.rung.notify_all();
    }
}

/// A queue and a counter are whole at every instant, so a thread that panicked while holding one harms nobody.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Local {
    fn line(&self, sender: usize, receiver: usize) -> MutexGuard<'_, Line> {
        held(&self.table.lines[sender * self.ranks + receiver])
    }
}

impl Transport for Local {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.ranks
    }

    fn address(&self, peer: usize) -> String {
        format!("thread {peer}")
    }

    fn send(&mut self, peer: usize, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut line = self.line(self.rank, peer);
        if line.state == State::Ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let before = line.bytes.len();
        for part in parts {
            let room = LINE_BYTES - line.bytes.len();
            line.bytes.extend(&part[..part.len().min(room)]);
        }
        let sent = line.bytes.len() - before;
        drop(line);
        if sent > 0 {
            self.table.bells[peer].ring();
        }
        Ok(sent)
    }

    fn receive(&mut self, peer: usize, parts: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let mut line = self.line(peer, self.rank);
        if line.bytes.is_empty() && line.state == State::Ended {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut received = 0;
        for part in parts {
            let (front, back) = line.bytes.as_slices();
            let from_front = part.len().min(front.len());
            let from_back = (part.len() - from_front).min(back.len());
            part[..from_front].copy_from_slice(&front[..from_front]);
            part[from_front..from_front + from_back].copy_from_slice(&back[..from_back]);
            line.bytes.drain(..from_front + from_back);
            received += from_front + from_back;
        }
        drop(line);
        if received > 0 {
            self.table.bells[peer].ring();
        }
        Ok(received)
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        let end = Instant::now() + timeout.min(LONGEST_WAIT);
        let bell = &self.table.bells[self.rank];
        let mut rings = held(&bell.rings);
        while *rings == self.heard {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            rings = bell
                .rung
                .wait_timeout(rings, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        self.heard = *rings;
        Ok(())
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        for peer in 0..self.ranks {
            self.line(self.rank, peer).state = State::Ended;
            self.line(peer, self.rank).state = State::Ended;
            self.table.bells[peer].ring();
        }
    }
}
