//! Lines between processes: one TCP connection per pair of ranks, non-blocking, watched together by one epoll. Edges are
//! enough, because a gang waits only after every line that it wants something of has given 0.

mod card;
mod meet;

use std::io::{self, IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};

use crate::error::Error;
use crate::transport::Transport;

/// A rank's door: where the others find it until the meeting is over.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Opens a door on a free port of `ip`.
    ///
    /// # Errors
    /// [`Error::Socket`] when the address is not this machine's, or no port is free.
    pub fn bind(ip: IpAddr) -> Result<Listener, Error> {
        let open = || {
            let socket = TcpListener::bind((ip, 0))?;
            socket.set_nonblocking(true)?;
            let address = socket.local_addr()?;
            Ok(Listener { socket, address })
        };
        open().map_err(|source| Error::Socket {
            what: "listen",
            address: SocketAddr::new(ip, 0),
            source,
        })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// One rank's seat at a table of processes. Dropping it closes its connections.
#[derive(Debug)]
pub struct Tcp {
    rank: usize,
    /// By rank; none at this rank's own place.
    lines: Vec<Option<TcpStream>>,
    addresses: Vec<SocketAddr>,
    epoll: OwnedFd,
}

impl Tcp {
    /// Sits down with connections that have met.
    fn seated(
        rank: usize,
        lines: Vec<Option<TcpStream>>,
        addresses: &[SocketAddr],
    ) -> io::Result<Tcp> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (peer, line) in lines.iter().enumerate() {
            let Some(line) = line else { continue };
            line.set_nonblocking(true)?;
            line.set_nodelay(true)?;
            let events = epoll::EventFlags::IN
                | epoll::EventFlags::OUT
                | epoll::EventFlags::RDHUP
                | epoll::EventFlags::ET;
            epoll::add(&epoll, line, epoll::EventData::new_u64(peer as u64), events)?;
        }
        Ok(Tcp {
            rank,
            lines,
            addresses: addresses.to_vec(),
            epoll,
        })
    }

    fn line(&self, peer: usize) -> io::Result<&TcpStream> {
        self.lines
            .get(peer)
            .and_then(Option::as_ref)
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Transport for Tcp {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.lines.len()
    }

    fn address(&self, peer: usize) -> String {
        self.addresses
            .get(peer)
            .map_or_else(String::new, SocketAddr::to_string)
    }

    fn send(&mut self, peer: usize, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let line = self.line(peer)?;
        loop {
            // Not `write_vectored`: only this says that a broken line is an error here and not a signal.
            match sendmsg(
                line,
                parts,
                &mut SendAncillaryBuffer::default(),
                SendFlags::NOSIGNAL,
            ) {
                Ok(sent) => return Ok(sent),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Ok(0),
                Err(broken) => return Err(broken.into()),
            }
        }
    }

    fn receive(&mut self, peer: usize, parts: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let mut line = self.line(peer)?;
        loop {
            match line.read_vectored(parts) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(received) => return Ok(received),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(error) => return Err(error),
            }
        }
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        let timeout = Timespec::try_from(timeout).ok();
        let mut events = [const { MaybeUninit::uninit() }; 32];
        match epoll::wait(&self.epoll, &mut events, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
