//! Where configuration comes from: a file, variables, flags, each as a page of TOML, so that what is wrong is pointed at
//! alike. Owns the names of variables; what the pages come to is left to [`crate::config::apply`].

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;

use crate::config::keys::CONFIG;
use crate::source::complaint::Complaint;
use crate::source::complaint::Severity;
use crate::source::page::Page;
use crate::source::shape::Kind;
use crate::source::shape::nearest;

/// What the name of every variable begins with.
pub(in crate::config) const PREFIX: &str = "FORMGATE_";

/// What was said on the command line, as TOML lines with the flag they came from.
pub type Flags = Vec<(String, String)>;

pub(in crate::config) fn read_file(
    file: Option<&Path>,
) -> Result<Option<(PathBuf, Page)>, Complaint> {
    let path = file.unwrap_or_else(|| Path::new("formgate.toml"));
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some((
            path.to_path_buf(),
            Page::new(path.display().to_string(), text),
        ))),
        Err(error) if file.is_none() && error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let what = format!(
                "cannot read the configuration `{}`: {error}",
                path.display()
            );
            Err(Complaint::about(what, "name another with --config"))
        }
    }
}

/// Every key with its path and its variable: `limits.body`, `FORMGATE_LIMITS_BODY`.
pub(in crate::config) fn variables() -> Vec<(String, String, Kind)> {
    let mut all = Vec::new();
    for top in CONFIG.keys {
        match top.kind {
            Kind::Table(shape) => {
                for inner in shape.keys {
                    let path = format!("{}.{}", top.name, inner.name);
                    let variable = format!("FORMGATE_{}_{}", top.name, inner.name).to_uppercase();
                    all.push((path, variable, inner.kind));
                }
            }
            kind => all.push((
                top.name.to_owned(),
                format!("FORMGATE_{}", top.name).to_uppercase(),
                kind,
            )),
        }
    }
    all
}

/// Variables as TOML lines. One that is no key is warned of: it may be for another version.
pub(in crate::config) fn from_variables(given: Flags) -> (Flags, Vec<Complaint>) {
    let known = variables();
    let (mut lines, mut unknown) = (Vec::new(), Vec::new());
    for (name, value) in given {
        match known.iter().find(|(_, variable, _)| *variable == name) {
            Some((path, _, kind)) => {
                lines.push((format!("{path} = {}", toml_value(&value, *kind)), name));
            }
            None => {
                // What all of them begin with says nothing about likeness.
                let own = |variable: &'_ str| variable.trim_start_matches(PREFIX).to_owned();
                let names: Vec<String> =
                    known.iter().map(|(_, variable, _)| own(variable)).collect();
                let near = nearest(&own(&name), names.iter().map(String::as_str));
                let mend = match near {
                    Some(near) => format!("did you mean {PREFIX}{near}?"),
                    None => {
                        "`formgate config` lists the keys; `limits.body` is FORMGATE_LIMITS_BODY"
                            .to_owned()
                    }
                };
                let mut complaint =
                    Complaint::about(format!("the variable {name} is not known"), mend);
                complaint.severity = Severity::Warning;
                unknown.push(complaint);
            }
        }
    }
    (lines, unknown)
}

fn toml_value(value: &str, kind: Kind) -> String {
    // A JSON string is a TOML string.
    let quoted = |text: &str| Value::from(text).to_string();
    match kind {
        Kind::Count if value.parse::<u64>().is_ok() => value.to_owned(),
        Kind::Flag if matches!(value, "true" | "false") => value.to_owned(),
        Kind::Texts => {
            let items: Vec<String> = value
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(quoted)
                .collect();
            format!("[{}]", items.join(", "))
        }
        _ => quoted(value),
    }
}

/// A page of lines that nobody wrote as TOML, so that what is wrong in them is pointed at all the same.
pub(in crate::config) fn virtual_page(name: &str, lines: &Flags) -> Page {
    let text: String = lines
        .iter()
        .map(|(line, from)| format!("{line} # {from}\n"))
        .collect();
    Page::new(name, text)
}

/// A flag as a line of the command line's page.
#[must_use]
pub fn flag(path: &str, value: &str, name: &str) -> (String, String) {
    let kind = variables()
        .into_iter()
        .find(|(known, _, _)| known == path)
        .map_or(Kind::Text, |(_, _, kind)| kind);
    (
        format!("{path} = {}", toml_value(value, kind)),
        name.to_owned(),
    )
}
