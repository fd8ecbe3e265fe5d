//! `formgate try`: what would happen to a doc, and why. Owns the report; asking is `flow`'s, as for a real request.
//! Nothing is ever sent to a backend.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use anyhow::anyhow;
use anyhow::bail;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use tokio::runtime::Builder;
use tokio_util::task::TaskTracker;

use crate::cli::args;
use crate::cli::args::Args;
use crate::cli::args::How;
use crate::cli::out;
use crate::cli::out::Paint;
use crate::cli::out::paint;
use crate::cli::read;
use crate::flow::answer::Outcome;
use crate::flow::answer::Said;
use crate::flow::consult::Responders;
use crate::flow::snapshot::Snapshot;
use crate::flow::trial;
use crate::flow::trial::Trial;
use crate::flow::trial::Tried;
use crate::flow::trust::Trust;
use crate::metrics::register::Metrics;
use crate::model::call::SubmitResult;
use crate::model::doc::Jdoc;
use crate::model::event::Event;
use crate::rules::case::FAILS;
use crate::rules::case::Sample;
use crate::rules::form::Form;
use crate::source::measure::show_duration;

/// Tries a doc.
///
/// # Errors
/// There is no such form or event, or the doc cannot be read.
pub fn run(args: &Args, attempt: &args::Try) -> anyhow::Result<ExitCode> {
    let Some(work) = read::work(args, &attempt.overrides.flags()) else {
        return Ok(ExitCode::from(1));
    };
    let book = work.loaded.book;
    let form = Arc::clone(read::form(&book, &attempt.form)?);
    let event = attempt.event.as_deref().map(read::event).transpose()?;
    let sample = sample(attempt, event)?;
    let result = result(attempt.result.as_ref())?;
    let replies = replies(attempt.replies.as_ref(), &form)?;
    let config = &work.config;
    let trial = Trial::new(
        &form,
        &attempt.form,
        &sample,
        &config.project,
        config.matched,
    );
    let trial =
        trial.map_err(|rejected| anyhow!("the doc cannot be submitted: {}", rejected.text))?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime could not start")?;
    let course = Course {
        trial,
        event,
        result,
        asks_later: form.asks(Event::Submit),
    };
    let report = if attempt.live {
        let settings = work.config.settings().map_err(|why| anyhow!(why))?;
        let key = Arc::new(work.config.proof_key().map_err(|why| anyhow!(why))?);
        let trust = Arc::new(Trust::new(Arc::clone(&key), None));
        let (reach, metrics) = (&settings.reach, Metrics::new());
        let snapshot = Arc::new(Snapshot::new(Arc::new(book), reach, trust, &metrics, None));
        let tasks = TaskTracker::new();
        let responders = Responders::Live {
            recorder: None,
            snapshot: &snapshot,
            key: &key,
            tasks: &tasks,
        };
        runtime.block_on(async {
            let report = course.run(responders).await;
            // Shadow calls run on their own.
            tasks.close();
            tasks.wait().await;
            report
        })
    } else {
        runtime.block_on(course.run(Responders::Canned(&replies)))
    };
    if args.json {
        out::json(&report.to_json(attempt));
    } else {
        report.print(attempt);
    }
    Ok(ExitCode::SUCCESS)
}

fn sample(attempt: &args::Try, event: Option<Event>) -> anyhow::Result<Sample> {
    let doc = match &attempt.doc {
        Some(path) => read::object_file(path)?,
        None if event == Some(Event::Load) => Map::new(),
        None => bail!("say which doc with --doc FILE, or --doc - for the standard input"),
    };
    let params = read::option("--params", attempt.params.as_ref())?;
    Ok(Sample {
        doc,
        as_json: attempt.how.map(|how| how == How::Json),
        user_info: read::option("--user-info", attempt.user_info.as_ref())?,
        params: read::texts(params),
        result: None,
    })
}

fn result(text: Option<&String>) -> anyhow::Result<SubmitResult> {
    let object = read::option("--result", text)?;
    for key in object.keys() {
        if !["status", "location", "body"].contains(&key.as_str()) {
            bail!("--result has no key `{key}`; known are status, location, body");
        }
    }
    let status = object.get("status").map_or(Some(200), Value::as_u64);
    let status = status.and_then(|status| u16::try_from(status).ok());
    Ok(SubmitResult {
        status: status.context("`status` of --result must be a status such as 201")?,
        location: object
            .get("location")
            .and_then(Value::as_str)
            .map(str::to_owned),
        body: object.get("body").cloned(),
    })
}

fn replies(text: Option<&String>, form: &Form) -> anyhow::Result<Map<String, Value>> {
    let replies = read::option("--replies", text)?;
    let hooks = Event::ALL.iter().flat_map(|event| form.hooks(*event));
    let names: Vec<&str> = hooks.map(|chained| chained.hook.name.as_str()).collect();
    for (name, reply) in &replies {
        if !names.contains(&name.as_str()) {
            let mend = crate::source::shape::suggestion(name, names.iter().copied());
            bail!("the form has no hook `{name}`; {mend}");
        }
        if reply.is_string() && reply != FAILS {
            bail!("the reply of `{name}` is a JSON object, or \"{FAILS}\"");
        }
    }
    Ok(replies)
}

/// What is to be tried.
struct Course {
    trial: Trial,
    event: Option<Event>,
    result: SubmitResult,
    asks_later: bool,
}

/// What came of it.
struct Report {
    events: Vec<Tried>,
    said: Said,
}

impl Course {
    async fn run(mut self, responders: Responders<'_>) -> Report {
        let first = self.event.unwrap_or(Event::Preprocess);
        if first == Event::Submit {
            self.trial.type_fields();
        }
        let status = self.result.status;
        let tried = self.trial.ask(first, self.result.clone(), responders).await;
        let goes_on = self.event.is_none() && tried.goes_on() && self.asks_later;
        let mut said = tried.said.clone();
        let mut events = vec![tried];
        if goes_on {
            let changed: Jdoc = said.changed;
            let after = self.trial.ask(Event::Submit, self.result, responders).await;
            let before = events[0].decision.clone();
            said = trial::accepted(&before.and_then(after.decision.clone()), status);
            said.changed = changed;
            said = said.about(&self.trial.occasion().meta.request_id);
            events.push(after);
        }
        Report { events, said }
    }
}

impl Report {
    fn print(&self, attempt: &args::Try) {
        for tried in &self.events {
            let name = format!("{}_{}", tried.decision.event().name(), attempt.form);
            out::line(&paint(Paint::Bold, &name));
            if tried.found.steps.is_empty() {
                out::line("  nothing runs");
            }
            for step in &tried.found.steps {
                let place = paint(Paint::Dim, &format!("{}:", step.place));
                out::line(&format!("  {place} {}", step.text));
            }
            for hook in &tried.found.called {
                if let Some(job) = &hook.job {
                    let status = job
                        .status
                        .map_or_else(String::new, |status| format!(", status {status}"));
                    let time = show_duration(job.timings.total);
                    out::line(&format!(
                        "  `{}` was called: {} after {time}{status}",
                        hook.name,
                        job.outcome.word()
                    ));
                }
                for fault in &hook.faults {
                    let word = paint(Paint::Red, "fault");
                    out::line(&format!("  {word} of `{}`: {fault}", hook.name));
                }
                for warning in &hook.warnings {
                    let word = paint(Paint::Yellow, "warning");
                    out::line(&format!("  {word} about `{}`: {warning}", hook.name));
                }
            }
        }
        let first = self.events[0].decision.event();
        out::line(&format!("\n{}", conclusion(&self.said, first)));
        out::pretty(&Value::Object(self.said.to_json()));
        if !attempt.live
            && self
                .events
                .iter()
                .any(|tried| !tried.found.called.is_empty())
        {
            out::line(&paint(
                Paint::Dim,
                "No hook was really called: --live calls them, --replies says what they reply.",
            ));
        }
    }

    fn to_json(&self, attempt: &args::Try) -> Value {
        let events: Vec<Value> = self.events.iter().map(event_json).collect();
        json!({
            "form": attempt.form, "live": attempt.live, "events": events,
            "answer": self.said.to_json(),
        })
    }
}

/// What happens, in a sentence that the answer completes.
#[must_use]
pub fn conclusion(said: &Said, event: Event) -> String {
    let (colour, word, rest) = match (said.outcome, event) {
        (Outcome::Stopped, _) => (
            Paint::Red,
            "stopped",
            "the backend is not called; the person gets",
        ),
        (Outcome::Unavailable, _) => (
            Paint::Red,
            "unavailable",
            "a hook cannot be relied on, so the backend is not called; the person gets",
        ),
        (Outcome::Redirected, Event::Submit) => (
            Paint::Green,
            "accepted",
            "the person is sent elsewhere instead of getting the backend's answer",
        ),
        (Outcome::Redirected, _) if said.submitted == Some(false) => (
            Paint::Yellow,
            "redirected",
            "the person is sent elsewhere instead",
        ),
        (Outcome::Redirected, _) => (
            Paint::Green,
            "accepted",
            "the backend gets the submission, and after it the person is sent elsewhere",
        ),
        (_, Event::Load) => (
            Paint::Green,
            "opened",
            "the page is answered; beside it is said",
        ),
        (_, Event::Submit) => (
            Paint::Green,
            "accepted",
            "the person gets the backend's answer; beside it is said",
        ),
        (_, Event::Preprocess) if said.changed.is_empty() => (
            Paint::Green,
            "accepted",
            "the backend gets the submission as it came; beside its answer is said",
        ),
        (_, Event::Preprocess) => (
            Paint::Green,
            "accepted",
            "the backend gets the submission with the changed fields; beside its answer is said",
        ),
    };
    format!("{}: {rest}", paint(colour, word))
}

fn event_json(tried: &Tried) -> Value {
    let steps =
        tried.found.steps.iter().map(
            |step| json!({"file": &*step.place.file, "line": step.place.line, "text": step.text}),
        );
    let called = tried.found.called.iter().map(|hook| {
        let texts = |findings: &[crate::model::job::Finding]| -> Vec<Value> {
            let findings = findings.iter();
            findings
                .map(|finding| json!({"place": finding.place, "text": finding.text}))
                .collect()
        };
        let job = hook.job.as_ref();
        json!({
            "hook": hook.name, "file": &*hook.place.file, "line": hook.place.line,
            "faults": texts(&hook.faults), "warnings": texts(&hook.warnings),
            "outcome": job.map(|job| job.outcome.word()), "status": job.and_then(|job| job.status),
            "total_ms": job.map(|job| u64::try_from(job.timings.total.as_millis()).unwrap_or(u64::MAX)),
        })
    });
    json!({
        "event": tried.decision.event().word(), "goes_on": tried.goes_on(), "conflict": tried.decision.conflict(),
        "trail": steps.collect::<Vec<_>>(), "called": called.collect::<Vec<_>>(),
        "doc": tried.doc.visible_value(None),
    })
}
