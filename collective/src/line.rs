//! A line: the frame on its way to one peer, the frame on its way from it, and the header that comes after that.

use std::io::{self, IoSlice, IoSliceMut};
use std::time::Instant;

use crate::frame::{Frame, HEADER};
use crate::transport::Transport;
use crate::work::{Ticket, Work};

/// Most pieces of memory that a frame is gathered from or scattered to: a rank has at most 2 x 31 roots.
const PARTS: usize = 64;

/// What was sent so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages, of 64 bytes and a payload each.
    pub messages: u64,
    /// Bytes of payload.
    pub payload_bytes: u64,
}

impl Traffic {
    /// All bytes sent.
    pub fn bytes(&self) -> u64 {
        self.payload_bytes + self.messages * HEADER as u64
    }
}

/// What is on its way to and from one peer.
pub(crate) struct Line {
    peer: usize,
    /// The frame being sent, its header, and how much of both is gone.
    sending: Option<Ticket>,
    outgoing: [u8; HEADER],
    sent: usize,
    /// Since when nothing can be sent any more, and why.
    pub deaf: Option<(Instant, io::Error)>,
    /// The frame being received and how much of its payload has come.
    receiving: Option<Ticket>,
    received: usize,
    /// The header after that, and how much of it has come.
    incoming: [u8; HEADER],
    read: usize,
    pub traffic: Traffic,
}

/// Whether a visit to a line changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visit {
    Moved,
    Idle,
}

impl Visit {
    fn of(bytes: usize) -> Visit {
        if bytes == 0 {
            Visit::Idle
        } else {
            Visit::Moved
        }
    }

    /// Either of two visits.
    pub(crate) fn or(self, other: Visit) -> Visit {
        if self == Visit::Idle { other } else { self }
    }
}

impl Line {
    pub(crate) fn new(peer: usize) -> Line {
        Line {
            peer,
            sending: None,
            outgoing: [0; HEADER],
            sent: 0,
            deaf: None,
            receiving: None,
            received: 0,
            incoming: [0; HEADER],
            read: 0,
            traffic: Traffic::default(),
        }
    }

    /// The frame being sent, if one is.
    pub(crate) fn sending(&self) -> Option<Ticket> {
        self.sending
    }

    /// Starts to send the frame of `ticket`, the one before being gone.
    pub(crate) fn begin(&mut self, ticket: Ticket, header: &Frame) {
        (self.sending, self.outgoing, self.sent) = (Some(ticket), header.encode(), 0);
    }

    /// Goes on with the frame being sent as far as it can now.
    pub(crate) fn push(
        &mut self,
        transport: &mut dyn Transport,
        work: &dyn Work,
    ) -> io::Result<Visit> {
        let mut visit = Visit::Idle;
        while let Some(ticket) = self.sending {
            let mut parts = [IoSlice::new(&[]); PARTS + 1];
            parts[0] = IoSlice::new(&self.outgoing);
            let mut used = 1;
            work.sources(self.peer, ticket, &mut |part| {
                parts[used] = IoSlice::new(part);
                used += 1;
            });
            let mut rest = &mut parts[..used];
            IoSlice::advance_slices(&mut rest, self.sent);
            let sent = transport.send(self.peer, rest)?;
            if sent == 0 {
                break;
            }
            visit = Visit::Moved;
            self.sent += sent;
            if self.sent == HEADER + ticket.length {
                self.sending = None;
                self.traffic.messages += 1;
                self.traffic.payload_bytes += ticket.length as u64;
            }
        }
        Ok(visit)
    }

    /// The frame whose payload is being received, if one is.
    pub(crate) fn receiving(&self) -> Option<Ticket> {
        self.receiving
    }

    /// Reads what is there of the next header, unless it is whole.
    pub(crate) fn read_header(&mut self, transport: &mut dyn Transport) -> io::Result<Visit> {
        if self.read == HEADER {
            return Ok(Visit::Idle);
        }
        let rest = &mut self.incoming[self.read..];
        let read = transport.receive(self.peer, &mut [IoSliceMut::new(rest)])?;
        self.read += read;
        Ok(Visit::of(read))
    }

    /// The next header, once it is whole.
    pub(crate) fn header(&self) -> Option<&[u8; HEADER]> {
        (self.read == HEADER).then_some(&self.incoming)
    }

    /// Starts to receive the payload that the header announced.
    pub(crate) fn take(&mut self, ticket: Ticket) {
        (self.receiving, self.received, self.read) = (Some(ticket), 0, 0);
    }

    /// Receives what is there of the payload, and with its end as much of the next header as there is.
    pub(crate) fn pull(
        &mut self,
        transport: &mut dyn Transport,
        work: &mut dyn Work,
    ) -> io::Result<Visit> {
        let Some(ticket) = self
            .receiving
            .filter(|ticket| self.received < ticket.length)
        else {
            return Ok(Visit::Idle);
        };
        let mut parts: [IoSliceMut<'_>; PARTS + 1] =
            std::array::from_fn(|_| IoSliceMut::new(&mut []));
        let mut used = 0;
        work.targets(self.peer, ticket, &mut |part| {
            parts[used] = IoSliceMut::new(part);
            used += 1;
        });
        parts[used] = IoSliceMut::new(&mut self.incoming);
        let mut rest = &mut parts[..=used];
        IoSliceMut::advance_slices(&mut rest, self.received);
        let read = transport.receive(self.peer, rest)?;
        let payload = read.min(ticket.length - self.received);
        self.received += payload;
        self.read = read - payload;
        Ok(Visit::of(read))
    }

    /// The frame whose payload has come whole, once.
    pub(crate) fn arrived(&mut self) -> Option<Ticket> {
        self.receiving
            .take_if(|ticket| self.received == ticket.length)
    }
}
