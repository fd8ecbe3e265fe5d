//! The command line: subcommands, output for people and for machines, exit codes. The only place with `anyhow`; what
//! the commands do is the other modules'.
//!
//! Exit codes: 0 all is well, 1 something was found wrong (a rule file, a test, a reply), 2 the command could not be
//! understood or carried out.

pub mod args;
pub mod attempt;
pub mod check;
pub mod completions;
pub mod config;
pub mod demo;
pub mod erase;
pub mod explain;
pub mod jobs;
pub mod logging;
pub mod manager;
pub mod out;
pub mod read;
pub mod schema;
pub mod send;
pub mod serve;
pub mod store;
pub mod test;
pub mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::args::Args;
use crate::cli::args::Command;

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.command {
        Command::Serve(serve) => serve::run(&args, serve),
        Command::Demo(demo) => demo::run(&args, demo),
        Command::Check(check) => check::run(&args, check),
        Command::Explain(explain) => explain::run(&args, explain),
        Command::Try(attempt) => attempt::run(&args, attempt),
        Command::Test(test) => test::run(&args, test),
        Command::Send(send) => send::run(&args, send),
        Command::Jobs(jobs) => jobs::run(&args, jobs),
        Command::Store(store) => store::run(&args, store),
        Command::Erase(erase) => erase::run(&args, erase),
        Command::Schema(schema) => schema::run(schema),
        Command::Config(config) => config::run(&args, config),
        Command::Completions(completions) => completions::run(completions),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            out::error(&format!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}
