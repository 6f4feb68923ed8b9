//! The gRPC services: decode, one call, encode. The only place in this crate that knows generated types.

use proto::v1::depot_server::DepotServer;
use proto::v1::jobs_server::JobsServer;
use proto::v1::workers_server::WorkersServer;
use tonic::service::Routes;
use tonic::{Code, Status};

use crate::driver::Handle;
use crate::error::Error;
use crate::ledger::Ledger;

mod depot;
mod jobs;
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
        let limit = proto::MAX_MESSAGE_BYTES;
        Routes::new(health_service)
            .add_service(reflection)
            .add_service(
                JobsServer::new(self.clone())
                    .max_decoding_message_size(limit)
                    .max_encoding_message_size(limit),
            )
            .add_service(
                DepotServer::new(self.clone())
                    .max_decoding_message_size(limit)
                    .max_encoding_message_size(limit),
            )
            .add_service(
                WorkersServer::new(self)
                    .max_decoding_message_size(limit)
                    .max_encoding_message_size(limit),
            )
    }

    /// Runs blocking work on the ledger away from the async threads.
    async fn with_ledger<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Ledger) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Status> {
        let ledger = self.ledger.clone();
        let done = tokio::task::spawn_blocking(move || work(&ledger)).await;
        done.map_err(|_| status(&Error::Stopping))?
            .map_err(|error| status(&error))
    }
}

/// The status that says what an error is.
fn status(error: &Error) -> Status {
    let code = match error {
        Error::UnknownJob { .. }
        | Error::UnknownDataset { .. }
        | Error::UnknownSplit { .. }
        | Error::UnknownCheckpoint { .. }
        | Error::NoCheckpoint { .. } => Code::NotFound,
        Error::SplitsDiffer { .. }
        | Error::NoFullBatch { .. }
        | Error::ScheduleTooLong(_)
        | Error::Plan(_)
        | Error::BadName { .. }
        | Error::MissingChunk { .. }
        | Error::AmbiguousCheckpoint { .. } => Code::InvalidArgument,
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
