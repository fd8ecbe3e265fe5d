//! Reading what a command works with: configuration, rule files, JSON from the command line. Owns what is said when
//! there is something wrong with it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use anyhow::anyhow;
use anyhow::bail;
use serde_json::Map;
use serde_json::Value;
use tracing_subscriber::EnvFilter;

use crate::cli::args::Args;
use crate::cli::out;
use crate::config::Config;
use crate::config::Flags;
use crate::config::flag;
use crate::gateway::tls::Tls;
use crate::model::event::Event;
use crate::rules::book::Book;
use crate::rules::book::Loaded;
use crate::rules::form::Form;
use crate::rules::hook::HookRule;
use crate::source::complaint::Complaint;
use crate::source::complaint::Severity;
use crate::source::shape::nearest;

/// What a command works with.
#[derive(Debug)]
pub struct Work {
    /// The configuration.
    pub config: Config,
    /// The rule files.
    pub loaded: Loaded,
}

/// The configuration and the flags where a command line names a folder: one of rule files, or one that has its own
/// `formgate.toml`.
#[must_use]
pub fn place(args: &Args, folder: Option<&PathBuf>) -> (Option<PathBuf>, Flags) {
    let Some(folder) = folder else {
        return (args.config.clone(), Flags::new());
    };
    let own = folder.join("formgate.toml");
    if args.config.is_none() && own.is_file() {
        return (Some(own), Flags::new());
    }
    let line = flag("rules", &folder.display().to_string(), "FOLDER");
    (args.config.clone(), vec![line])
}

/// Reads configuration and rule files. `None` if something is wrong; that has been said.
#[must_use]
pub fn work(args: &Args, flags: &Flags) -> Option<Work> {
    work_of(args, args.config.as_deref(), flags)
}

/// The same with a configuration that the command line may not have named.
#[must_use]
pub fn work_of(args: &Args, config: Option<&Path>, flags: &Flags) -> Option<Work> {
    match everything(config, flags) {
        (config, Ok(loaded)) => Some(Work { config, loaded }),
        (_, Err(complaints)) => {
            out::complaints(&complaints, args.json);
            None
        }
    }
}

/// Reads configuration and rule files, the latter even if something is wrong with the former. What is odd about
/// either is among the warnings.
pub fn everything(
    config: Option<&Path>,
    flags: &Flags,
) -> (Config, Result<Loaded, Vec<Complaint>>) {
    let configured = Config::read(config, flags);
    let (config, mut complaints) = (configured.config, configured.warnings);
    complaints.extend(unusable(&config));
    let loaded = match book(&config) {
        Ok(mut loaded) => {
            complaints.append(&mut loaded.warnings);
            Some(loaded)
        }
        Err(mut wrong) => {
            complaints.append(&mut wrong);
            None
        }
    };
    match loaded {
        Some(mut loaded) if !complaints.iter().any(Complaint::is_error) => {
            loaded.warnings = complaints;
            (config, Ok(loaded))
        }
        _ => (config, Err(complaints)),
    }
}

/// What the configuration names that cannot be used: certificates, keys, a log filter.
#[must_use]
pub fn unusable(config: &Config) -> Vec<Complaint> {
    let said = |key: &str| config.said.get(key).cloned().unwrap_or_default();
    let mut complaints = Vec::new();
    let mut complain = |key: &str, why: String| {
        complaints.push(Complaint::about(
            format!("`{key}`: {why}"),
            format!("said at {}", said(key)),
        ));
    };
    if let Err((key, why)) = config.reach() {
        complain(&key, why);
    }
    let folder = &config.intake.spool.folder;
    if !folder.is_dir() {
        let why = format!("there is no folder `{}`", folder.display());
        complain("limits.spool_folder", why);
    }
    if let Some(Err(why)) = config.tls.clone().map(Tls::load) {
        complain("tls.cert", why);
    }
    if let Err(error) = EnvFilter::try_new(&config.log) {
        let wanted = "write error, warn, info, debug, or targets such as `info,formgate::job=off`";
        complain(
            "log",
            format!("`{}` cannot be read ({error}); {wanted}", config.log),
        );
    }
    complaints
}

/// The rule files as configured. A folder that nobody asked for need not be there.
///
/// # Errors
/// Everything that is wrong, in all files.
pub fn book(config: &Config) -> Result<Loaded, Vec<Complaint>> {
    book_naming(config, &mut BTreeSet::new())
}

/// The same; `files` gets the files that rule files name, even if something is wrong.
///
/// # Errors
/// Everything that is wrong, in all files.
pub fn book_naming(
    config: &Config,
    files: &mut BTreeSet<PathBuf>,
) -> Result<Loaded, Vec<Complaint>> {
    if config.said.contains_key("rules") || config.rules.exists() {
        let mut loaded = Book::load_naming(&config.rules, &config.hosts, files)?;
        let closed = closed(config, &loaded.book);
        loaded.warnings.extend(closed);
        return Ok(loaded);
    }
    let mut loaded = Book::compile(Vec::new(), &config.rules, &config.hosts)?;
    let mut missing = Complaint::about(
        format!(
            "there is no folder `{}`, so every request passes through",
            config.rules.display()
        ),
        "make it and put a rule file into it, or name another with --rules",
    );
    missing.severity = Severity::Warning;
    loaded.warnings.push(missing);
    Ok(loaded)
}

/// Hooks that can never be called, since their URLs spell out an address that egress refuses.
fn closed(config: &Config, book: &Book) -> Vec<Complaint> {
    let refused = book.hooks().iter().filter_map(|hook| {
        let why = config.egress.judge_literal(&hook.origin.host).err()?;
        let why = format!("`{}` may not be called; egress: {why}", hook.origin.host);
        Some(about_hook(hook, &why))
    });
    refused.collect()
}

/// A warning about a hook.
#[must_use]
pub fn about_hook(hook: &HookRule, why: &str) -> Complaint {
    let message = format!("hook `{}`: {why}", hook.name);
    let mut complaint = Complaint::about(message, format!("said at {}", hook.place));
    complaint.severity = Severity::Warning;
    complaint
}

/// A form by its id: one with a file, or one that `all-forms.toml` discovers.
///
/// # Errors
/// There is no such form.
pub fn form<'b>(book: &'b Book, id: &str) -> anyhow::Result<&'b Arc<Form>> {
    if let Some(form) = book.form(id) {
        return Ok(form);
    }
    let ids = || book.forms().iter().map(|form| form.id.as_str());
    let near = nearest(id, ids());
    match (book.discovered(), near) {
        (Some(form), None) if crate::rules::form::is_id(id) => Ok(form),
        (_, Some(near)) => bail!("there is no form `{id}`; did you mean `{near}`?"),
        (_, None) if book.forms().is_empty() => {
            bail!("there is no form `{id}`: there are no rule files")
        }
        (_, None) => {
            let mut known: Vec<&str> = ids().take(20).collect();
            if book.forms().len() > known.len() {
                known.push("…");
            }
            bail!("there is no form `{id}`; known are {}", known.join(", "))
        }
    }
}

/// An event by its word or name.
///
/// # Errors
/// There is no such event.
pub fn event(text: &str) -> anyhow::Result<Event> {
    if let Some(event) = Event::parse(text) {
        return Ok(event);
    }
    let words = Event::ALL.map(Event::word);
    let bare = text.trim_start_matches("form_");
    match nearest(bare, words) {
        Some(near) if bare != "submitted" => {
            bail!("there is no event `{text}`; did you mean `{near}`?")
        }
        _ => bail!("there is no event `{text}`; known are {}", words.join(", ")),
    }
}

/// A JSON object from a file, or from the standard input for `-`.
///
/// # Errors
/// It cannot be read, or is no object.
pub fn object_file(path: &Path) -> anyhow::Result<Map<String, Value>> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin()
            .read_to_string(&mut text)
            .context("the standard input cannot be read")?;
        return object("the standard input", &text);
    }
    let name = format!("`{}`", path.display());
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    object(&name, &text)
}

/// A JSON object from a text; `name` is what it is called.
///
/// # Errors
/// It is no object.
pub fn object(name: &str, text: &str) -> anyhow::Result<Map<String, Value>> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| anyhow!("{name} is not JSON: {error}"))?;
    match value {
        Value::Object(object) => Ok(object),
        other => bail!(
            "{name} must be a JSON object such as {{\"email\": \"ana@example.org\"}}, not {}",
            crate::model::reply_table::kind_of(&other)
        ),
    }
}

/// A JSON object of the command line; nothing if it was not given.
///
/// # Errors
/// It is no object.
pub fn option(name: &str, text: Option<&String>) -> anyhow::Result<Map<String, Value>> {
    text.map_or_else(|| Ok(Map::new()), |text| object(name, text))
}

/// Members as texts, for parameters of a path.
#[must_use]
pub fn texts(object: Map<String, Value>) -> Vec<(String, String)> {
    let members = object.into_iter().map(|(name, value)| match value {
        Value::String(text) => (name, text),
        other => (name, other.to_string()),
    });
    members.collect()
}
