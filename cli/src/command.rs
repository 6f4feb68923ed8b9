//! The commands: a file each, one function that runs it.

mod checkpoint;
mod coordinator;
mod data;
mod doctor;
mod evaluate;
mod job;
mod job_file;
mod plan;
mod profile;
mod quickstart;
mod run;
mod submit;
mod up;
mod watch;
mod worker;

use tokio::runtime::Builder;

use crate::arguments::{Arguments, Command, Coordinator, Model, Worker};
use crate::client::Client;
use crate::end::unless_asked;
use crate::stop::Stop;
use crate::url;
use crate::view::Format;

/// Runs what was typed.
///
/// # Errors
/// Why it was not done.
pub fn run(arguments: Arguments) -> Result<(), Stop> {
    let Arguments {
        coordinator: url,
        json,
        log,
        command,
    } = arguments;
    let format = if json { Format::Json } else { Format::Table };
    let daemon = || {
        Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(Stop::failed)
    };
    // One thread is enough to talk, and the thread that starts children must be this one.
    let talker = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Stop::failed)?;
    let connect = || async { Client::connect(&url).await };
    let starts_its_own = matches!(
        command,
        Command::Quickstart(_) | Command::Up(_) | Command::Coordinator(_) | Command::Rank
    );
    if !starts_its_own {
        url::check(&url)?;
    }
    let result = match command {
        Command::Quickstart(options) => {
            talker.block_on(quickstart::run(&options, log.as_deref(), format))
        }
        Command::Up(options) => talker.block_on(up::run(&options, log.as_deref(), format)),
        Command::Run(options) => run::run(&options, &url, format),
        Command::Coordinator(Coordinator::Start(options)) => {
            daemon().and_then(|daemon| daemon.block_on(coordinator::start(&options, format)))
        }
        Command::Worker(Worker::Start(options)) => {
            daemon().and_then(|daemon| daemon.block_on(worker::start(&options, &url)))
        }
        Command::Worker(Worker::List) => talker.block_on(unless_asked(async {
            worker::list(&connect().await?, format).await
        })),
        Command::Plan(options) => plan::run(&options, &url, format),
        Command::Doctor(options) => talker.block_on(unless_asked(async {
            doctor::run(&options, &url, format).await
        })),
        Command::Submit(options) => talker.block_on(unless_asked(async {
            submit::run(&url, &options, format).await
        })),
        Command::Job(command) => talker.block_on(unless_asked(async {
            job::run(&connect().await?, command, format).await
        })),
        Command::Data(command) => talker.block_on(unless_asked(async {
            data::run(&connect().await?, &url, command, format).await
        })),
        Command::Checkpoint(command) => talker.block_on(unless_asked(async {
            checkpoint::run(&connect().await?, &url, command, format).await
        })),
        Command::Model(Model::Evaluate(options)) => talker.block_on(unless_asked(async {
            evaluate::run(&connect().await?, &url, &options, format).await
        })),
        Command::Model(Model::Profile(options)) => profile::run(&options, &url, format),
        Command::Rank => Err(Stop::refused("a rank is started by its worker")),
    };
    // What an interrupted command has left on other threads ends with the process.
    talker.shutdown_background();
    result
}
