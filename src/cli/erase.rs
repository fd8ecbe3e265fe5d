//! `formgate erase`. Owns the report; what is erased is `store`'s.

use std::process::ExitCode;

use serde_json::json;

use crate::cli::args;
use crate::cli::args::Args;
use crate::cli::out;
use crate::cli::store::settings;
use crate::cli::store::with;
use crate::store::erase;

/// Erases what is kept about a person.
///
/// # Errors
/// The store cannot be used.
pub fn run(args: &Args, command: &args::Erase) -> anyhow::Result<ExitCode> {
    let Some(settings) = settings(args, &command.store.flags())? else {
        return Ok(ExitCode::from(1));
    };
    with(&settings, async |engine| {
        let erased = erase::person(&engine, &command.user).await?;
        if args.json {
            out::json(&json!({"jobs": erased.jobs, "timelines": erased.timelines}));
        } else {
            let jobs = usize::try_from(erased.jobs).unwrap_or(usize::MAX);
            let jobs = out::count(jobs, "job");
            out::line(&format!("the contents of {jobs} are erased"));
        }
        Ok(ExitCode::SUCCESS)
    })
}
