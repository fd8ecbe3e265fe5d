//! `formgate completions`. Owns nothing but the call.

use std::process::ExitCode;

use clap::CommandFactory;

use crate::cli::args;
use crate::cli::args::Args;
use crate::cli::out;

/// Prints completions for a shell.
///
/// # Errors
/// None.
pub fn run(completions: &args::Completions) -> anyhow::Result<ExitCode> {
    // Written into memory first: a reader that has gone must not make it panic.
    let mut script = Vec::new();
    clap_complete::generate(
        completions.shell,
        &mut Args::command(),
        "formgate",
        &mut script,
    );
    out::bytes(&script);
    Ok(ExitCode::SUCCESS)
}
