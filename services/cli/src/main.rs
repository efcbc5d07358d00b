//! carrel: the command of users and operators.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command answers on standard output")]

#[cfg(unix)]
mod account;
mod add;
#[cfg(unix)]
mod admin;
#[cfg(unix)]
mod admin_audit;
#[cfg(unix)]
mod admin_backup;
#[cfg(unix)]
mod admin_index;
#[cfg(unix)]
mod admin_init;
#[cfg(unix)]
mod admin_jobs;
#[cfg(unix)]
mod admin_store;
mod ask;
mod audit;
mod baseline;
mod commands;
mod credentials;
mod custody;
mod delete;
mod diff;
mod eval;
mod jobs;
mod output;
mod report;
#[cfg(unix)]
mod screen;
mod screening;
mod search;
#[cfg(unix)]
mod setup;
mod show;
#[cfg(unix)]
mod up;

use anyhow::Result;
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    // `carrel up` reads documents in children of itself.
    #[cfg(unix)]
    if carrel_extract::is_child() {
        return carrel_extract::child_main();
    }
    let arguments = commands::Arguments::parse();
    let json = arguments.json;
    if !arguments.serves() {
        output::end_with_the_reader();
    }
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            output::failure(&error, json);
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: commands::Arguments) -> Result<ExitCode> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build()?.block_on(commands::run(arguments))
}
