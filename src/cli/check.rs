//! `formgate check`: reads everything and says what is wrong, as `serve` and a reload would. Owns the summary.

use std::collections::HashMap;
use std::process::ExitCode;

use anyhow::anyhow;
use serde_json::Value;
use serde_json::json;
use tokio::runtime::Builder;

use crate::cli::args;
use crate::cli::args::Args;
use crate::cli::out;
use crate::cli::out::Paint;
use crate::cli::out::paint;
use crate::cli::read;
use crate::config::Config;
use crate::model::event::Event;
use crate::model::origin::Origin;
use crate::rules::book::Book;
use crate::rules::form::Form;
use crate::source::complaint::Complaint;

/// Reads everything and says what is wrong.
///
/// # Errors
/// Names cannot be looked up here; else what is wrong is the result.
pub fn run(args: &Args, check: &args::Check) -> anyhow::Result<ExitCode> {
    let (config, flags) = read::place(args, check.folder.as_ref());
    let (config, loaded) = read::everything(config.as_deref(), &flags);
    let (book, mut complaints) = match loaded {
        Ok(loaded) => (Some(loaded.book), loaded.warnings),
        Err(complaints) => (None, complaints),
    };
    if let Some(book) = book.as_ref().filter(|_| check.online) {
        complaints.extend(looked_up(&config, book)?);
    }
    let errors = complaints.iter().filter(|one| one.is_error()).count();
    let warnings = complaints.len() - errors;
    let code = ExitCode::from(u8::from(errors > 0));
    let rules = config.rules.display().to_string();
    if args.json {
        let complaints: Vec<Value> = complaints.iter().map(Complaint::to_json).collect();
        let file = config.file.as_ref().map(|file| file.display().to_string());
        out::json(&json!({
            "ok": errors == 0, "config": file, "rules": rules, "errors": errors, "warnings": warnings,
            "loaded": book.as_ref().map(counts), "complaints": complaints,
        }));
        return Ok(code);
    }
    out::complaints(&complaints, false);
    let file = match &config.file {
        Some(file) => file.display().to_string(),
        None => "no formgate.toml".to_owned(),
    };
    let found = [(errors, "error"), (warnings, "warning")];
    let found = found.iter().filter(|(number, _)| *number > 0);
    let found: Vec<String> = found
        .map(|(number, noun)| out::count(*number, noun))
        .collect();
    let Some(book) = book else {
        let found = paint(Paint::Red, &found.join(", "));
        out::line(&format!("{rules}, {file}: {found}"));
        return Ok(code);
    };
    out::line(&format!("{rules}, {file}: {}", summary(&book)));
    forms(&book);
    if warnings > 0 {
        out::line(&paint(Paint::Yellow, &found.join(", ")));
    } else {
        out::line(&paint(Paint::Green, "nothing is wrong"));
    }
    Ok(code)
}

/// Hooks whose names lead nowhere, or where no hook may be called. Those that are addresses were judged before.
fn looked_up(config: &Config, book: &Book) -> anyhow::Result<Vec<Complaint>> {
    let reach = config.reach();
    let reach = reach.map_err(|(key, why)| anyhow!("`{key}`: {why}"))?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut answers: HashMap<&Origin, Option<String>> = HashMap::new();
    let mut complaints = Vec::new();
    let hooks = book.hooks().iter();
    let by_name = |host: &str| config.egress.judge_literal(host).is_ok();
    for hook in hooks.filter(|hook| by_name(&hook.origin.host)) {
        let answer = answers.entry(&hook.origin).or_insert_with(|| {
            let asked = runtime.block_on(reach.to_hooks.ask(&hook.origin));
            asked.err().map(|why| why.to_string())
        });
        complaints.extend(answer.as_ref().map(|why| read::about_hook(hook, why)));
    }
    // A name that is still being looked up must not hold the process.
    runtime.shutdown_background();
    Ok(complaints)
}

/// How much there is of everything.
fn counts(book: &Book) -> Value {
    let sum = |count: fn(&Form) -> usize| -> usize {
        let forms = book.forms().iter().chain(book.discovered());
        forms.map(|form| count(form)).sum()
    };
    json!({
        "forms": book.forms().len(), "hooks": book.hooks().len(), "cases": book.cases().len(),
        "rules": sum(|form| Event::ALL.iter().map(|event| form.rules(*event).count()).sum()),
        "fields": sum(|form| form.fields().count()), "discovers": book.discovered().is_some(),
    })
}

/// `2 forms, 3 hooks, 4 cases`.
#[must_use]
pub fn summary(book: &Book) -> String {
    let parts = [
        out::count(book.forms().len(), "form"),
        out::count(book.hooks().len(), "hook"),
        out::count(book.cases().len(), "case"),
    ];
    parts.join(", ")
}

/// How many forms are named.
const SHOWN: usize = 20;

/// Prints the forms, each with what is done for it.
pub fn forms(book: &Book) {
    for form in book.forms().iter().take(SHOWN) {
        out::line(&format!("  {:<20} {}", form.id, contents(form)));
    }
    if book.forms().len() > SHOWN {
        out::line(&format!("  … and {} more", book.forms().len() - SHOWN));
    }
    if let Some(form) = book.discovered() {
        out::line(&format!("  {:<20} {}", "(discovered)", contents(form)));
    }
}

fn contents(form: &Form) -> String {
    let mut parts = vec![form.place.to_string()];
    let fields = form.fields().count();
    if fields > 0 {
        parts.push(out::count(fields, "field"));
    }
    for event in Event::ALL {
        let rules = form.rules(event).count();
        let hooks = form.hooks(event).len();
        if rules + hooks > 0 {
            parts.push(format!(
                "{}: {}, {}",
                event.word(),
                out::count(rules, "rule"),
                out::count(hooks, "hook")
            ));
        }
    }
    parts.join("; ")
}
