//! The exchange: carries the frames of one operation to and from every peer at once. What is sent, and where the received
//! bytes go, is the [`Work`]'s; frames, fence, order of messages, deadline and naming the culprit are here.

use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use crate::error::{Doing, Error, Evidence};
use crate::fence::Fence;
use crate::frame::{Frame, HEADER, Mismatch, Phase};
use crate::line::{Line, Traffic, Visit};
use crate::transport::Transport;
use crate::work::{Admission, Blame, Ticket, Work};

/// How much longer is listened when the peer that seems to be at fault may itself wait for another: it, or that rank's own
/// line, may tell.
const GRACE: Duration = Duration::from_millis(200);

/// How long a rank that gives up tries to tell the others why.
const FAREWELL: Duration = Duration::from_millis(100);

/// The exchange of one rank with all others.
pub(crate) struct Exchange {
    transport: Box<dyn Transport>,
    fence: Fence,
    lines: Vec<Line>,
    /// The operation that failed.
    failed: Option<u64>,
}

impl Exchange {
    pub(crate) fn new(transport: Box<dyn Transport>, fence: Fence) -> Exchange {
        let lines = (0..transport.ranks()).map(Line::new).collect();
        Exchange {
            transport,
            fence,
            lines,
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
        let sum = |sum: Traffic, line: &Line| Traffic {
            messages: sum.messages + line.traffic.messages,
            payload_bytes: sum.payload_bytes + line.traffic.payload_bytes,
        };
        self.lines.iter().fold(Traffic::default(), sum)
    }

    fn peers(&self) -> impl Iterator<Item = usize> + use<> {
        let me = self.rank();
        (0..self.ranks()).filter(move |&rank| rank != me)
    }

    /// Carries `work` to its end. The deadline runs from the last time that anything moved.
    pub(crate) fn run(
        &mut self,
        operation: u64,
        work: &mut dyn Work,
        deadline: Duration,
    ) -> Result<(), Error> {
        if let Some(operation) = self.failed {
            return Err(Error::Over { operation });
        }
        let result = self.carry(operation, work, deadline);
        if let Err(error) = &result {
            self.failed = Some(operation);
            self.say_farewell(operation, work, error);
        }
        result
    }

    fn carry(
        &mut self,
        operation: u64,
        work: &mut dyn Work,
        deadline: Duration,
    ) -> Result<(), Error> {
        let mut moved_at = Instant::now();
        loop {
            let mut visit = Visit::Idle;
            for peer in self.peers() {
                visit = visit.or(self.send(peer, operation, work)?);
                visit = visit.or(self.receive(peer, operation, work)?);
            }
            if work.is_done() && self.lines.iter().all(|line| line.sending().is_none()) {
                return Ok(());
            }
            if visit == Visit::Moved {
                moved_at = Instant::now();
                continue;
            }
            let patience = match work.blame() {
                Blame::Certain => deadline,
                Blame::Open => deadline.saturating_add(GRACE),
            };
            let left = patience.saturating_sub(moved_at.elapsed());
            if left.is_zero() {
                let mut ranks = work.missing();
                if ranks.is_empty() {
                    ranks = self
                        .peers()
                        .filter(|&peer| self.lines[peer].sending().is_some())
                        .collect();
                }
                return Err(Error::Silent {
                    ranks,
                    after: patience,
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
    fn send(&mut self, peer: usize, operation: u64, work: &mut dyn Work) -> Result<Visit, Error> {
        if self.lines[peer].sending().is_none() {
            let Some(ticket) = work.next(peer) else {
                return Ok(Visit::Idle);
            };
            self.begin(peer, operation, ticket, work.subject());
        }
        let line = &mut self.lines[peer];
        if let Some((_, error)) = line.deaf.take_if(|(since, _)| since.elapsed() >= GRACE) {
            return Err(self.cut_off(peer, operation, Doing::Sending, error));
        }
        if line.deaf.is_some() {
            return Ok(Visit::Idle);
        }
        match self.lines[peer].push(&mut *self.transport, work) {
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
        self.lines[peer].begin(ticket, &frame);
    }

    /// Receives at most one frame from `peer`.
    fn receive(
        &mut self,
        peer: usize,
        operation: u64,
        work: &mut dyn Work,
    ) -> Result<Visit, Error> {
        let mut visit = Visit::Idle;
        loop {
            if self.lines[peer].receiving().is_none() {
                let doing = if work.awaits(peer) {
                    Doing::Receiving
                } else {
                    Doing::Waiting
                };
                let read = self.lines[peer].read_header(&mut *self.transport);
                visit =
                    visit.or(read.map_err(|error| self.cut_off(peer, operation, doing, error))?);
                let Some(header) = self.lines[peer].header() else {
                    return Ok(visit);
                };
                let Some(ticket) = self.admit(peer, operation, header, work)? else {
                    return Ok(visit);
                };
                self.lines[peer].take(ticket);
            }
            let pulled = self.lines[peer].pull(&mut *self.transport, work);
            let pulled =
                pulled.map_err(|error| self.cut_off(peer, operation, Doing::Receiving, error))?;
            visit = visit.or(pulled);
            if let Some(ticket) = self.lines[peer].arrived() {
                work.received(peer, ticket);
                return Ok(Visit::Moved);
            }
            if pulled == Visit::Idle {
                return Ok(visit);
            }
        }
    }

    /// What the header that has come from `peer` announces, if its payload can be taken now.
    fn admit(
        &self,
        peer: usize,
        operation: u64,
        header: &[u8; HEADER],
        work: &dyn Work,
    ) -> Result<Option<Ticket>, Error> {
        let frame = self.check(peer, operation, header)?;
        let protocol = |what| self.protocol(peer, operation, what);
        if frame.phase == Phase::Leave {
            return match work.awaits(peer) {
                true => Err(self.lost(peer, operation, Doing::Receiving, Evidence::Left)),
                false => Ok(None),
            };
        }
        if !work.awaits(peer) {
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
            work.subject().into(),
            frame.subject.into(),
        )
        .map_err(protocol)?;
        match work.admit(peer, frame.phase, frame.block) {
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
    fn check(&self, peer: usize, operation: u64, header: &[u8; HEADER]) -> Result<Frame, Error> {
        let protocol = |what| self.protocol(peer, operation, what);
        let frame = Frame::decode(header).map_err(protocol)?;
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

    fn cut_off(&self, peer: usize, operation: u64, doing: Doing, error: io::Error) -> Error {
        self.lost(peer, operation, doing, Evidence::Connection(error))
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
    fn say_farewell(&mut self, operation: u64, work: &dyn Work, error: &Error) {
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
            untold.retain(|&peer| !self.told(peer, operation, work, note, culprit));
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
        work: &dyn Work,
        note: Ticket,
        culprit: usize,
    ) -> bool {
        loop {
            match self.lines[peer].sending() {
                None => self.begin(peer, operation, note, culprit as u32),
                Some(ticket) => {
                    if self.lines[peer].push(&mut *self.transport, work).is_err() {
                        return true;
                    }
                    if self.lines[peer].sending().is_some() {
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
