//! `formgate test`: runs the cases of the rule files without a network. Owns the report; running one is `flow`'s,
//! comparing it `rules`'.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
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
use crate::flow::trial;
use crate::rules::case::Case;
use crate::rules::case::FAILS;
use crate::rules::form::Form;

/// Runs the cases.
///
/// # Errors
/// The runtime could not start.
pub fn run(args: &Args, test: &args::Test) -> anyhow::Result<ExitCode> {
    let (config, flags) = read::place(args, test.folder.as_ref());
    let Some(work) = read::work_of(args, config.as_deref(), &flags) else {
        return Ok(ExitCode::from(1));
    };
    if !args.json {
        out::complaints(&work.loaded.warnings, false);
    }
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime could not start")?;
    let cases = work.loaded.book.cases();
    let wanted = |form: &Form, case: &Case| {
        let only = test.only.as_deref().unwrap_or_default();
        case.name.contains(only) || form.id.contains(only)
    };
    let wanted: Vec<_> = cases
        .iter()
        .filter(|(form, case)| wanted(form, case))
        .collect();
    let mut verdicts = Vec::new();
    for (form, case) in &wanted {
        let verdict = runtime.block_on(verdict(form, case, &work.config));
        if !args.json {
            verdict.print();
        }
        verdicts.push(verdict);
    }
    let failed = verdicts.iter().filter(|verdict| !verdict.is_good()).count();
    let passed = verdicts.len() - failed;
    if args.json {
        let cases: Vec<Value> = verdicts.iter().map(Verdict::to_json).collect();
        out::json(&json!({"passed": passed, "failed": failed, "cases": cases}));
    } else if verdicts.is_empty() {
        out::line(&nothing_to_do(cases.len(), test));
    } else {
        let others = cases.len() - verdicts.len();
        let left_out = if others > 0 {
            format!(", {others} left out")
        } else {
            String::new()
        };
        let word = if failed == 0 {
            paint(Paint::Green, "ok")
        } else {
            paint(Paint::Red, "FAILED")
        };
        out::line(&format!(
            "\n{word}: {passed} passed, {failed} failed{left_out}"
        ));
    }
    Ok(ExitCode::from(u8::from(failed > 0)))
}

fn nothing_to_do(all: usize, test: &args::Test) -> String {
    match &test.only {
        Some(only) if all > 0 => {
            format!(
                "no case has `{only}` in its name or form, of {}",
                out::count(all, "case")
            )
        }
        _ => "there are no cases; add a [[case]] to a rule file (`formgate test --help` shows one)"
            .to_owned(),
    }
}

/// What came of one case.
struct Verdict<'a> {
    case: &'a Case,
    form: &'a str,
    /// What is wrong, in sentences.
    wrong: Vec<String>,
    /// Key, expected, got.
    differences: Vec<(String, Value, Value)>,
    /// Why it came as it came.
    trail: Vec<String>,
}

async fn verdict<'a>(form: &'a Arc<Form>, case: &'a Case, config: &Config) -> Verdict<'a> {
    let mut verdict = Verdict {
        case,
        form: &form.id,
        wrong: Vec::new(),
        differences: Vec::new(),
        trail: Vec::new(),
    };
    match trial::run(form, case, &config.project, config.matched).await {
        Err(rejected) => verdict.wrong.push(format!("`doc`: {}", rejected.text)),
        Ok(tried) => {
            let meant = case.expect.contains_key("faulty");
            for hook in tried.found.called.iter().filter(|_| !meant) {
                let faults = hook.faults.iter();
                verdict.wrong.extend(faults.map(|fault| {
                    let name = &hook.name;
                    format!("the reply of `{name}` is faulty: {fault} (if that is meant, expect faulty = [\"{name}\"]; a hook without an answer is \"{FAILS}\")")
                }));
            }
            verdict.differences = case.differences(&tried.to_json());
            let steps = tried.found.steps.iter();
            verdict.trail = steps
                .map(|step| format!("{}: {}", step.place, step.text))
                .collect();
        }
    }
    verdict
}

impl Verdict<'_> {
    fn is_good(&self) -> bool {
        self.wrong.is_empty() && self.differences.is_empty()
    }

    fn print(&self) {
        let word = if self.is_good() {
            paint(Paint::Green, "ok")
        } else {
            paint(Paint::Red, "FAILED")
        };
        let (form, name, place) = (self.form, &self.case.name, &self.case.place);
        out::line(&format!("{form}: {name} … {word}"));
        if self.is_good() {
            return;
        }
        out::line(&format!("  at {place}"));
        for wrong in &self.wrong {
            out::line(&format!("  {wrong}"));
        }
        for (key, expected, got) in &self.differences {
            out::line(&format!("  {key}: expected {expected}"));
            out::line(&format!("  {:>1$}  got      {got}", "", key.len()));
        }
        for step in &self.trail {
            out::line(&paint(Paint::Dim, &format!("    {step}")));
        }
    }

    fn to_json(&self) -> Value {
        let differences = self.differences.iter();
        let differences: Vec<Value> = differences
            .map(|(key, expected, got)| json!({"key": key, "expected": expected, "got": got}))
            .collect();
        json!({
            "form": self.form, "name": self.case.name, "event": self.case.on.word(), "ok": self.is_good(),
            "file": &*self.case.place.file, "line": self.case.place.line,
            "wrong": self.wrong, "differences": differences, "trail": self.trail,
        })
    }
}
