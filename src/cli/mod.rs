//! The command line: subcommands, output for people and for machines, exit codes. The only place with `anyhow`; what
//! the commands do is the other modules'.
//!
//! Exit codes: 0 all is well, 1 something was found wrong (a rule file, a test, a reply), 2 the command could not be
//! understood or carried out.

pub mod args;
pub mod demo;
pub mod logging;
pub mod out;
pub mod serve;
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
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            out::error(&format!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}
