//! The docs are held to the program: every key of every table, every word on the wire, every example, command and
//! link. Owns the comparisons; what is true is said by the program.
#![expect(clippy::panic, reason = "a comparison that cannot be made fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;

use bytes::Bytes;
use clap::CommandFactory;
use clap::Parser;
use clap::error::ErrorKind;
use formgate::cli::args::Args;
use formgate::config::CONFIG;
use formgate::config::Config;
use formgate::flow;
use formgate::hooks::answer;
use formgate::hooks::answer::Answered;
use formgate::model::event::Event;
use formgate::model::job;
use formgate::model::lang::Lang;
use formgate::model::redirect::Allowed;
use formgate::model::reply::MsgType;
use formgate::model::reply_table;
use formgate::model::reply_table::Limits;
use formgate::model::words::Word;
use formgate::rules::book::Book;
use formgate::rules::book::Written;
use formgate::rules::shapes::RULE_FILE;
use formgate::source::complaint::Complaint;
use formgate::source::shape::Key;
use formgate::source::shape::Kind;
use formgate::source::shape::Shape;
use tracing_subscriber::layer::Context as LayerContext;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::layer::SubscriberExt;

/// Stands for every key of a login in the docs.
const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAoieTiOB/5LiO+NpOM1N2
spb0wkSipVjqQpTLsKKSbDvEAgqIoPMSnRH4TbyOuHb3DarATvSujVr9qCvvX+VY
ihTK3jBeMaT+h+yC+jVxz6++XnnRIox/e4otO2Eeq/zfDWzSGugcRdb5yyrPOmeu
j7aWf5zfbJK+ZQsut9OqAiD2e7/yusCHdK+2J4VZPgoJw3t7b9yAQ/HPs9RIU5hp
4cHL2jOla1HteYFVXdpN4FzGw0kRStdKriB60GjPN17Sd3MfzrOmLeNYg9JLcVus
y9v70TUH+0MWDZYU/KOiAsL/un97zY9QPqYF8vZKtooXPzBgcnwBPedx9NBN4xRO
hQIDAQAB
-----END PUBLIC KEY-----
";
/// Stands for every secret in the docs.
const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n";

/// A page of the docs.
struct Page {
    path: PathBuf,
    text: String,
}

/// A table of a page: the rows below the header, cell by cell.
type Rows = Vec<Vec<String>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> Page {
    let path = root().join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    Page { path, text }
}

/// README.md and everything below docs/ and examples/.
fn pages() -> Vec<Page> {
    let mut pages = vec![page("README.md")];
    let mut folders = vec![root().join("docs"), root().join("examples")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).expect("text");
                pages.push(Page { path, text });
            }
        }
    }
    pages
}

impl Page {
    fn name(&self) -> String {
        let path = self.path.strip_prefix(root()).unwrap_or(&self.path);
        path.display().to_string()
    }

    /// The lines of the section under this heading, backticks in the heading not counted; to the next heading.
    fn section(&self, title: &str) -> Vec<&str> {
        let title = title.replace('`', "");
        let is_heading = |line: &&str| line.starts_with('#');
        let wanted = |line: &&str| {
            is_heading(line) && line.trim_start_matches('#').trim().replace('`', "") == title
        };
        let mut lines = self.text.lines().skip_while(|line| !wanted(line));
        assert!(
            lines.next().is_some(),
            "{}: no section `{title}`",
            self.name()
        );
        let mut fenced = false;
        lines
            .take_while(|line| {
                fenced ^= line.starts_with("```");
                fenced || !is_heading(line)
            })
            .collect()
    }

    /// The tables of a section.
    fn tables(&self, title: &str) -> Vec<Rows> {
        let mut tables: Vec<Rows> = Vec::new();
        let mut before = false;
        for line in self.section(title) {
            let is_row = line.starts_with('|');
            if is_row && !before {
                tables.push(Vec::new());
            }
            if let (true, Some(table)) = (is_row, tables.last_mut()) {
                let line = line.trim_matches('|').replace("\\|", "\u{0}");
                let cells = line.split('|').map(|cell| cell.replace('\u{0}', "|"));
                table.push(cells.map(|cell| cell.trim().to_owned()).collect());
            }
            before = is_row;
        }
        // The header and the line below it.
        for table in &mut tables {
            table.drain(..2);
        }
        tables
    }

    /// The first cells of the rows of the first table of a section, backticks taken off.
    fn first_cells(&self, title: &str) -> BTreeSet<String> {
        let tables = self.tables(title);
        let table = tables
            .first()
            .unwrap_or_else(|| panic!("{}: no table in `{title}`", self.name()));
        table.iter().map(|row| bare(&row[0])).collect()
    }

    /// The fenced blocks of a language, with the number of their first line.
    fn blocks(&self, language: &str) -> Vec<(usize, String)> {
        let mut blocks = Vec::new();
        let mut open: Option<(usize, bool, String)> = None;
        for (number, line) in self.text.lines().enumerate() {
            let fence = line.trim_start().strip_prefix("```");
            match (&mut open, fence) {
                (None, Some(info)) => {
                    open = Some((number + 2, info.trim() == language, String::new()));
                }
                (Some(_), Some(_)) => {
                    if let Some((start, true, text)) = open.take() {
                        blocks.push((start, text));
                    }
                }
                (Some((_, _, text)), None) => {
                    text.push_str(line);
                    text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block has no end", self.name());
        blocks
    }

    /// The text outside fenced blocks.
    fn prose(&self) -> String {
        let mut fenced = false;
        let lines = self.text.lines().filter(|line| {
            let fence = line.trim_start().starts_with("```");
            fenced ^= fence;
            !fenced && !fence
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The anchors that its headings have, as they are made from them.
    fn anchors(&self) -> BTreeSet<String> {
        let prose = self.prose();
        let headings = prose.lines().filter(|line| line.starts_with('#'));
        headings
            .map(|line| {
                let title = line.trim_start_matches('#').trim().to_lowercase();
                let kept = title
                    .chars()
                    .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
                kept.map(|c| if c == ' ' { '-' } else { c }).collect()
            })
            .collect()
    }
}

/// What stands between backticks, all of it.
fn spans(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn bare(cell: &str) -> String {
    cell.replace('`', "")
}

fn pictures(complaints: &[Complaint]) -> String {
    let pictures: Vec<String> = complaints
        .iter()
        .map(|complaint| complaint.picture(false))
        .collect();
    pictures.join("\n")
}

fn fail_if_any(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

// === keys ===

/// A shape and every shape below it that has keys of its own.
fn with_inner(shape: &'static Shape) -> Vec<&'static Shape> {
    let mut all = vec![shape];
    for key in shape.keys {
        if let Kind::Table(inner) | Kind::Tables(inner) | Kind::Named(inner) = key.kind {
            let mut keys = inner.keys.iter();
            if inner.keys.is_empty() || keys.any(|key| shape.key(key.name).is_none()) {
                all.extend(with_inner(inner));
            }
        }
    }
    all
}

/// The words of RULES.md for a kind of value; `None` where any will do.
fn kind_in_words(kind: Kind) -> Option<String> {
    Some(match kind {
        Kind::Text => "text".to_owned(),
        Kind::Flag => "true or false".to_owned(),
        Kind::Count => "number".to_owned(),
        Kind::Bound => "number or text".to_owned(),
        Kind::Duration => "duration".to_owned(),
        Kind::Size => "size".to_owned(),
        Kind::Texts => "list of texts".to_owned(),
        Kind::OneOrMore => "text or list".to_owned(),
        Kind::Words(words) => format!("list of {}", words.join(", ")),
        Kind::Word(words) => match words.split_last() {
            Some((last, first)) if !first.is_empty() => format!("{} or {last}", first.join(", ")),
            _ => words.concat(),
        },
        Kind::Table(_) => "table".to_owned(),
        Kind::Tables(_) | Kind::Named(_) | Kind::Any => return None,
    })
}

/// The first word of the default that the key's own sentence names.
fn default_word(key: &Key) -> Option<String> {
    let (_, said) = key.doc.split_once("Default: ")?;
    let word = said.split([' ', ',', ';']).next()?;
    Some(bare(word.trim_end_matches('.')))
}

fn check_key(key: &Key, row: &[String], place: &str, faults: &mut Vec<String>) {
    let [_, kind, default, meaning] = row else {
        faults.push(format!(
            "{place}: a row has key, type, default and meaning, no more"
        ));
        return;
    };
    if let Some(wanted) = kind_in_words(key.kind).filter(|wanted| *wanted != bare(kind)) {
        faults.push(format!("{place}: its type is `{wanted}`, not `{kind}`"));
    }
    let default = bare(default);
    if let Some(word) =
        default_word(key).filter(|word| default.split([' ', ',']).next() != Some(word))
    {
        faults.push(format!("{place}: its default is `{word}`, not `{default}`"));
    }
    if meaning.is_empty() {
        faults.push(format!("{place}: what it means is not said"));
    }
}

#[test]
fn every_key_is_documented_and_no_other() {
    let rules = page("docs/RULES.md");
    let mut faults = Vec::new();
    let shapes = RULE_FILE.keys.iter().flat_map(|key| match key.kind {
        Kind::Table(inner) | Kind::Tables(inner) | Kind::Named(inner) => with_inner(inner),
        other => panic!("`{}` of a rule file is {other:?}", key.name),
    });
    for shape in shapes.chain(with_inner(&CONFIG)) {
        if shape.keys.is_empty() {
            continue; // the keys are the writer's own
        }
        let tables = rules.tables(shape.title);
        let rows = tables.first().map_or(&[][..], Vec::as_slice);
        for key in shape.keys {
            let place = format!("docs/RULES.md: `{}` of {}", key.name, shape.title);
            match rows.iter().find(|row| bare(&row[0]) == key.name) {
                Some(row) => check_key(key, row, &place, &mut faults),
                None => faults.push(format!("{place} is not there")),
            }
        }
        for name in rows.iter().map(|row| bare(&row[0])) {
            if shape.key(&name).is_none() {
                faults.push(format!(
                    "docs/RULES.md: `{name}` of {} does not exist",
                    shape.title
                ));
            }
        }
    }
    fail_if_any(&faults);
}

#[test]
fn every_word_is_shown_as_it_is_said() {
    let tables = page("docs/RULES.md").tables("[words]");
    let rows = tables.first().expect("the table of words");
    for word in Word::ALL {
        let row = rows.iter().find(|row| bare(&row[0]) == word.key());
        let row = row.unwrap_or_else(|| panic!("`{}` is not there", word.key()));
        assert_eq!(bare(&row[2]), word.text(Lang::En), "`{}`", word.key());
        for slot in word.slots() {
            assert!(row[3].contains(&format!("`{{{slot}}}`")), "{row:?}");
        }
    }
}

#[test]
fn every_limit_says_what_is_answered() {
    let limits = CONFIG.key("limits").expect("[limits]");
    let Kind::Table(shape) = limits.kind else {
        panic!("[limits] is a table");
    };
    let known: BTreeSet<String> = shape
        .keys
        .iter()
        .map(|key| format!("limits.{}", key.name))
        .collect();
    let said = page("docs/OPERATING.md").first_cells("Limits");
    let said: BTreeSet<String> = said
        .into_iter()
        .filter(|name| name.starts_with("limits."))
        .collect();
    assert_eq!(said, known);
}

// === words on the wire ===

fn set<'w>(words: impl IntoIterator<Item = &'w str>) -> BTreeSet<String> {
    words.into_iter().map(str::to_owned).collect()
}

#[test]
fn the_words_of_the_protocol_are_the_programs() {
    let protocol = page("docs/PROTOCOL.md");
    assert_eq!(
        protocol.first_cells("Events"),
        set(Event::ALL.map(Event::name))
    );
    assert_eq!(protocol.first_cells("The reply"), set(reply_table::KEYS));
    let reply = &protocol.tables("The reply")[0];
    let types = reply
        .iter()
        .find(|row| bare(&row[0]) == "msg_type")
        .expect("`msg_type`");
    let words: Vec<&str> = spans(&types[1]);
    assert_eq!(words, MsgType::ALL.map(MsgType::word));
    let outcomes = all_outcomes().map(flow::answer::Outcome::word);
    assert_eq!(
        protocol.first_cells("The answer to the frontend"),
        set(outcomes)
    );
    let operating = page("docs/OPERATING.md");
    let jobs = &operating.tables("Jobs");
    let outcomes: BTreeSet<String> = jobs[1].iter().map(|row| bare(&row[0])).collect();
    assert_eq!(outcomes, set(all_job_outcomes().map(job::Outcome::word)));
}

/// Every outcome; the `match` fails to compile when there is a new one.
fn all_outcomes() -> [flow::answer::Outcome; 7] {
    use flow::answer::Outcome as O;
    let all = [
        O::Accepted,
        O::Stopped,
        O::Redirected,
        O::Unavailable,
        O::Rejected,
        O::BackendFailed,
        O::Failed,
    ];
    for outcome in all {
        match outcome {
            O::Accepted
            | O::Stopped
            | O::Redirected
            | O::Unavailable
            | O::Rejected
            | O::BackendFailed
            | O::Failed => {}
        }
    }
    all
}

/// Every outcome of a job; likewise.
fn all_job_outcomes() -> [job::Outcome; 10] {
    use job::Outcome as O;
    let all = [
        O::Continued,
        O::Patched,
        O::Stopped,
        O::Redirected,
        O::Faulty,
        O::TimedOut,
        O::Failed,
        O::Skipped,
        O::Shadow,
        O::Delivered,
    ];
    for outcome in all {
        match outcome {
            O::Continued
            | O::Patched
            | O::Stopped
            | O::Redirected
            | O::Faulty
            | O::TimedOut
            | O::Failed
            | O::Skipped
            | O::Shadow
            | O::Delivered => {}
        }
    }
    all
}

/// Collects the names of the fields of every event.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<BTreeSet<String>>>);

impl<S: tracing::Subscriber> Layer<S> for Names {
    fn on_event(&self, event: &tracing::Event<'_>, _: LayerContext<'_, S>) {
        let names = event.metadata().fields().iter();
        let mut all = self.0.lock().expect("nobody panicked");
        all.extend(names.map(|field| field.name().to_owned()));
    }
}

#[test]
fn the_fields_of_jobs_are_the_ones_that_are_written() {
    let names = Names::default();
    let subscriber = tracing_subscriber::registry().with(names.clone());
    let job = job::Job {
        id: String::new(),
        kind: job::JobKind::Hook,
        event: Event::Submit,
        form: String::new(),
        hook: String::new(),
        request_id: String::new(),
        submission_id: None,
        url: String::new(),
        run: 1,
        sent: 0,
        received: 0,
        timings: job::Timings::default(),
        status: None,
        outcome: job::Outcome::Continued,
        would: None,
        faults: Vec::new(),
        warnings: Vec::new(),
        changed: Vec::new(),
        let_through: false,
        conflict: false,
        details: None,
    };
    tracing::subscriber::with_default(subscriber, || flow::journal::job(&job, None));
    let mut written = names.0.lock().expect("nobody panicked").clone();
    assert!(written.remove("message"), "{written:?}");
    let operating = page("docs/OPERATING.md");
    let rows = &operating.tables("Jobs")[0];
    let said = rows.iter().flat_map(|row| spans(&row[0]));
    assert_eq!(set(said), written);
}

#[test]
fn faults_and_warnings_are_as_printed() {
    let protocol = page("docs/PROTOCOL.md");
    let tables = protocol.tables("Faults");
    assert_eq!(tables.len(), 2, "faults and warnings");
    for (rows, of_faults) in tables.iter().zip([true, false]) {
        assert!(rows.len() > 3, "{rows:?}");
        for row in rows {
            let answered = Answered {
                status: row[0].parse().expect("a status"),
                content_type: Some("application/json"),
                encoding: None,
                location: None,
                body: Some(Bytes::from(bare(&row[1]))),
            };
            let limits = Limits {
                nested: false,
                allowed: Allowed {
                    own: None,
                    hosts: &[],
                },
            };
            let (reading, _) = answer::read(&answered, limits);
            assert_eq!(reading.faults.is_empty(), !of_faults, "{row:?}");
            let found = if of_faults {
                &reading.faults
            } else {
                &reading.warnings
            };
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert!(found.contains(&row[2]), "{row:?}\n{found:?}");
        }
    }
}

// === examples ===

/// Secrets that are there, wherever a text takes them from.
fn with_secrets(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("env:") {
        out.push_str(&rest[..at]);
        out.push_str("file:secret");
        rest = rest[at + 4..].trim_start_matches(|c: char| c.is_ascii_uppercase() || c == '_');
    }
    out.push_str(rest);
    out
}

#[test]
fn every_toml_block_loads_without_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("secret"), SECRET).expect("writable");
    fs::write(folder.path().join("login.pem"), PUBLIC_KEY).expect("writable");
    let mut faults = Vec::new();
    let mut seen = 0;
    for page in pages() {
        for (line, text) in page.blocks("toml") {
            seen += 1;
            let place = format!("{}:{line}", page.name());
            let name = text
                .lines()
                .next()
                .and_then(|first| first.strip_prefix("# "))
                .unwrap_or_default();
            let stem = name
                .split_once("rules/")
                .and_then(|(_, name)| name.strip_suffix(".toml"));
            let text = with_secrets(&text);
            let complaints = if let Some(stem) = stem {
                let file = Written {
                    name: name.to_owned(),
                    stem: stem.to_owned(),
                    text,
                };
                match Book::compile(vec![file], folder.path(), &[]) {
                    Ok(loaded) => loaded.warnings,
                    Err(complaints) => complaints,
                }
            } else if name.ends_with("formgate.toml") {
                let file = folder.path().join("formgate.toml");
                fs::write(&file, text).expect("writable");
                match Config::load(Some(&file), &Vec::new()) {
                    Ok(configured) => {
                        let mut warnings = configured.warnings;
                        // Of this test's own environment.
                        warnings.retain(|warning| !warning.message.contains("FORMGATE_"));
                        warnings
                    }
                    Err(complaints) => complaints,
                }
            } else {
                faults.push(format!(
                    "{place}: begin with `# rules/….toml` or `# formgate.toml`"
                ));
                continue;
            };
            if !complaints.is_empty() {
                faults.push(format!("{place}:\n{}", pictures(&complaints)));
            }
        }
    }
    fail_if_any(&faults);
    assert!(seen > 5, "only {seen} blocks were found");
}

#[test]
fn the_cases_of_rule_files_in_the_docs_pass() {
    let mut seen = 0;
    for page in pages() {
        for (line, text) in page.blocks("toml") {
            if !text.contains("[[case]]") {
                continue;
            }
            seen += 1;
            let folder = tempfile::tempdir().expect("a folder");
            fs::write(folder.path().join("secret"), SECRET).expect("writable");
            let file = folder.path().join("form.toml");
            fs::write(file, with_secrets(&text)).expect("writable");
            let tested = Command::new(env!("CARGO_BIN_EXE_formgate"))
                .arg("test")
                .arg(folder.path())
                .current_dir(folder.path())
                .output()
                .expect("the program runs");
            let said = String::from_utf8_lossy(&tested.stdout);
            assert!(tested.status.success(), "{}:{line}:\n{said}", page.name());
        }
    }
    assert!(seen > 1, "only {seen} blocks have cases");
}

#[test]
fn every_json_block_is_json() {
    for page in pages() {
        for (line, text) in page.blocks("json") {
            let value: Result<serde_json::Value, _> = serde_json::from_str(&text);
            assert!(value.is_ok(), "{}:{line}: {value:?}", page.name());
        }
    }
}

/// The words after `formgate` of a command line, if it is one.
fn command_of(line: &str) -> Option<Vec<String>> {
    let line = line.trim().trim_start_matches("$ ");
    let mut words: Vec<&str> = line.split_whitespace().collect();
    while words
        .first()
        .is_some_and(|word| word.contains('=') && !word.starts_with('-'))
    {
        words.remove(0);
    }
    let rest = match words.as_slice() {
        [first, rest @ ..] if first.ends_with("formgate") && !first.contains(['.', '{']) => rest,
        ["cargo", "run", rest @ ..] => match rest.iter().position(|word| *word == "--") {
            Some(at) => &rest[at + 1..],
            None => return None,
        },
        _ => return None,
    };
    let end = rest
        .iter()
        .position(|word| matches!(*word, "|" | ">" | "&" | "&&" | "#" | "2>"))
        .unwrap_or(rest.len());
    let words = rest[..end]
        .iter()
        .map(|word| word.trim_matches(['"', '\'']).to_owned());
    Some(words.collect())
}

/// Why the program would not understand these words; `whole` if nothing may be missing.
fn misunderstood(words: &[String], whole: bool) -> Option<String> {
    let line = std::iter::once("formgate".to_owned()).chain(words.iter().cloned());
    let error = Args::try_parse_from(line).err()?;
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => None,
        ErrorKind::MissingRequiredArgument | ErrorKind::MissingSubcommand if !whole => None,
        _ => Some(error.to_string()),
    }
}

#[test]
fn every_command_is_understood() {
    Args::command().debug_assert();
    let mut faults = Vec::new();
    let mut seen = 0;
    for page in pages() {
        let prose = page.prose();
        let inline = prose.lines().flat_map(spans).map(|span| (0, span, false));
        let blocks = page.blocks("sh");
        let blocks = blocks.iter().flat_map(|(start, text)| {
            text.lines()
                .enumerate()
                .map(|(at, line)| (*start + at, line, true))
        });
        for (number, line, whole) in inline.chain(blocks) {
            for words in line.split(" | ").filter_map(command_of) {
                seen += 1;
                if let Some(why) = misunderstood(&words, whole) {
                    faults.push(format!("{}:{number}: `{line}`: {why}", page.name()));
                }
            }
        }
    }
    fail_if_any(&faults);
    assert!(seen > 5, "only {seen} commands were found");
}

#[test]
fn every_page_that_sources_name_is_there() {
    let mut folders = vec![root().join("src"), root().join("rules")];
    folders.extend([root().join("examples"), root().join("tests")]);
    let mut faults = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                if !path.ends_with("node_modules") {
                    folders.push(path);
                }
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_default();
            for rest in text.split("docs/").skip(1) {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"-_./".contains(c));
                let name = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
                let named = root().join("docs").join(name);
                let begins = |entry: fs::DirEntry| {
                    let file = named.file_name().unwrap_or_default().to_string_lossy();
                    entry.file_name().to_string_lossy().starts_with(&*file)
                };
                // `docs/adr/0003` is short for the file that begins so.
                let exists = named.exists()
                    || fs::read_dir(named.parent().expect("docs"))
                        .is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(begins)));
                if !exists {
                    faults.push(format!("{}: there is no docs/{name}", path.display()));
                }
            }
        }
    }
    fail_if_any(&faults);
}

#[test]
fn every_file_that_the_docs_name_is_there() {
    let folders = ["src/", "tests/", "benches/", "rules/", "examples/", ".ci/"];
    let mut faults = Vec::new();
    let mut seen = 0;
    for page in pages() {
        let prose = page.prose();
        for span in prose.lines().flat_map(spans) {
            let plain = span
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
            if plain && folders.iter().any(|folder| span.starts_with(folder)) {
                seen += 1;
                if !root().join(span).exists() {
                    faults.push(format!("{}: there is no `{span}`", page.name()));
                }
            }
        }
    }
    fail_if_any(&faults);
    assert!(seen > 5, "only {seen} files are named");
}

#[test]
fn every_link_leads_somewhere() {
    let mut faults = Vec::new();
    for page in pages() {
        let prose = page.prose();
        for rest in prose.split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default();
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() {
                page.path.clone()
            } else {
                let folder = page.path.parent().expect("a page lies in a folder");
                folder.join(file)
            };
            if !path.exists() {
                faults.push(format!("{}: nothing is at `{target}`", page.name()));
                continue;
            }
            if !anchor.is_empty() {
                let text = fs::read_to_string(&path).unwrap_or_default();
                let other = Page { path, text };
                if !other.anchors().contains(anchor) {
                    faults.push(format!("{}: no heading for `{target}`", page.name()));
                }
            }
        }
    }
    fail_if_any(&faults);
}
