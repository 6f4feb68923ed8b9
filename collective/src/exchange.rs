//! The exchange: carries the frames of one operation to and from every peer at once. What is sent, and where the received
//! bytes go, is the [`Job`]'s; frames, fence, order of messages, deadline and naming the culprit are here.

use std::io::{self, IoSlice, IoSliceMut};
use std::time::{Duration, Instant};

use crate::error::{Doing, Error, Evidence};
use crate::fence::Fence;
use crate::frame::{Frame, HEADER, Mismatch, Phase};
use crate::transport::Transport;

/// Most pieces of memory that a frame is gathered from or scattered to: a rank has at most 2 x 31 roots.
const PARTS: usize = 64;

/// How long a peer that hears nothing any more may still be read from: it may have given up because of another rank, and
/// said so before it closed, or that rank's own line may tell.
const GRACE: Duration = Duration::from_millis(100);

/// How long a rank that gives up tries to tell the others why.
const FAREWELL: Duration = Duration::from_millis(100);

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

/// A frame of an operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket {
    pub phase: Phase,
    pub block: u32,
    /// Bytes of payload.
    pub length: usize,
}

/// What becomes of a frame whose header has come.
pub(crate) enum Admission {
    /// It is taken if its payload is this long.
    Take(usize),
    /// It is in order, but there is no place for its payload yet.
    Later,
    /// It is not what comes next.
    Never(Mismatch),
}

/// One operation, as one rank sees it.
pub(crate) trait Job {
    /// The subject that all frames of it carry.
    fn subject(&self) -> u32;
    /// The next frame for `peer`, if one is ready; it will be sent.
    fn next(&mut self, peer: usize) -> Option<Ticket>;
    /// The payload of a frame for `peer`, piece by piece.
    fn sources<'a>(&'a self, peer: usize, ticket: Ticket, push: &mut dyn FnMut(&'a [u8]));
    /// Whether frames from `peer` are still to come.
    fn awaits(&self, peer: usize) -> bool;
    /// What to do with a frame from `peer`, which is awaited.
    fn admit(&self, peer: usize, phase: Phase, block: u32) -> Admission;
    /// Where the payload of a taken frame goes, piece by piece.
    fn targets<'a>(&'a mut self, peer: usize, ticket: Ticket, push: &mut dyn FnMut(&'a mut [u8]));
    /// The payload is there.
    fn received(&mut self, peer: usize, ticket: Ticket);
    /// Whether nothing is left to receive and every frame to send has been handed out by `next`.
    fn is_done(&self) -> bool;
    /// The peers that everything waits for now.
    fn missing(&self) -> Vec<usize>;
}

/// The exchange of one rank with all others.
pub(crate) struct Exchange {
    transport: Box<dyn Transport>,
    fence: Fence,
    lines: Vec<Line>,
    traffic: Traffic,
    /// The operation that failed.
    failed: Option<u64>,
}

/// What is on its way to and from one peer.
struct Line {
    /// The frame being sent, its header, and how much of both is gone.
    sending: Option<Ticket>,
    outgoing: [u8; HEADER],
    sent: usize,
    /// Since when nothing can be sent any more, and why.
    deaf: Option<(Instant, io::Error)>,
    /// The frame being received and how much of its payload has come.
    receiving: Option<Ticket>,
    received: usize,
    /// The header after that, and how much of it has come.
    incoming: [u8; HEADER],
    read: usize,
}

/// Whether a visit to a line changed anything.
#[derive(PartialEq)]
enum Visit {
    Moved,
    Idle,
}

impl Exchange {
    pub(crate) fn new(transport: Box<dyn Transport>, fence: Fence) -> Exchange {
        let line = || Line {
            sending: None,
            outgoing: [0; HEADER],
            sent: 0,
            deaf: None,
            receiving: None,
            received: 0,
            incoming: [0; HEADER],
            read: 0,
        };
        let lines = (0..transport.ranks()).map(|_| line()).collect();
        Exchange {
            transport,
            fence,
            lines,
            traffic: Traffic::default(),
            failed: None,
        }
    }

    pub(crate) fn rank(&self) -> usize {
        self.transport.rank()
    }

    pub(crate) fn ranks(&self) -> usize {
        self.lines.len()
    }

    pub(crate) fn traffic(&self) -> Traffic {
        self.traffic
    }

    fn peers(&self) -> impl Iterator<Item = usize> + use<> {
        let me = self.rank();
        (0..self.ranks()).filter(move |&rank| rank != me)
    }

    /// Carries `job` to its end. The deadline runs from the last time that anything moved.
    pub(crate) fn run(
        &mut self,
        operation: u64,
        job: &mut dyn Job,
        deadline: Duration,
    ) -> Result<(), Error> {
        if let Some(operation) = self.failed {
            return Err(Error::Over { operation });
        }
        let result = self.carry(operation, job, deadline);
        if let Err(error) = &result {
            self.failed = Some(operation);
            self.say_farewell(operation, job, error);
        }
        result
    }

    fn carry(
        &mut self,
        operation: u64,
        job: &mut dyn Job,
        deadline: Duration,
    ) -> Result<(), Error> {
        let mut moved_at = Instant::now();
        loop {
            let mut visit = Visit::Idle;
            for peer in self.peers() {
                if self.send(peer, operation, job)? == Visit::Moved {
                    visit = Visit::Moved;
                }
                if self.receive(peer, operation, job)? == Visit::Moved {
                    visit = Visit::Moved;
                }
            }
            if job.is_done() && self.lines.iter().all(|line| line.sending.is_none()) {
                return Ok(());
            }
            if visit == Visit::Moved {
                moved_at = Instant::now();
                continue;
            }
            let left = deadline.saturating_sub(moved_at.elapsed());
            if left.is_zero() {
                let mut ranks = job.missing();
                if ranks.is_empty() {
                    ranks = self
                        .peers()
                        .filter(|&peer| self.lines[peer].sending.is_some())
                        .collect();
                }
                return Err(Error::Silent {
                    ranks,
                    after: deadline,
                    operation,
                    seen_by: None,
                });
            }
            let is_deaf = self.lines.iter().any(|line| line.deaf.is_some());
            let timeout = if is_deaf { left.min(GRACE) } else { left };
            self.transport
                .wait(timeout)
                .map_err(|source| Error::Wait { source })?;
        }
    }

    /// Sends at most one frame to `peer`.
    fn send(&mut self, peer: usize, operation: u64, job: &mut dyn Job) -> Result<Visit, Error> {
        if self.lines[peer].sending.is_none() {
            let Some(ticket) = job.next(peer) else {
                return Ok(Visit::Idle);
            };
            self.begin(peer, operation, ticket, job.subject());
        }
        let line = &mut self.lines[peer];
        if let Some((_, error)) = line.deaf.take_if(|(since, _)| since.elapsed() >= GRACE) {
            return Err(self.lost(peer, operation, Doing::Sending, Evidence::Connection(error)));
        }
        if line.deaf.is_some() {
            return Ok(Visit::Idle);
        }
        match self.push(peer, job) {
            Ok(visit) => Ok(visit),
            Err(error) => {
                self.lines[peer].deaf = Some((Instant::now(), error));
                Ok(Visit::Idle)
            }
        }
    }

    fn begin(&mut self, peer: usize, operation: u64, ticket: Ticket, subject: u32) {
        let frame = Frame {
            operation,
            block: ticket.block,
            length: ticket.length as u64,
            ..Frame::bare(
                ticket.phase,
                self.fence,
                self.rank(),
                peer,
                subject as usize,
            )
        };
        let line = &mut self.lines[peer];
        (line.sending, line.outgoing, line.sent) = (Some(ticket), frame.encode(), 0);
    }

    /// Goes on with the frame being sent to `peer` as far as it can now.
    fn push(&mut self, peer: usize, job: &dyn Job) -> io::Result<Visit> {
        let line = &mut self.lines[peer];
        let mut visit = Visit::Idle;
        while let Some(ticket) = line.sending {
            let mut parts = [IoSlice::new(&[]); PARTS + 1];
            parts[0] = IoSlice::new(&line.outgoing);
            let mut used = 1;
            job.sources(peer, ticket, &mut |part| {
                parts[used] = IoSlice::new(part);
                used += 1;
            });
            let mut rest = &mut parts[..used];
            IoSlice::advance_slices(&mut rest, line.sent);
            let sent = self.transport.send(peer, rest)?;
            if sent == 0 {
                break;
            }
            visit = Visit::Moved;
            line.sent += sent;
            if line.sent == HEADER + ticket.length {
                line.sending = None;
                self.traffic.messages += 1;
                self.traffic.payload_bytes += ticket.length as u64;
            }
        }
        Ok(visit)
    }

    /// Receives at most one frame from `peer`.
    fn receive(&mut self, peer: usize, operation: u64, job: &mut dyn Job) -> Result<Visit, Error> {
        let mut visit = Visit::Idle;
        loop {
            let ticket = match self.lines[peer].receiving {
                Some(ticket) => ticket,
                None => {
                    match self.read_header(peer) {
                        Ok(Visit::Idle) => {}
                        Ok(Visit::Moved) => visit = Visit::Moved,
                        Err(error) => {
                            let doing = if job.awaits(peer) {
                                Doing::Receiving
                            } else {
                                Doing::Waiting
                            };
                            return Err(self.lost(
                                peer,
                                operation,
                                doing,
                                Evidence::Connection(error),
                            ));
                        }
                    }
                    if self.lines[peer].read < HEADER {
                        return Ok(visit);
                    }
                    let Some(ticket) = self.admit(peer, operation, job)? else {
                        return Ok(visit);
                    };
                    let line = &mut self.lines[peer];
                    (line.receiving, line.received, line.read) = (Some(ticket), 0, 0);
                    ticket
                }
            };
            match self.pull(peer, ticket, job) {
                Ok(Visit::Idle) if self.lines[peer].received < ticket.length => return Ok(visit),
                Ok(_) => visit = Visit::Moved,
                Err(error) => {
                    return Err(self.lost(
                        peer,
                        operation,
                        Doing::Receiving,
                        Evidence::Connection(error),
                    ));
                }
            }
            let line = &mut self.lines[peer];
            if line.received == ticket.length {
                line.receiving = None;
                job.received(peer, ticket);
                return Ok(Visit::Moved);
            }
        }
    }

    fn read_header(&mut self, peer: usize) -> io::Result<Visit> {
        let line = &mut self.lines[peer];
        if line.read == HEADER {
            return Ok(Visit::Idle);
        }
        let read = self.transport.receive(
            peer,
            &mut [IoSliceMut::new(&mut line.incoming[line.read..])],
        )?;
        line.read += read;
        Ok(if read == 0 { Visit::Idle } else { Visit::Moved })
    }

    /// Payload of the frame being received, and with its end as much of the next header as there is.
    fn pull(&mut self, peer: usize, ticket: Ticket, job: &mut dyn Job) -> io::Result<Visit> {
        let line = &mut self.lines[peer];
        if line.received == ticket.length {
            return Ok(Visit::Idle);
        }
        let mut parts: [IoSliceMut<'_>; PARTS + 1] =
            std::array::from_fn(|_| IoSliceMut::new(&mut []));
        let mut used = 0;
        job.targets(peer, ticket, &mut |part| {
            parts[used] = IoSliceMut::new(part);
            used += 1;
        });
        parts[used] = IoSliceMut::new(&mut line.incoming);
        let mut rest = &mut parts[..=used];
        IoSliceMut::advance_slices(&mut rest, line.received);
        let read = self.transport.receive(peer, rest)?;
        let payload = read.min(ticket.length - line.received);
        line.received += payload;
        line.read = read - payload;
        Ok(if read == 0 { Visit::Idle } else { Visit::Moved })
    }

    /// What the header that has come from `peer` announces, if its payload can be taken now.
    fn admit(&self, peer: usize, operation: u64, job: &dyn Job) -> Result<Option<Ticket>, Error> {
        let frame = self.check(peer, operation)?;
        let protocol = |what| self.protocol(peer, operation, what);
        if frame.phase == Phase::Leave {
            return match job.awaits(peer) {
                true => Err(self.lost(peer, operation, Doing::Receiving, Evidence::Left)),
                false => Ok(None),
            };
        }
        if !job.awaits(peer) {
            // It is ahead, and its next operation has to wait for ours.
            return match frame.operation < operation {
                true => Err(protocol(Mismatch {
                    field: "operation",
                    expected: operation,
                    got: frame.operation,
                })),
                false => Ok(None),
            };
        }
        Mismatch::check("operation", operation, frame.operation).map_err(protocol)?;
        Mismatch::check(
            "microbatches present",
            job.subject().into(),
            frame.subject.into(),
        )
        .map_err(protocol)?;
        match job.admit(peer, frame.phase, frame.block) {
            Admission::Take(length) => {
                Mismatch::check("payload length", length as u64, frame.length).map_err(protocol)?;
                Ok(Some(Ticket {
                    phase: frame.phase,
                    block: frame.block,
                    length,
                }))
            }
            Admission::Later => Ok(None),
            Admission::Never(what) => Err(protocol(what)),
        }
    }

    /// The header that has come from `peer`, if it is whole, under our fence, and no farewell.
    fn check(&self, peer: usize, operation: u64) -> Result<Frame, Error> {
        let protocol = |what| self.protocol(peer, operation, what);
        let frame = Frame::decode(&self.lines[peer].incoming).map_err(protocol)?;
        if frame.fence != self.fence {
            let address = self.transport.address(peer);
            return Err(Error::Fenced {
                rank: peer,
                address,
                ours: self.fence,
                theirs: frame.fence,
            });
        }
        Mismatch::check("sender", peer as u64, frame.sender.into()).map_err(protocol)?;
        Mismatch::check("receiver", self.rank() as u64, frame.receiver.into()).map_err(protocol)?;
        let rank = frame.subject as usize;
        let operation = frame.operation;
        match frame.phase {
            Phase::Lost | Phase::Silent | Phase::Refused if rank >= self.ranks() => {
                let expected = self.ranks() as u64 - 1;
                Err(protocol(Mismatch {
                    field: "subject",
                    expected,
                    got: frame.subject.into(),
                }))
            }
            Phase::Lost => {
                Err(self.lost(rank, operation, Doing::Waiting, Evidence::Told { by: peer }))
            }
            Phase::Silent => Err(Error::Silent {
                ranks: vec![rank],
                after: Duration::from_millis(frame.block.into()),
                operation,
                seen_by: Some(peer),
            }),
            Phase::Refused => Err(Error::Refused {
                rank,
                by: peer,
                operation,
            }),
            Phase::Hello | Phase::Welcome => Err(protocol(Mismatch {
                field: "phase",
                expected: Phase::Sums as u64,
                got: frame.phase as u64,
            })),
            Phase::Sums | Phase::Slice | Phase::Gather | Phase::Leave => Ok(frame),
        }
    }

    fn lost(&self, rank: usize, operation: u64, doing: Doing, evidence: Evidence) -> Error {
        Error::LostPeer {
            rank,
            address: self.transport.address(rank),
            operation,
            doing,
            evidence,
        }
    }

    fn protocol(&self, rank: usize, operation: u64, what: Mismatch) -> Error {
        Error::Protocol {
            rank,
            address: self.transport.address(rank),
            operation,
            what,
        }
    }

    /// Tells the others who is to blame, so that all name the same rank and not the first that followed it. A frame that
    /// is half sent is finished first; whoever does not take it in time finds out from its own lines.
    fn say_farewell(&mut self, operation: u64, job: &dyn Job, error: &Error) {
        let Some(culprit) = error.culprit() else {
            return;
        };
        let (phase, block) = match error {
            Error::LostPeer { .. } => (Phase::Lost, 0),
            Error::Silent { after, .. } => {
                (Phase::Silent, after.as_millis().min(u32::MAX.into()) as u32)
            }
            _ => (Phase::Refused, 0),
        };
        let note = Ticket {
            phase,
            block,
            length: 0,
        };
        let mut untold: Vec<usize> = self.peers().filter(|&peer| peer != culprit).collect();
        let end = Instant::now() + FAREWELL;
        loop {
            untold.retain(|&peer| !self.told(peer, operation, job, note, culprit));
            let left = end.saturating_duration_since(Instant::now());
            if untold.is_empty() || left.is_zero() || self.transport.wait(left).is_err() {
                return;
            }
        }
    }

    /// Whether `peer` needs no more telling: the note is on its way, or nothing can be sent any more.
    fn told(
        &mut self,
        peer: usize,
        operation: u64,
        job: &dyn Job,
        note: Ticket,
        culprit: usize,
    ) -> bool {
        loop {
            match self.lines[peer].sending {
                None => self.begin(peer, operation, note, culprit as u32),
                Some(ticket) => {
                    if self.push(peer, job).is_err() {
                        return true;
                    }
                    if self.lines[peer].sending.is_some() {
                        return false;
                    }
                    if ticket.phase == note.phase {
                        return true;
                    }
                }
            }
        }
    }
}

impl Drop for Exchange {
    /// Leaves in good order, unless this rank is failing: then its peers are to see a lost rank.
    fn drop(&mut self) {
        if self.failed.is_some() || std::thread::panicking() {
            return;
        }
        for peer in self.peers() {
            let leave = Frame::bare(Phase::Leave, self.fence, self.rank(), peer, 0).encode();
            // If it cannot be said now, the peer finds the line closed, which is as true.
            let _ = self.transport.send(peer, &[IoSlice::new(&leave)]);
        }
    }
}
