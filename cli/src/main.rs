//! The only binary: `trainyard`. Reads what was typed, runs the command, ends with the status that says how it went.
#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!("trainyard runs on Linux");

mod arguments;
mod client;
mod command;
mod end;
mod file;
mod local;
mod stop;
mod url;
mod view;
mod views;
mod yard;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command, Coordinator, Worker};
use crate::view::tell;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to stdout and are no failure.
            let code = if error.use_stderr() {
                ExitCode::from(2)
            } else {
                ExitCode::SUCCESS
            };
            if error.print().is_err() {
                return ExitCode::FAILURE;
            }
            return code;
        }
    };
    start_log(&arguments);
    if matches!(arguments.command, Command::Rank) {
        return worker::rank::main();
    }
    match command::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            if !stop.message.is_empty() {
                tell(&format!("trainyard: {}", stop.message));
            }
            stop.code.into()
        }
    }
}

/// Logs go to stderr: those of daemons and ranks from level info on, those of commands from level warn.
fn start_log(arguments: &Arguments) {
    let is_daemon = matches!(
        arguments.command,
        Command::Rank
            | Command::Coordinator(Coordinator::Start(_))
            | Command::Worker(Worker::Start(_))
    );
    let default = if is_daemon { "info" } else { "warn" };
    let filter = arguments.log.as_deref().unwrap_or(default);
    let filter = tracing_subscriber::EnvFilter::try_new(filter).unwrap_or_else(|error| {
        tell(&format!(
            "trainyard: --log {filter}: {error}; using {default}"
        ));
        tracing_subscriber::EnvFilter::new(default)
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        // It would be said on stderr, which is what has failed.
        .log_internal_errors(false)
        .init();
}
