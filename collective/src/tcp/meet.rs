//! The meeting: every rank connects to the lower ones and lets the higher ones in. A caller shows a hello with its fence
//! and rank and gets a welcome; whoever shows anything else, or nothing, is sent away or left standing, and the meeting
//! goes on.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use crate::error::Error;
use crate::fence::Fence;
use crate::frame::{Frame, HEADER, Mismatch, Phase};
use crate::tcp::card::{Card, Refusal, Stranger};
use crate::tcp::{Listener, Tcp};

/// How long a caller waits before it tries a lower rank again.
const RETRY: Duration = Duration::from_millis(20);

/// Callers beyond the gang's size that may stand at the door at once before the oldest is sent away.
const STRANGERS: usize = 64;

impl Listener {
    /// Meets the others: connects to the lower ranks, lets the higher ones in, and closes the door. `addresses` are those
    /// of all ranks, by rank.
    ///
    /// # Errors
    /// [`Error::Missing`] names the ranks that did not come before the deadline; [`Error::Fenced`] one that only answered
    /// under another fence; [`Error::Seat`] a rank that the gang does not have; [`Error::Socket`] what the operating
    /// system refused.
    pub fn meet(
        self,
        rank: usize,
        addresses: &[SocketAddr],
        fence: Fence,
        deadline: Duration,
    ) -> Result<Tcp, Error> {
        let ranks = addresses.len();
        if rank >= ranks {
            return Err(Error::Seat { rank, ranks });
        }
        let mut meeting = Meeting {
            me: Card { rank, ranks, fence },
            seats: (0..ranks).map(|_| None).collect(),
            callings: addresses[..rank]
                .iter()
                .map(|&address| Calling::new(address))
                .collect(),
            strangers: Vec::new(),
        };
        let door = self.address();
        let failed = |what| {
            move |source| Error::Socket {
                what,
                address: door,
                source,
            }
        };
        let start = Instant::now();
        while !meeting.is_complete() {
            let left = deadline.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(meeting.given_up(addresses, deadline));
            }
            meeting.call(Instant::now());
            meeting
                .wait(&self, left)
                .map_err(failed("wait for callers"))?;
            meeting.answer(&self).map_err(failed("let callers in"))?;
            meeting.hear();
        }
        Tcp::seated(rank, meeting.seats, addresses).map_err(failed("keep connections"))
    }
}

/// A call to a lower rank.
struct Calling {
    address: SocketAddr,
    line: Line,
    /// The fence that last answered, when it was another than ours.
    other_fence: Option<Fence>,
    /// What the last call ended with.
    failure: Option<io::Error>,
}

enum Line {
    /// Nobody has answered; try again then.
    Idle(Instant),
    Open(Stranger, Stage),
    Seated,
}

#[derive(PartialEq)]
enum Stage {
    Connecting,
    /// The hello is out, the welcome is awaited.
    Greeted,
}

impl Calling {
    fn new(address: SocketAddr) -> Self {
        Calling {
            address,
            line: Line::Idle(Instant::now()),
            other_fence: None,
            failure: None,
        }
    }

    fn start(address: SocketAddr) -> io::Result<TcpStream> {
        let family = if address.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket: OwnedFd = socket_with(family, SocketType::STREAM, flags, None)?;
        match connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(socket.into()),
            Err(error) => Err(error.into()),
        }
    }

    fn failed(&mut self, error: io::Error) {
        self.failure = Some(error);
        self.line = Line::Idle(Instant::now() + RETRY);
    }

    /// Goes as far as it can now; the connection, once `peer` has given its welcome.
    fn advance(&mut self, me: Card, peer: usize) -> io::Result<Option<TcpStream>> {
        let Line::Open(stranger, stage) = &mut self.line else {
            return Ok(None);
        };
        if *stage == Stage::Connecting {
            if let Some(error) = stranger.stream.take_error()? {
                return Err(error);
            }
            match stranger.stream.peer_addr() {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(None),
                Err(error) => return Err(error),
            }
            me.write(Phase::Hello, peer, &mut stranger.stream)?;
            *stage = Stage::Greeted;
        }
        let Some(header) = stranger.hear()? else {
            return Ok(None);
        };
        let welcome = |frame: &Frame| {
            me.check(Phase::Welcome, frame)?;
            Ok(Mismatch::check("sender", peer as u64, frame.sender.into())?)
        };
        match Frame::decode(&header)
            .map_err(Refusal::from)
            .and_then(|frame| welcome(&frame))
        {
            Ok(()) => {}
            Err(Refusal::Fence(theirs)) => {
                self.other_fence = Some(theirs);
                return Err(io::Error::other(format!(
                    "it answered under fence {theirs}"
                )));
            }
            Err(Refusal::Card(mismatch)) => return Err(io::Error::other(mismatch)),
        }
        match std::mem::replace(&mut self.line, Line::Seated) {
            Line::Open(stranger, _) => Ok(Some(stranger.stream)),
            Line::Idle(_) | Line::Seated => Ok(None),
        }
    }
}

struct Meeting {
    me: Card,
    /// By rank; this rank's own stays empty.
    seats: Vec<Option<TcpStream>>,
    /// The lower ranks, by rank.
    callings: Vec<Calling>,
    strangers: Vec<Stranger>,
}

impl Meeting {
    fn absent(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.me.ranks).filter(|&rank| rank != self.me.rank && self.seats[rank].is_none())
    }

    /// Whether everyone is here. A caller whose connection has ended by then has its seat yet to claim.
    fn is_complete(&mut self) -> bool {
        if self.absent().next().is_some() {
            return false;
        }
        for seat in &mut self.seats[self.me.rank + 1..] {
            seat.take_if(|stream| !is_alive(stream));
        }
        self.absent().next().is_none()
    }

    /// Calls the lower ranks whose time has come.
    fn call(&mut self, now: Instant) {
        for calling in &mut self.callings {
            if matches!(calling.line, Line::Idle(at) if at <= now) {
                match Calling::start(calling.address) {
                    Ok(stream) => {
                        calling.line = Line::Open(Stranger::new(stream), Stage::Connecting)
                    }
                    Err(error) => calling.failed(error),
                }
            }
        }
    }

    /// Waits until something happens at the door or on a line, or a call is to be tried again.
    fn wait(&self, door: &Listener, left: Duration) -> io::Result<()> {
        let mut fds = vec![PollFd::new(&door.socket, PollFlags::IN)];
        let mut timeout = left;
        for calling in &self.callings {
            match &calling.line {
                Line::Idle(at) => {
                    timeout = timeout.min(at.saturating_duration_since(Instant::now()))
                }
                Line::Open(stranger, Stage::Connecting) => {
                    fds.push(PollFd::new(&stranger.stream, PollFlags::OUT));
                }
                Line::Open(stranger, Stage::Greeted) => {
                    fds.push(PollFd::new(&stranger.stream, PollFlags::IN));
                }
                Line::Seated => {}
            }
        }
        fds.extend(
            self.strangers
                .iter()
                .map(|stranger| PollFd::new(&stranger.stream, PollFlags::IN)),
        );
        match poll(&mut fds, Timespec::try_from(timeout).ok().as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Lets callers stand at the door.
    fn answer(&mut self, door: &Listener) -> io::Result<()> {
        loop {
            match door.socket.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    self.strangers.push(Stranger::new(stream));
                    if self.strangers.len() > self.me.ranks + STRANGERS {
                        self.strangers.remove(0);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // The caller went away before it was let in.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            }
        }
    }

    /// Hears everyone who has something to say, and gives out seats.
    fn hear(&mut self) {
        for peer in 0..self.callings.len() {
            match self.callings[peer].advance(self.me, peer) {
                Ok(None) => {}
                Ok(Some(stream)) => self.seats[peer] = Some(stream),
                Err(error) => self.callings[peer].failed(error),
            }
        }
        let mut at = 0;
        while at < self.strangers.len() {
            match self.strangers[at].hear() {
                Ok(None) => at += 1,
                Ok(Some(header)) => {
                    let stranger = self.strangers.remove(at);
                    self.seat(&header, stranger.stream);
                }
                Err(_) => drop(self.strangers.remove(at)),
            }
        }
    }

    /// Gives a caller its seat, or sends it away by closing the connection.
    fn seat(&mut self, header: &[u8; HEADER], mut stream: TcpStream) {
        let Ok(frame) = Frame::decode(header) else {
            return;
        };
        match self.me.check(Phase::Hello, &frame) {
            Ok(()) => {}
            Err(Refusal::Fence(_)) => {
                // Tells a rank of another generation which one is meeting here. If it is gone, so much the better.
                let _ = self
                    .me
                    .write(Phase::Refused, frame.sender as usize, &mut stream);
                return;
            }
            Err(Refusal::Card(_)) => return,
        }
        let peer = frame.sender as usize;
        if peer <= self.me.rank || peer >= self.me.ranks {
            return;
        }
        // A second claim to a seat holds only if the connection of the first is dead: its owner calls again.
        if self.seats[peer].as_ref().is_some_and(is_alive) {
            return;
        }
        if self.me.write(Phase::Welcome, peer, &mut stream).is_ok() {
            self.seats[peer] = Some(stream);
        }
    }

    /// The error that names who is not there.
    fn given_up(mut self, addresses: &[SocketAddr], after: Duration) -> Error {
        let ranks: Vec<usize> = self.absent().collect();
        let of_another = |&rank: &usize| Some((rank, self.callings.get(rank)?.other_fence?));
        if let Some((rank, theirs)) = ranks.iter().find_map(of_another) {
            return Error::Fenced {
                rank,
                address: addresses[rank].to_string(),
                ours: self.me.fence,
                theirs,
            };
        }
        let reason = ranks
            .iter()
            .find_map(|&rank| self.callings.get_mut(rank)?.failure.take());
        Error::Missing {
            ranks,
            after,
            reason,
        }
    }
}

fn is_alive(stream: &TcpStream) -> bool {
    match stream.peek(&mut [0]) {
        Ok(read) => read > 0,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

#[cfg(test)]
mod tests;
