//! Golden cases: each folder under `tests/cases` is one request sent through a real gateway over real sockets, with
//! all that came of it. Owns reading, running and comparing them; what should come of each is in its folder.
//!
//! A case is `tests/cases/<group>/<name>/`. What it does not have is taken from its group's folder.
//!
//! | file | |
//! |---|---|
//! | `request.http` | what the person sends; `#` lines at its top say what the case shows |
//! | `rule.toml` | the rule file `contact.toml`; `rules/<stem>.toml` for several |
//! | `config.toml` | the gateway's configuration |
//! | `hook.json`, `hook.<path>.json` | the reply of every hook, or of the one at this path |
//! | `hook.http`, `hook.<path>.http` | the same, as raw bytes; `HANG` and `RESET` for none |
//! | `backend.http` | what the backend answers, as raw bytes |
//! | `call.json` | expected: what hooks were sent; absent if none was asked |
//! | `forwarded.http` | expected: what the backend got, byte for byte; absent if nothing |
//! | `response.http` | expected: what the person got |
//! | `job.json` | expected: the jobs and the decision that were recorded |
//!
//! In `.http` files head lines end where the file's lines end. Bodies are written with `\r`, `\n`, `\xHH` and `\\`;
//! the file's own line breaks are no part of them. `\*3{x}` is `xxx`, `{length}` in a head is the body's length.
//! `# packed: gzip` packs the body, `# then: close` ends the connection after it. Ids, times and ports are masked.
//!
//! `UPDATE=1 cargo test --test cases` writes what came of them; read it before it is committed. `CASE=part-of-a-name`
//! runs some alone.
#![allow(clippy::panic, reason = "a test that cannot go on fails")]
#![allow(
    clippy::print_stderr,
    reason = "which case differs is said where tests say it"
)]

#[path = "it/support/mod.rs"]
mod support;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::LazyLock;

use formgate::config::Config;
use regex::Regex;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::support::App;
use crate::support::client::Answer;
use crate::support::peer::Peer;
use crate::support::peer::Received;
use crate::support::peer::Script;
use crate::support::site;

/// What came of a case, by the file it belongs in; `None` for a file that must not be there.
type Outcome = Vec<(&'static str, Option<String>)>;

struct Case {
    folder: PathBuf,
    name: String,
}

#[test]
fn every_case_comes_out_as_written() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let update = std::env::var_os("UPDATE").is_some();
    let only = std::env::var("CASE").unwrap_or_default();
    let cases = cases(&root);
    let mut wrong = Vec::new();
    for case in cases.iter().filter(|case| case.name.contains(&only)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        for (file, came) in runtime.block_on(case.run()) {
            let path = case.folder.join(file);
            let expected = fs::read_to_string(&path).ok();
            if came == expected {
                continue;
            }
            if update {
                match came {
                    Some(text) => fs::write(&path, text).expect("writable"),
                    None => fs::remove_file(&path).expect("writable"),
                }
            } else {
                let shown = |text: Option<String>| text.unwrap_or_else(|| "(nothing)".to_owned());
                eprintln!(
                    "=== {}/{file}\n--- expected\n{}\n--- came\n{}",
                    case.name,
                    shown(expected),
                    shown(came)
                );
                wrong.push(format!("{}/{file}", case.name));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ: {}",
        wrong.len(),
        wrong.join(", ")
    );
}

#[test]
fn there_are_cases() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let cases = cases(&root);
    assert!(cases.len() >= 150, "{} cases", cases.len());
    for case in cases {
        let request = fs::read_to_string(case.folder.join("request.http")).expect("a request");
        assert!(
            request.starts_with("# "),
            "{} does not say what it shows",
            case.name
        );
    }
}

/// The folders with a request, in the order of their names.
fn cases(root: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    for group in folders(root) {
        for folder in folders(&group) {
            if folder.join("request.http").exists() {
                let name = folder.strip_prefix(root).expect("below");
                let name = name.display().to_string();
                cases.push(Case { folder, name });
            }
        }
    }
    cases
}

fn folders(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).expect("a folder");
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

// === the notation ===

/// The bytes of a text with escapes.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\n' => {}
            '\\' => {
                let escape = escaped(rest);
                let (bytes, after) =
                    escape.unwrap_or_else(|| panic!("not an escape, near the front: {rest}"));
                out.extend_from_slice(&bytes);
                rest = after;
            }
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

/// What stands behind a backslash, and the text after it.
fn escaped(text: &str) -> Option<(Vec<u8>, &str)> {
    let rest = text.get(1..)?;
    match text.as_bytes().first()? {
        b'r' => Some((b"\r".to_vec(), rest)),
        b'n' => Some((b"\n".to_vec(), rest)),
        b'\\' => Some((b"\\".to_vec(), rest)),
        b'x' => {
            let byte = u8::from_str_radix(rest.get(..2)?, 16).ok()?;
            Some((vec![byte], &rest[2..]))
        }
        b'*' => {
            let (count, rest) = rest.split_once('{')?;
            let (what, after) = rest.split_once('}')?;
            Some((unescape(what).repeat(count.parse().ok()?), after))
        }
        _ => None,
    }
}

/// Bytes as a text with escapes, a line of the file for each of theirs.
fn escape(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '\r' => out.push_str("\\r"),
                '\n' => out.push_str("\\n\n"),
                '\u{feff}' => out.push_str("\\xef\\xbb\\xbf"),
                control if control.is_control() => {
                    for byte in control.encode_utf8(&mut [0; 4]).bytes() {
                        out.push_str(&format!("\\x{byte:02x}"));
                    }
                }
                other => out.push(other),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// A message as it is written in a file.
fn written(head: &str, body: &[u8]) -> String {
    let head: Vec<String> = head
        .trim_end_matches("\r\n")
        .split("\r\n")
        .map(|line| escape(line.as_bytes()))
        .collect();
    let mut out = format!("{}\n\n{}", head.join("\n"), escape(body));
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

/// The bytes of a message as it is written in a file.
fn message(text: &str, packed: Option<&str>) -> Vec<u8> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let mut body = unescape(body);
    match packed {
        None => {}
        Some("gzip") => {
            let level = flate2::Compression::default();
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(&body).expect("a Vec takes all");
            body = encoder.finish().expect("a Vec takes all");
        }
        Some("zstd") => body = zstd::encode_all(body.as_slice(), 3).expect("packs"),
        Some(other) => panic!("cannot pack {other}"),
    }
    let head = head.replace("{length}", &body.len().to_string());
    let mut out = Vec::new();
    for line in head.lines() {
        out.extend_from_slice(&unescape(line));
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&body);
    out
}

/// What differs from run to run, and what is shown instead.
static MASKS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let masks = [
        (
            r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}",
            "<id>",
        ),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "<time>"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:<port>"),
        (r"\b[0-9.]+ ms\b", "<n> ms"),
        (r"date: [^\\\n]* GMT", "date: <time>"),
        (r"formgate-proof: \S+", "formgate-proof: <proof>"),
        (r"formgate_flash=[\w-]+", "formgate_flash=<sealed>"),
        // What the system says of a lost connection depends on the system.
        (
            r#"(the connection was lost before an answer came): [^"\\;]*"#,
            "$1: <why>",
        ),
    ];
    let compiled = masks
        .iter()
        .map(|(mask, shown)| (Regex::new(mask).expect("a pattern"), *shown));
    compiled.collect()
});

fn masked(text: &str) -> String {
    MASKS.iter().fold(text.to_owned(), |text, (mask, shown)| {
        mask.replace_all(&text, *shown).into_owned()
    })
}

// === running ===

impl Case {
    /// A file of the case, else of its group.
    fn file(&self, name: &str) -> Option<PathBuf> {
        let group = self.folder.parent().expect("a group");
        let mut places = [self.folder.join(name), group.join(name)].into_iter();
        places.find(|path| path.exists())
    }

    fn text(&self, name: &str) -> Option<String> {
        let path = self.file(name)?;
        Some(fs::read_to_string(path).expect("UTF-8"))
    }

    /// The files beside the case whose names begin and end like this: what is between, and the text.
    fn files(&self, begin: &str, end: &str) -> Vec<(String, String)> {
        let group = self.folder.parent().expect("a group");
        let mut found = Vec::new();
        for folder in [group, &self.folder] {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("readable").path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let middle = name
                    .strip_prefix(begin)
                    .and_then(|name| name.strip_suffix(end));
                if let Some(middle) = middle {
                    let text = fs::read_to_string(&path).expect("UTF-8");
                    found.push((middle.to_owned(), text));
                }
            }
        }
        found
    }

    async fn run(&self) -> Outcome {
        let app = self.start().await;
        self.script(&app);
        let request = self.text("request.http").expect("a request");
        let directives: Vec<&str> = request
            .lines()
            .take_while(|line| line.starts_with('#'))
            .collect();
        let directive = |name: &str| {
            let mut values = directives
                .iter()
                .filter_map(|line| line[1..].trim().split_once(": "));
            values
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value)
        };
        let lines: Vec<&str> = request.lines().skip(directives.len()).collect();
        let bytes = message(&lines.join("\n"), directive("packed"));
        let method = lines[0].split(' ').next().unwrap_or_default();
        let mut wire = app.connect().await;
        wire.write(&bytes).await;
        if directive("then") == Some("close") {
            wire.finish().await;
        }
        let answer = wire.try_answer(method).await;
        vec![
            ("response.http", Some(masked(&answered(answer)))),
            ("forwarded.http", forwarded(&app.backend.received())),
            ("call.json", calls(&app.hooks.received())),
            ("job.json", Some(records(&app))),
        ]
    }

    async fn start(&self) -> App {
        let mut site = site();
        if let Some(path) = self.file("config.toml") {
            let loaded = Config::load(Some(&path), &Vec::new());
            let loaded = loaded.unwrap_or_else(|wrong| panic!("{}", wrong[0].picture(false)));
            site = site.configure(|config| *config = loaded.config);
        }
        let several = self.folder.join("rules");
        if !several.exists() {
            let rule = self.text("rule.toml").expect("a rule file");
            return site.rules("contact", &rule).start().await;
        }
        for entry in fs::read_dir(several).expect("a folder") {
            let path = entry.expect("readable").path();
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            site = site.rules(&stem, &fs::read_to_string(&path).expect("UTF-8"));
        }
        site.start().await
    }

    fn script(&self, app: &App) {
        let backend = self.text("backend.http");
        let backend = backend.as_deref().unwrap_or(
            "HTTP/1.1 200 OK\ncontent-type: text/plain\ncontent-length: {length}\n\nthanks",
        );
        app.backend.always(raw(backend));
        app.hooks.always(Script::answer(204, "", ""));
        for (path, text) in self.files("hook", ".json") {
            let reply = Script::answer(200, "content-type: application/json\r\n", text.trim_end());
            tell(&app.hooks, &path, reply);
        }
        for (path, text) in self.files("hook", ".http") {
            tell(&app.hooks, &path, raw(&text));
        }
    }
}

/// `hook.json` is for all paths, `hook.crm.json` for `/crm`.
fn tell(hooks: &Peer, path: &str, script: Script) {
    match path.strip_prefix('.') {
        None => hooks.always(script),
        Some(path) => hooks.at(&format!("/{path}"), script),
    }
}

fn raw(text: &str) -> Script {
    match text.trim() {
        "HANG" => Script::Hang,
        "RESET" => Script::Reset,
        _ => Script::Bytes(message(text, None)),
    }
}

fn answered(answer: Option<Answer>) -> String {
    match answer {
        None => "(no answer)\n".to_owned(),
        Some(answer) => written(&answer.head, &answer.body),
    }
}

fn forwarded(received: &[Received]) -> Option<String> {
    let all: Vec<String> = received
        .iter()
        .map(|request| masked(&written(&request.head, &request.body)))
        .collect();
    (!all.is_empty()).then(|| all.join("\n"))
}

fn calls(received: &[Received]) -> Option<String> {
    let all: Vec<Value> = received
        .iter()
        .map(|request| {
            let (call, text) = (request.json(), request.text());
            let mut shown = json!({ "path": request.target, "call": call });
            // The doc as it was written, where that says more than its value.
            let value = call["doc"].to_string();
            let written = text
                .split_once(",\"doc\":")
                .and_then(|(_, rest)| rest.rsplit_once(",\"analytics\":"));
            if let Some((doc, _)) = written
                && doc != value
            {
                shown["doc as written"] = doc.into();
            }
            shown
        })
        .collect();
    (!all.is_empty()).then(|| masked(&pretty(&Value::Array(all))))
}

fn records(app: &App) -> String {
    let plain = |events: Vec<Map<String, Value>>| -> Vec<Value> {
        let events = events.into_iter();
        events.map(|event| Value::Object(settled(event))).collect()
    };
    let all = json!({
        "jobs": plain(app.log.jobs()),
        "decisions": plain(app.log.of("formgate::decision")),
    });
    masked(&pretty(&all))
}

/// An event without its times.
fn settled(mut event: Map<String, Value>) -> Map<String, Value> {
    for (name, value) in &mut event {
        if name.ends_with("_ms") {
            *value = "<n>".into();
        }
    }
    event
}

fn pretty(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("JSON");
    text.push('\n');
    text
}
