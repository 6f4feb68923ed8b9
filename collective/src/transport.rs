//! What a gang needs of whatever connects its ranks: a reliable, ordered line of bytes to each peer, that never blocks,
//! and one place to wait for all of them. Framing, fencing, order and deadlines are the gang's, alike over every transport.

use std::io::{self, IoSlice, IoSliceMut};
use std::time::Duration;

/// Lines to every other rank. Dropping it ends them all, and the peers see that.
pub trait Transport: Send {
    /// This rank.
    fn rank(&self) -> usize;

    /// How many ranks there are.
    fn ranks(&self) -> usize;

    /// Where a peer sits, for sentences.
    fn address(&self, peer: usize) -> String;

    /// Hands over bytes from the front of `parts`, which hold at least one; says how many, 0 if there is no room now.
    ///
    /// # Errors
    /// The line is broken.
    fn send(&mut self, peer: usize, parts: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Fills the front of `parts`, which have room for at least one byte; says how many, 0 if there are none now.
    ///
    /// # Errors
    /// The line is broken, or has ended (`UnexpectedEof`); bytes that had come before are given out first.
    fn receive(&mut self, peer: usize, parts: &mut [IoSliceMut<'_>]) -> io::Result<usize>;

    /// Waits until a line that gave 0 since the last wait may give more, or `timeout` has passed. It may return early.
    ///
    /// # Errors
    /// The operating system refuses to wait.
    fn wait(&mut self, timeout: Duration) -> io::Result<()>;
}
