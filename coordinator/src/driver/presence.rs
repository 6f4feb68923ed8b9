//! Workers come, are heard and go. What an older stream of a worker still brings is dropped here.

use proto::RankStatus;
use scheduler::{Event, RankInventory};
use spec::rank::Progress;
use tracing::{info, warn};

use super::{Driver, Hello};
use crate::error::Error;
use crate::roster::{Outgoing, Seat};

impl Driver {
    /// Gives a worker its seat. The inner error is the worker's, the outer one the coordinator's.
    pub(super) fn join(
        &mut self,
        hello: Hello,
        outgoing: Outgoing,
    ) -> Result<Result<Seat, Error>, Error> {
        let worker = self.ledger.worker_id(&mut self.batch, &hello.name)?;
        if self.roster.is_taken(worker, &hello.instance) {
            return Ok(Err(Error::NameTaken { name: hello.name }));
        }
        // The id is durable before another name is looked up: two new names must not get one id.
        self.flush()?;
        let seat = self.roster.open(worker, &hello.instance, outgoing);
        info!(%worker, name = hello.name, class = hello.offer.device_class, threads = hello.offer.threads, "worker joined");
        self.roster.welcome(seat, self.heartbeat);
        let ranks = hello.ranks.into_iter().map(inventory).collect();
        self.step(Event::WorkerJoined {
            worker,
            name: hello.name,
            offer: hello.offer,
            ranks,
        })?;
        Ok(Ok(seat))
    }

    pub(super) fn beat(&mut self, seat: Seat) -> Result<(), Error> {
        if !self.roster.is_current(seat) {
            return Ok(());
        }
        self.step(Event::WorkerBeat {
            worker: seat.worker,
        })
    }

    /// A worker said goodbye.
    pub(super) fn leave(&mut self, seat: Seat) -> Result<(), Error> {
        if !self.roster.is_current(seat) {
            return Ok(());
        }
        info!(worker = %seat.worker, "worker left");
        self.roster.close(seat);
        self.step(Event::WorkerLeft {
            worker: seat.worker,
        })
    }

    /// A worker's stream broke.
    pub(super) fn gone(&mut self, seat: Seat) -> Result<(), Error> {
        if !self.roster.is_current(seat) {
            return Ok(());
        }
        warn!(worker = %seat.worker, "stream of worker broke, waiting for it to come back");
        self.roster.close(seat);
        self.step(Event::WorkerGone {
            worker: seat.worker,
        })
    }
}

fn inventory(status: RankStatus) -> RankInventory {
    let RankStatus {
        attempt,
        rank,
        progress,
    } = status;
    let status = match progress {
        Progress::Starting => scheduler::RankStatus::Starting,
        Progress::Ready { address } => scheduler::RankStatus::Ready { address },
        Progress::Running => scheduler::RankStatus::Running,
        Progress::Done { step, state_digest } => scheduler::RankStatus::Done { step, state_digest },
    };
    RankInventory {
        attempt,
        rank,
        status,
    }
}
