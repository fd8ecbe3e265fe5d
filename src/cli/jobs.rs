//! `formgate jobs list` and `tail`: one line for each call that was made. Owns filters and lines; finding is `store`'s,
//! showing one and repeating it stand beside this.

mod replay;
mod show;

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use jiff::Timestamp;
use serde_json::Value;

use crate::cli::args;
use crate::cli::args::Args;
use crate::cli::args::JobsCommand;
use crate::cli::args::JobsWanted;
use crate::cli::out;
use crate::cli::out::Paint;
use crate::cli::out::paint;
use crate::cli::store::settings;
use crate::cli::store::with;
use crate::source::measure::duration;
use crate::store::engine::Engine;
use crate::store::jobs;
use crate::store::jobs::Filter;

/// How often it is looked for new jobs.
const POLL: Duration = Duration::from_millis(500);
/// A job is written when its call is over, under the time at which it began: so far back it is looked.
const WINDOW: Duration = Duration::from_secs(120);
/// The most that are shown at once while following.
const MOST: u32 = 1000;

/// Finds, shows, follows and repeats jobs.
///
/// # Errors
/// The store cannot be used, or there is no such job.
pub fn run(args: &Args, command: &args::Jobs) -> anyhow::Result<ExitCode> {
    let mut flags = command.store.flags();
    if let JobsCommand::Replay(replay) = &command.command {
        flags.append(&mut replay.overrides.flags());
    }
    let Some(settings) = settings(args, &flags)? else {
        return Ok(ExitCode::from(1));
    };
    with(&settings, async |engine| match &command.command {
        JobsCommand::List(list) => {
            let filter = filter(list)?;
            for job in jobs::list(&engine, &filter).await? {
                print(&job, args.json);
            }
            Ok(ExitCode::SUCCESS)
        }
        JobsCommand::Show(show) => show::run(&engine, &show.id, args.json).await,
        JobsCommand::Tail(tail) => follow(&engine, &tail.wanted, args.json).await,
        JobsCommand::Replay(replay) => replay::run(args, &engine, &replay.id, &flags).await,
    })
}

fn wanted(wanted: &JobsWanted) -> Filter {
    Filter {
        form: wanted.form.clone(),
        hook: wanted.hook.clone(),
        outcome: wanted.outcome.clone(),
        submission: wanted.submission.clone(),
        request: wanted.request.clone(),
        most: MOST,
        ..Filter::default()
    }
}

fn filter(list: &args::JobsList) -> anyhow::Result<Filter> {
    let now = Timestamp::now();
    let time = |text: &Option<String>| text.as_deref().map(|text| moment(text, now)).transpose();
    Ok(Filter {
        since: time(&list.since)?,
        until: time(&list.until)?,
        most: list.limit,
        ..wanted(&list.wanted)
    })
}

/// A moment, or so long ago; in milliseconds since 1970.
fn moment(text: &str, now: Timestamp) -> anyhow::Result<i64> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at.as_millisecond());
    }
    match duration(text) {
        Ok(ago) => {
            let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
            Ok(now.as_millisecond().saturating_sub(ago))
        }
        Err(_) => bail!("`{text}` is no time; write 2026-11-20T20:37:00Z, or 1h for an hour ago"),
    }
}

/// Shows jobs as they come, until the process is ended.
async fn follow(engine: &Engine, jobs: &JobsWanted, as_json: bool) -> anyhow::Result<ExitCode> {
    let window = i64::try_from(WINDOW.as_millis()).unwrap_or(i64::MAX);
    let mut seen: HashMap<String, i64> = HashMap::new();
    let mut is_first = true;
    loop {
        let since = Timestamp::now().as_millisecond() - window;
        let filter = Filter {
            since: Some(since),
            ..wanted(jobs)
        };
        let found = jobs::list(engine, &filter).await?;
        let now = Timestamp::now().as_millisecond();
        for job in found.iter().rev() {
            let id = job["id"].as_str().unwrap_or_default();
            let is_new = seen.insert(id.to_owned(), now).is_none();
            // What was there before is no news.
            if is_new && !is_first {
                print(job, as_json);
            }
        }
        is_first = false;
        seen.retain(|_, last| *last == now);
        tokio::time::sleep(POLL).await;
    }
}

/// One line for one job.
fn print(job: &Value, as_json: bool) {
    if as_json {
        out::json(job);
        return;
    }
    let text = |name: &str| job[name].as_str().unwrap_or_default();
    let took = millis(job["total_us"].as_u64().unwrap_or_default());
    let status = job["status"].as_u64();
    let status = status.map_or_else(String::new, |status| format!(" {status}"));
    out::line(&format!(
        "{}  {}  {:<12} {:<16} {:<18} {}{status}  {took}",
        paint(Paint::Dim, text("id")),
        text("at"),
        text("form"),
        text("hook"),
        text("event"),
        coloured(text("outcome")),
    ));
}

/// An outcome, so that what failed is seen.
fn coloured(outcome: &str) -> String {
    let colour = match outcome {
        "faulty" | "failed" | "timed_out" => Paint::Red,
        "skipped" | "stopped" | "shadow" => Paint::Yellow,
        _ => Paint::Green,
    };
    paint(colour, outcome)
}

/// `12.3 ms`
fn millis(micros: u64) -> String {
    format!("{}.{} ms", micros / 1000, micros % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_times_or_so_long_ago() {
        let now: Timestamp = "2026-11-20T20:37:00Z".parse().expect("a time");
        let at = |text| moment(text, now).ok().map(jobs::shown);
        assert_eq!(at("1h").as_deref(), Some("2026-11-20T19:37:00.000Z"));
        assert_eq!(
            at("2026-11-20T21:37:00+01:00").as_deref(),
            Some("2026-11-20T20:37:00.000Z")
        );
        assert_eq!(at("yesterday"), None);
    }
}
