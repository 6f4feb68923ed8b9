//! What ranks show each other when they meet, and a connection whose other end has yet to show it.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use crate::fence::Fence;
use crate::frame::{Frame, HEADER, Mismatch, Phase};

/// What this rank shows and expects to be shown.
#[derive(Clone, Copy)]
pub(super) struct Card {
    pub rank: usize,
    pub ranks: usize,
    pub fence: Fence,
}

impl Card {
    pub fn write(self, phase: Phase, to: usize, stream: &mut TcpStream) -> io::Result<()> {
        // Into the empty buffer of a new connection: it fits whole, or something is wrong with the connection.
        stream.write_all(&Frame::bare(phase, self.fence, self.rank, to, self.ranks).encode())
    }

    /// Whether `frame` is the `phase` of a peer of this gang to this rank.
    pub fn check(self, phase: Phase, frame: &Frame) -> Result<(), Refusal> {
        if frame.fence != self.fence {
            return Err(Refusal::Fence(frame.fence));
        }
        Mismatch::check("phase", phase as u64, frame.phase as u64)?;
        Mismatch::check("receiver", self.rank as u64, frame.receiver.into())?;
        Mismatch::check("ranks", self.ranks as u64, frame.subject.into())?;
        Ok(())
    }
}

/// Why a caller, or one called, is not who it should be.
pub(super) enum Refusal {
    Fence(Fence),
    Card(Mismatch),
}

impl From<Mismatch> for Refusal {
    fn from(mismatch: Mismatch) -> Self {
        Refusal::Card(mismatch)
    }
}

/// A connection whose other end has not said who it is.
pub(super) struct Stranger {
    pub stream: TcpStream,
    header: [u8; HEADER],
    read: usize,
}

impl Stranger {
    pub fn new(stream: TcpStream) -> Self {
        Stranger {
            stream,
            header: [0; HEADER],
            read: 0,
        }
    }

    /// The header, once it has come whole.
    pub fn hear(&mut self) -> io::Result<Option<[u8; HEADER]>> {
        while self.read < HEADER {
            match self.stream.read(&mut self.header[self.read..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.read += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(self.header))
    }
}
