//! `formgate config`: the result of defaults, file, environment and flags, as TOML that can be read back. Owns its
//! layout; the values and where they come from are `config`'s.

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

/// Prints the configuration.
///
/// # Errors
/// None; what is wrong is said.
pub fn run(args: &Args, config: &args::Config) -> anyhow::Result<ExitCode> {
    let configured = Config::read(args.config.as_deref(), &config.flags());
    let (config, mut complaints) = (configured.config, configured.warnings);
    complaints.extend(read::unusable(&config));
    // The result is TOML or one JSON value; complaints must not be mixed into it.
    out::complaints(&complaints, false);
    if complaints
        .iter()
        .any(crate::source::complaint::Complaint::is_error)
    {
        return Ok(ExitCode::from(1));
    }
    let shown = config.shown();
    let from = |key: &str| {
        config
            .said
            .get(key)
            .map_or("default", String::as_str)
            .to_owned()
    };
    if args.json {
        let values = shown.iter().map(|(key, value)| {
            let value = value_of(value);
            (
                (*key).to_owned(),
                json!({"value": value, "from": from(key)}),
            )
        });
        out::json(&Value::Object(values.collect::<Map<_, _>>()));
        return Ok(ExitCode::SUCCESS);
    }
    let width = shown.iter().map(|(key, value)| {
        key.split('.').next_back().unwrap_or(key).len() + value.chars().count()
    });
    let width = width.max().unwrap_or(0).min(48) + 3;
    let print = |name: &str, key: &str, value: &str| {
        let line = format!("{name} = {value}");
        let from = paint(Paint::Dim, &format!("# {}", from(key)));
        out::line(&format!("{line:width$}  {from}"));
    };
    for (key, value) in shown.iter().filter(|(key, _)| !key.contains('.')) {
        print(key, key, value);
    }
    let mut table = "";
    for (key, value) in &shown {
        let Some((inside, name)) = key.split_once('.') else {
            continue;
        };
        if inside != table {
            out::line(&format!("\n[{inside}]"));
            table = inside;
        }
        print(name, key, value);
    }
    Ok(ExitCode::SUCCESS)
}

/// A TOML value that is JSON as well: texts, numbers, flags and lists of them are.
fn value_of(toml: &str) -> Value {
    serde_json::from_str(toml).unwrap_or_else(|_| toml.into())
}
