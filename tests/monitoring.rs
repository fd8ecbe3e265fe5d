//! What an operator watches the gateway with is held to what it counts: the list in the docs, the dashboard, the alerts
//! and their run-books. Owns the comparisons; what is counted when is tested in `tests/it`. Prometheus' own checker
//! judges formats and expressions where it is installed.

#![expect(clippy::panic, reason = "helpers of tests fail the test")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use formgate::metrics::exposition;
use formgate::metrics::register::LIMITS;
use formgate::metrics::register::Metrics;
use formgate::metrics::word::Ended;
use formgate::metrics::word::OF_SUBMISSIONS;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Whether Prometheus' checker is there; if not, the test that needs it is skipped.
fn has_promtool() -> bool {
    if Command::new("promtool").arg("--version").output().is_ok() {
        return true;
    }
    let all = std::env::var("FORMGATE_REQUIRE_ALL").is_ok_and(|value| value == "1");
    assert!(
        !all,
        "promtool is not installed, and FORMGATE_REQUIRE_ALL=1"
    );
    // Past the test runner, which shows what a test prints only if the test fails.
    let _ = writeln!(std::io::stderr(), "skipped: promtool is not installed");
    false
}

/// Runs Prometheus' checker; what it complains of.
fn promtool(arguments: &[&str], input: &str) -> Result<(), String> {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let done = child.wait_with_output().expect("it ends");
    if done.status.success() {
        return Ok(());
    }
    let said = [done.stdout, done.stderr].concat();
    Err(String::from_utf8_lossy(&said).into_owned())
}

/// Metrics of a gateway in which something has happened.
fn lived() -> Arc<Metrics> {
    let metrics = Metrics::new();
    let key = |name: &str, more: &str| [[name.to_owned(), more.to_owned()]];
    let form = metrics.forms.adopt(key("contact", ""));
    form[0].requests[Ended::Accepted as usize].inc();
    form[0]
        .budget_left
        .observe(Duration::from_secs(1), Duration::from_secs(2));
    let hook = metrics.hooks.adopt(key("contact", "check"));
    hook[0].seconds[0].observe(Duration::from_millis(3));
    let backend = metrics.backends.adopt(key("http://127.0.0.1:3000", ""));
    backend[0].seconds.observe(Duration::from_millis(3));
    metrics.hit("limits.body");
    metrics
}

fn in_runtime<T>(work: impl FnOnce() -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(async { work() })
}

/// Every metric by its name, and its kind.
fn known() -> Vec<(String, String)> {
    let text = in_runtime(|| exposition::prometheus(&lived()));
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let all = kinds.filter_map(|line| line.split_once(' '));
    all.map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect()
}

/// Whether a metric of this name can be asked for.
fn is_known(known: &[(String, String)], name: &str) -> bool {
    known.iter().any(|(family, kind)| {
        let suffix = name.strip_prefix(family.as_str());
        match kind.as_str() {
            "histogram" => {
                suffix.is_some_and(|suffix| ["_bucket", "_sum", "_count"].contains(&suffix))
            }
            _ => suffix == Some(""),
        }
    })
}

/// Every name of a metric in an expression.
fn names(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours = words.filter(|word| word.starts_with("formgate_") || word.starts_with("process_"));
    ours.map(str::to_owned).collect()
}

/// The first cells of the table rows of a section, at any depth below its heading; each may name several.
fn listed(page: &str, heading: &str) -> BTreeSet<String> {
    let lines = page.lines().skip_while(|line| *line != heading).skip(1);
    let section = lines.take_while(|line| !line.starts_with('#'));
    let rows = section.filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.filter_map(|row| row.split(" |").next());
    let names = cells.flat_map(|cell| cell.split('`').map(str::to_owned).collect::<Vec<_>>());
    names
        .filter(|name| !name.is_empty() && name != ", ")
        .collect()
}

/// The alerts: their names and expressions, and the anchors of their run-books.
fn alerts() -> Vec<(String, String, String)> {
    let text = text("examples/monitoring/alerts.yml");
    let mut all = Vec::new();
    for block in text.split("- alert: ").skip(1) {
        let (name, rest) = block.split_once('\n').expect("a name");
        let of = |key: &str| {
            let mut lines = rest.lines().map(str::trim);
            let line = lines.find_map(|line| line.strip_prefix(key));
            let value = line.unwrap_or_else(|| panic!("{name}: no {key}"));
            value.trim().trim_matches('\'').to_owned()
        };
        let book = of("runbook: docs/OPERATING.md#");
        all.push((name.to_owned(), of("expr:"), book));
    }
    assert!(all.len() > 10, "the file was understood");
    all
}

fn dashboard() -> Value {
    let text = text("examples/monitoring/dashboard.json");
    serde_json::from_str(&text).expect("JSON")
}

/// The expressions of a dashboard, with where they stand.
fn expressions(dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut all = Vec::new();
    for panel in panels {
        let title = panel["title"].as_str().expect("a title");
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        assert_eq!(targets.is_empty(), panel["type"] == "row", "{title}");
        for target in targets {
            let expression = target["expr"].as_str().expect("an expression");
            all.push((title.to_owned(), expression.to_owned()));
        }
    }
    assert!(all.len() > 20, "the file was understood");
    all
}

#[test]
fn every_metric_is_documented_and_no_other() {
    let documented = listed(&text("docs/OPERATING.md"), "### What is counted");
    let words = Ended::WORDS.iter().map(|word| (*word).to_owned());
    let known: BTreeSet<String> = known()
        .into_iter()
        .map(|(name, _)| name)
        .chain(words)
        .collect();
    assert_eq!(documented, known);
}

#[test]
fn how_requests_and_submissions_end_is_documented() {
    let page = text("docs/OPERATING.md");
    let rows: Vec<&str> = page
        .lines()
        .skip_while(|line| *line != "How requests and submissions end:")
        .skip(4)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let of_submissions: Vec<&str> = OF_SUBMISSIONS.iter().map(|ended| ended.word()).collect();
    assert_eq!(rows.len(), Ended::WORDS.len());
    for (row, word) in rows.iter().zip(Ended::WORDS) {
        assert!(
            row.starts_with(&format!("| `{word}` | ")),
            "{row} is {word}"
        );
        let says = row.ends_with("| yes |");
        assert_eq!(says, of_submissions.contains(word), "{row}");
    }
}

#[test]
fn alerts_ask_for_what_is_counted_and_have_a_run_book() {
    let (known, page) = (known(), text("docs/OPERATING.md"));
    for (alert, expression, anchor) in alerts() {
        for name in names(&expression) {
            assert!(is_known(&known, &name), "{alert}: no {name}");
        }
        let heading = format!("#### {alert}");
        assert!(page.lines().any(|line| line == heading), "no {heading}");
        assert_eq!(anchor, alert.to_lowercase());
    }
    let names: BTreeSet<String> = alerts().into_iter().map(|(alert, ..)| alert).collect();
    let books = page
        .lines()
        .filter_map(|line| line.strip_prefix("#### Formgate"));
    let books: BTreeSet<String> = books.map(|book| format!("Formgate{book}")).collect();
    assert_eq!(books, names, "no run-book without its alert");
}

#[test]
fn the_dashboard_asks_for_what_is_counted() {
    let (known, dashboard) = (known(), dashboard());
    for (title, expression) in expressions(&dashboard) {
        let names = names(&expression);
        assert!(!names.is_empty(), "{title}: {expression}");
        for name in names {
            assert!(is_known(&known, &name), "{title}: no {name}");
        }
    }
    for list in ["templating", "annotations"] {
        for name in names(&dashboard[list].to_string()) {
            assert!(is_known(&known, &name), "{list}: no {name}");
        }
    }
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<u64> = panels
        .iter()
        .filter_map(|panel| panel["id"].as_u64())
        .collect();
    assert_eq!(ids.len(), panels.len(), "each has an id of its own");
    let place = |panel: &Value, side: &str| panel["gridPos"][side].as_u64().expect("a place");
    for (at, one) in panels.iter().enumerate() {
        assert!(place(one, "x") + place(one, "w") <= 24, "{}", one["title"]);
        for other in &panels[..at] {
            let beside = |from: &str, size: &str| {
                place(one, from) >= place(other, from) + place(other, size)
                    || place(other, from) >= place(one, from) + place(one, size)
            };
            let apart = beside("x", "w") || beside("y", "h");
            assert!(apart, "{} lies on {}", one["title"], other["title"]);
        }
    }
}

#[test]
fn every_limit_that_is_said_is_counted_by_its_name() {
    let mut said = BTreeSet::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("readable").path();
            // There every key is written down, of limits that nobody can come up against, too.
            let is_of_keys = ["config", "metrics", "cli"]
                .iter()
                .any(|name| path.ends_with(name));
            if path.is_dir() {
                folders.extend((!is_of_keys).then_some(path));
                continue;
            }
            let text = fs::read_to_string(&path).expect("text");
            let quoted = text.split('"');
            said.extend(
                quoted
                    .filter(|part| {
                        let name = part.strip_prefix("limits.");
                        let name = name.or_else(|| part.strip_prefix("backend_timeouts."));
                        let name = name.unwrap_or_default();
                        !name.is_empty()
                            && name
                                .bytes()
                                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
                    })
                    .map(str::to_owned),
            );
        }
    }
    said.insert("at_once".to_owned());
    let known: BTreeSet<String> = LIMITS.iter().map(|limit| (*limit).to_owned()).collect();
    assert_eq!(said, known);
}

#[test]
fn prometheus_takes_the_numbers() {
    if !has_promtool() {
        return;
    }
    let text = in_runtime(|| exposition::prometheus(&lived()));
    let checked = promtool(&["check", "metrics"], &text);
    assert_eq!(checked, Ok(()));
}

#[test]
fn prometheus_takes_the_alerts_and_every_expression_of_the_dashboard() {
    if !has_promtool() {
        return;
    }
    let path = |name: &str| root().join(name).display().to_string();
    let config = path("examples/monitoring/prometheus.yml");
    assert_eq!(promtool(&["check", "config", &config], ""), Ok(()));
    let mut rules = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    for (at, (_, expression)) in expressions(&dashboard()).iter().enumerate() {
        let expression = expression
            .replace("$__rate_interval", "5m")
            .replace("$__range", "6h")
            .replace("$instance", ".*")
            .replace("$form", ".*");
        assert!(!expression.contains('$'), "{expression}");
        rules.push_str(&format!(
            "      - record: dashboard:{at}\n        expr: '{expression}'\n"
        ));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("dashboard.yml");
    fs::write(&file, rules).expect("writable");
    let checked = promtool(&["check", "rules", &file.display().to_string()], "");
    assert_eq!(checked, Ok(()));
}
