//! The gRPC services: decode, one call, encode. The only place in this crate that knows generated types.

use proto::v1::depot_server::DepotServer;
use proto::v1::jobs_server::JobsServer;
use proto::v1::workers_server::WorkersServer;
use tonic::service::Routes;
use tonic::{Code, Status};

use crate::driver::{Command, Handle};
use crate::error::Error;
use crate::ledger::Ledger;

mod depot;
mod jobs;
#[cfg(test)]
pub(crate) mod machine;
#[cfg(test)]
pub(crate) mod rig;
mod workers;

/// What every service is made of.
#[derive(Clone)]
pub(crate) struct Service {
    pub ledger: Ledger,
    pub driver: Handle,
}

impl Service {
    /// All services, health and reflection.
    pub async fn routes(self) -> Routes {
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_serving::<JobsServer<Service>>().await;
        health.set_serving::<DepotServer<Service>>().await;
        health.set_serving::<WorkersServer<Service>>().await;
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .expect("the compiled descriptors are whole");
        let (limit, reply_limit) = (proto::MAX_MESSAGE_BYTES, proto::MAX_REPLY_BYTES);
        Routes::new(health_service)
            .add_service(reflection)
            .add_service(
                JobsServer::new(self.clone())
                    .max_decoding_message_size(limit)
                    .max_encoding_message_size(reply_limit),
            )
            .add_service(
                DepotServer::new(self.clone())
                    .max_decoding_message_size(limit)
                    .max_encoding_message_size(reply_limit),
            )
            .add_service(
                WorkersServer::new(self)
                    .max_decoding_message_size(limit)
                    .max_encoding_message_size(reply_limit),
            )
    }

    /// Runs blocking work on the ledger away from the async threads.
    async fn with_ledger<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Ledger) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Status> {
        self.on_ledger(work).await.map_err(|error| status(&error))
    }

    /// Runs work that keeps what a job has reached. A disk that has no room for it will have none for records either: the
    /// coordinator ends and says so, and the job goes on from where it was once there is room.
    async fn keeping<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Ledger) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Status> {
        self.on_ledger(work).await.map_err(|error| {
            if is_full(&error) {
                // A driver that has ended has its own reason.
                let _ = self.driver.tell(Command::Fail(error));
                status(&Error::Stopping)
            } else {
                status(&error)
            }
        })
    }

    async fn on_ledger<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Ledger) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let ledger = self.ledger.clone();
        let done = tokio::task::spawn_blocking(move || work(&ledger)).await;
        done.unwrap_or(Err(Error::Stopping))
    }
}

/// Whether a store takes no more writes, whatever they are.
fn is_full(error: &Error) -> bool {
    matches!(
        error,
        Error::Store(store::Error::DiskFull { .. } | store::Error::Stopped { .. })
    )
}

/// The status that says what an error is.
fn status(error: &Error) -> Status {
    let code = match error {
        Error::UnknownJob { .. }
        | Error::UnknownDataset { .. }
        | Error::UnknownSplit { .. }
        | Error::UnknownCheckpoint { .. }
        | Error::NoCheckpoint { .. }
        | Error::NeverValidated { .. } => Code::NotFound,
        Error::SplitsDiffer { .. }
        | Error::NoFullBatch { .. }
        | Error::NoRowsToBalance { .. }
        | Error::NothingToBalance
        | Error::ScheduleTooLong(_)
        | Error::SequenceLength(_)
        | Error::Plan(_)
        | Error::TooLarge(_)
        | Error::BadName { .. }
        | Error::MissingChunk { .. }
        | Error::AmbiguousCheckpoint { .. } => Code::InvalidArgument,
        Error::CheckpointNeeded { .. } => Code::FailedPrecondition,
        Error::NameTaken { .. } => Code::AlreadyExists,
        Error::StaleAttempt { .. } => Code::Aborted,
        Error::Stopping => Code::Unavailable,
        Error::Store(_)
        | Error::BadRecord { .. }
        | Error::RecordVersion { .. }
        | Error::Listen { .. }
        | Error::Serve(_) => Code::Internal,
    };
    Status::new(code, error.to_string())
}

/// A message that breaks the contract of the wire.
fn refused(error: impl std::fmt::Display) -> Status {
    Status::invalid_argument(error.to_string())
}
