//! `formgate explain`: which constraints, rules and hooks run for a form's event, in which order, from which line,
//! with which limits. Owns the words; the order is `flow`'s.

use std::process::ExitCode;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::cli::args;
use crate::cli::args::Args;
use crate::cli::out;
use crate::cli::out::Paint;
use crate::cli::out::paint;
use crate::cli::read;
use crate::config::Config;
use crate::model::call::Named;
use crate::model::event::Event;
use crate::rules::form::Absent;
use crate::rules::form::ChainHook;
use crate::rules::form::Form;
use crate::rules::form::LoadDoc;
use crate::rules::form::Query;
use crate::rules::hook::Mode;
use crate::rules::place::Place;
use crate::rules::when::When;
use crate::source::measure::show_duration;

/// Explains a form.
///
/// # Errors
/// There is no such form or event.
pub fn run(args: &Args, explain: &args::Explain) -> anyhow::Result<ExitCode> {
    let Some(work) = read::work(args, &explain.overrides.flags()) else {
        return Ok(ExitCode::from(1));
    };
    let form = read::form(&work.loaded.book, &explain.form)?;
    let events = match &explain.event {
        Some(text) => vec![read::event(text)?],
        None => Event::ALL.to_vec(),
    };
    let facts = facts(form, &work.config);
    let chains: Vec<Chain> = events
        .into_iter()
        .map(|event| Chain::of(form, &explain.form, event))
        .collect();
    if args.json {
        let facts: Map<String, Value> = facts
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect();
        let chains: Vec<Value> = chains.iter().map(Chain::to_json).collect();
        out::json(&json!({
            "form": explain.form, "title": form.title, "place": form.place.to_string(),
            "settings": facts, "events": chains,
        }));
        return Ok(ExitCode::SUCCESS);
    }
    let title = form.title.as_ref();
    let title = title.map_or_else(String::new, |title| format!(" ({title})"));
    let heading = paint(Paint::Bold, &format!("{}{title}", explain.form));
    out::line(&format!("{heading} at {}", form.place));
    for (key, value) in facts {
        out::line(&format!("  {key:<14} {value}"));
    }
    for chain in &chains {
        chain.print();
    }
    Ok(ExitCode::SUCCESS)
}

/// How the form is treated, whatever the event.
fn facts(form: &Form, config: &Config) -> Vec<(&'static str, String)> {
    let list = |items: &[String]| items.join(", ");
    let or = |text: String, other: &str| {
        if text.is_empty() {
            other.to_owned()
        } else {
            text
        }
    };
    let backend = form.backend.as_ref().unwrap_or(&config.backend);
    let hidden: Vec<&str> = form.hidden.names().collect();
    let sources: Vec<String> = form
        .user_info
        .iter()
        .map(|(key, source)| format!("{key} from {source}"))
        .collect();
    let writable = match &form.writable {
        Some(names) => or(list(names), "nothing"),
        None => "any field but files, hidden ones and names that start with `_`".to_owned(),
    };
    let strict = if form.strict {
        "; another field makes a reply faulty"
    } else {
        ""
    };
    let absent = match form.absent {
        Absent::Append => "appended",
        Absent::Ignore => "ignored",
    };
    let mut facts = vec![
        ("submissions", or(list(&form.submit), "none")),
        ("page", or(list(&form.load), "none")),
        ("load_doc", load_doc(form.load_doc).to_owned()),
        ("hosts", or(list(&form.hosts), "any")),
        ("backend", backend.to_string()),
        ("accepted", form.accepted.to_string()),
        ("user_info", or(sources.join(", "), "nothing")),
        (
            "hidden",
            or(hidden.join(", "), "nothing") + ", and passwords always",
        ),
        ("writable", format!("{writable}{strict}")),
        (
            "absent",
            format!("fields that a submission lacks are {absent}"),
        ),
        (
            "redirects",
            or(list(&form.redirect_hosts), "to the form's own host only"),
        ),
        ("api", api(form)),
        ("on_conflict", form.on_conflict.word().to_owned()),
    ];
    if form.query == Query::Apart {
        facts.push(("query", "no field of it counts beside a body".to_owned()));
    }
    if form.nested {
        facts.push((
            "nested",
            "names with brackets are shown as objects".to_owned(),
        ));
    }
    if !form.doc_path.is_empty() {
        facts.push(("doc_path", format!("$.{}", form.doc_path.join("."))));
    }
    if form.error_body.is_some() {
        facts.push(("error_body", "a shape of its own".to_owned()));
    }
    if let Some(update) = &form.update {
        facts.push(("update", update.to_string()));
    }
    facts
}

const fn load_doc(load_doc: LoadDoc) -> &'static str {
    match load_doc {
        LoadDoc::Empty => "empty: hooks on load are asked before the page is",
        LoadDoc::Page => {
            "page: the page is asked for first, and hooks on load get what its form holds"
        }
    }
}

fn api(form: &Form) -> String {
    let tokens = form.api.tokens.len();
    let mut parts = Vec::new();
    if tokens > 0 {
        parts.push(out::count(tokens, "bearer token"));
    }
    if let Some(claim) = &form.api.claim {
        parts.push(format!("a verified token with the claim `{claim}`"));
    }
    if parts.is_empty() {
        return "nobody is spared".to_owned();
    }
    format!("spared: {}", parts.join(", "))
}

/// What runs for one event, in order.
struct Chain {
    event: Event,
    name: String,
    budget: String,
    steps: Vec<Step>,
}

/// One constraint, rule or hook.
struct Step {
    kind: &'static str,
    place: Place,
    name: String,
    /// What there is to know, by key.
    details: Vec<(&'static str, String)>,
}

impl Chain {
    fn of(form: &Form, id: &str, event: Event) -> Self {
        let mut steps = Vec::new();
        // All checks of one file come before those of the next.
        for checks in &form.checks {
            if event == Event::Preprocess {
                steps.extend(checks.fields.iter().map(|field| Step {
                    kind: "field",
                    place: field.place.clone(),
                    name: field.name.clone(),
                    details: vec![("checks", field.in_words())],
                }));
            }
            let rules = checks.rules.iter().filter(|rule| rule.on == event);
            steps.extend(rules.map(|rule| Step {
                kind: "rule",
                place: rule.place.clone(),
                name: String::new(),
                details: vec![
                    ("when", condition(&rule.when)),
                    ("reply", rule.written().to_string()),
                ],
            }));
        }
        let hooks = form.hooks(event);
        steps.extend((0..hooks.len()).map(|at| hook(hooks, at, id)));
        let named = Named {
            event,
            form: Some(id),
        };
        Self {
            event,
            name: named.to_string(),
            budget: show_duration(form.budget),
            steps,
        }
    }

    fn print(&self) {
        let when = match self.event {
            Event::Load => "a person opens the form, before the page is answered",
            Event::Preprocess => "a person submits, before the backend sees anything",
            Event::Submit => "the backend has accepted, before the person gets the answer",
        };
        let heading = paint(Paint::Bold, &self.name);
        out::line(&format!("\n{heading}: {when}"));
        if self.steps.is_empty() {
            out::line("  nothing runs");
            return;
        }
        if self.steps.iter().any(|step| step.kind == "hook") {
            out::line(&format!("  budget of all hooks together: {}", self.budget));
        }
        for (at, step) in self.steps.iter().enumerate() {
            let name = if step.name.is_empty() {
                step.kind.to_owned()
            } else {
                format!("{} `{}`", step.kind, step.name)
            };
            let place = paint(Paint::Dim, &step.place.to_string());
            out::line(&format!("  {:>2}. {name}  {place}", at + 1));
            for (key, value) in &step.details {
                out::line(&format!("      {key:<11} {value}"));
            }
        }
        let local = self.steps.iter().any(|step| step.kind != "hook");
        if self.event == Event::Preprocess && local && self.steps.len() > 1 {
            out::line(
                "  Fields and rules give all their errors at once; with an error, no hook is called.",
            );
        }
    }

    fn to_json(&self) -> Value {
        let steps: Vec<Value> = self.steps.iter().map(Step::to_json).collect();
        json!({"event": self.event.word(), "name": self.name, "budget": self.budget, "steps": steps})
    }
}

impl Step {
    fn to_json(&self) -> Value {
        let mut json = Map::new();
        json.insert("kind".to_owned(), self.kind.into());
        if !self.name.is_empty() {
            json.insert("name".to_owned(), self.name.as_str().into());
        }
        json.insert("file".to_owned(), self.place.file.as_ref().into());
        json.insert("line".to_owned(), self.place.line.into());
        let details = self.details.iter();
        json.extend(details.map(|(key, value)| ((*key).to_owned(), value.as_str().into())));
        Value::Object(json)
    }
}

fn condition(when: &When) -> String {
    if when.is_always() {
        "always".to_owned()
    } else {
        when.written().join(" and ")
    }
}

fn hook(hooks: &[ChainHook], at: usize, id: &str) -> Step {
    let chained = &hooks[at];
    let hook = &chained.hook;
    let named = Named {
        event: hook.on,
        form: chained.own.then_some(id),
    };
    let mut details = vec![
        ("url", hook.url()),
        ("event", named.to_string()),
        ("when", condition(&hook.when)),
        (
            "gets",
            match &hook.fields {
                Some(fields) if fields.is_empty() => "no field".to_owned(),
                Some(fields) => fields.join(", "),
                None => "every field that is not hidden".to_owned(),
            },
        ),
        ("timeout", show_duration(hook.timeout)),
        ("on_failure", hook.on_failure.word().to_owned()),
        (
            "breaker",
            match hook.breaker.failures {
                0 => "never".to_owned(),
                failures => format!(
                    "after {} in a row, for {}",
                    out::count(failures as usize, "failure"),
                    show_duration(hook.breaker.retry_after)
                ),
            },
        ),
        ("at once", out::count(hook.at_once, "call")),
        ("mode", mode(hook.mode).to_owned()),
    ];
    if let Some(others) = together(hooks, at) {
        details.push(("parallel", others));
    }
    if !hook.headers.is_empty() {
        let names = hook.headers.iter().map(|(name, _)| name.as_str());
        details.push(("headers", names.collect::<Vec<_>>().join(", ")));
    }
    details.push((
        "signed",
        match hook.keys.len() {
            0 => "no".to_owned(),
            keys => format!("with {}", out::count(keys, "secret")),
        },
    ));
    Step {
        kind: "hook",
        place: hook.place.clone(),
        name: hook.name.clone(),
        details,
    }
}

const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Shadow => "shadow: called and recorded, its reply is not applied",
        Mode::Off => "off: not called",
    }
}

/// The parallel neighbours of a hook.
fn together(hooks: &[ChainHook], at: usize) -> Option<String> {
    if !hooks[at].hook.parallel {
        return None;
    }
    let before = hooks[..at].iter().rev();
    let first = at - before.take_while(|hook| hook.hook.parallel).count();
    let group = hooks[first..].iter().take_while(|hook| hook.hook.parallel);
    let others: Vec<&str> = group
        .enumerate()
        .filter(|(index, _)| first + index != at)
        .map(|(_, hook)| hook.hook.name.as_str())
        .collect();
    Some(if others.is_empty() {
        "yes, but it has no parallel neighbour".to_owned()
    } else {
        format!("together with {}", others.join(", "))
    })
}
