//! Every key of `[limits]`: a request that passes it, the status that it gets, and its name – told to whoever sent it
//! and to the operator. A key that has no row here fails.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use formgate::config::CONFIG;
use formgate::config::Config;
use formgate::source::shape::Kind;

use crate::support::App;
use crate::support::client::Wire;
use crate::support::peer::Script;
use crate::support::site;

const RULES: &str = r#"
[form]
submit = "POST /contact"

[fields.code]
pattern = '[ab]*a[ab]{20}c'

[[hook]]
on = "preprocess"
url = "HOOK/check"
"#;

const SHORT: Duration = Duration::from_millis(200);

/// How a limit is passed.
struct Row {
    key: &'static str,
    set: fn(&mut Config),
    /// What comes over one connection; it stays open.
    bytes: Vec<u8>,
    status: u16,
    before: Before,
}

/// What happens before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    /// Somebody else has sent the same, and it is under way.
    Another,
    /// The last bytes come one by one.
    Drips,
}

fn row(key: &'static str, set: fn(&mut Config), status: u16, bytes: impl Into<Vec<u8>>) -> Row {
    Row {
        key,
        set,
        bytes: bytes.into(),
        status,
        before: Before::Nothing,
    }
}

/// A submission of this body.
fn post(content_type: &str, more: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes = format!(
        "POST /contact HTTP/1.1\r\nhost: forms.example.org\r\ncontent-type: {content_type}\r\n{more}content-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn form(body: &str) -> Vec<u8> {
    post("application/x-www-form-urlencoded", "", body)
}

fn json(body: &str) -> Vec<u8> {
    post("application/json", "", body)
}

/// The beginning of a submission.
fn half(head: &str) -> Vec<u8> {
    format!("POST /contact HTTP/1.1\r\nhost: forms.example.org\r\n{head}").into_bytes()
}

const SLOW: &str =
    "content-type: application/x-www-form-urlencoded\r\ncontent-length: 9000\r\n\r\na=1";

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).expect("memory");
    encoder.finish().expect("memory")
}

fn rows() -> Vec<Row> {
    let mut rows = of_submissions();
    rows.extend(of_connections());
    rows
}

/// What a submission may hold.
fn of_submissions() -> Vec<Row> {
    let part = "--XX\r\ncontent-disposition: form-data; name=\"a-rather-long-name\"\r\n\r\n1\r\n--XX--\r\n";
    let bomb = gzip(&vec![b'x'; 4 << 20]);
    vec![
        row(
            "body",
            |config| config.intake.body = 100,
            413,
            form(&"a".repeat(101)),
        ),
        row(
            "field",
            |config| config.intake.limits.field = 10,
            413,
            form("a=12345678901"),
        ),
        row(
            "fields",
            |config| config.intake.limits.fields = 2,
            413,
            form("a=1&b=2&c=3"),
        ),
        row(
            "values",
            |config| config.intake.limits.values = 2,
            413,
            form("a=1&a=2&a=3"),
        ),
        row(
            "doc",
            |config| config.intake.limits.doc = 20,
            413,
            form("a=123456789&b=123456789"),
        ),
        row(
            "depth",
            |config| config.intake.limits.depth = 3,
            413,
            json("{\"a\":[[[[1]]]]}"),
        ),
        row(
            "part_header",
            |config| config.intake.limits.part_header = 20,
            413,
            post("multipart/form-data; boundary=XX", "", part),
        ),
        row(
            "unpack_ratio",
            |config| {
                config.intake.limits.unpack_ratio = 10;
                config.intake.limits.field = 8 << 20;
            },
            413,
            post("text/plain", "content-encoding: gzip\r\n", bomb),
        ),
        row(
            "matched",
            |config| config.matched = 30,
            422,
            form(&format!("code={}", "a".repeat(31))),
        ),
    ]
}

/// What a connection may do, and how many there may be.
fn of_connections() -> Vec<Row> {
    let many = "x: y\r\n".repeat(20);
    let long = format!("x: {}\r\n\r\n", "y".repeat(9000));
    vec![
        row(
            "body_pause",
            |config| config.limits.body_pause = SHORT,
            408,
            half(SLOW),
        ),
        Row {
            before: Before::Drips,
            ..row(
                "body_rate",
                |config| {
                    config.limits.body_pause = 4 * SHORT;
                    config.limits.body_rate = 5000;
                },
                408,
                half(SLOW),
            )
        },
        row(
            "header_timeout",
            |config| config.limits.header_timeout = SHORT,
            408,
            half("x: "),
        ),
        row(
            "header_size",
            |config| config.limits.header_size = 8 << 10,
            431,
            half(&long),
        ),
        row(
            "headers",
            |config| config.limits.headers = 10,
            431,
            half(&format!("{many}\r\n")),
        ),
        Row {
            before: Before::Another,
            ..row(
                "connections_per_address",
                |config| config.limits.connections_per_address = 1,
                503,
                form("a=1"),
            )
        },
        Row {
            before: Before::Another,
            ..row(
                "submissions",
                |config| config.submissions = 1,
                503,
                form("a=1"),
            )
        },
    ]
}

/// Limits at which nobody is told anything, and the test that holds each.
const SILENT: [(&str, &str, &str); 7] = [
    ("page", "opening.rs", "\"limits.page\""),
    (
        "spool_above",
        "leaving.rs",
        "fn the_temporary_file_goes_with_whoever_sent_it",
    ),
    (
        "spool_folder",
        "named_limits.rs",
        "fn a_folder_that_cannot_be_written_is_not_the_persons_fault",
    ),
    (
        "idle",
        "limits.rs",
        "fn who_asks_no_more_is_closed_without_a_word",
    ),
    (
        "connections",
        "limits.rs",
        "fn there_are_only_so_many_connections_at_a_time",
    ),
    ("drain", "drain.rs", "fn the_end_is_bounded"),
    (
        "drain_delay",
        "../cli/serving.rs",
        "fn before_the_end_everybody_is_served_for_a_while",
    ),
];

async fn start(set: fn(&mut Config)) -> App {
    let app = site().rules("contact", RULES).configure(set).start().await;
    app.hooks.always(Script::Hang);
    app
}

/// Somebody whose submission is under way.
async fn another(app: &App, bytes: &[u8]) -> Wire {
    let mut other = app.connect().await;
    other.write(bytes).await;
    app.hooks.wait_for(1).await;
    other
}

#[tokio::test]
async fn every_limit_is_named_to_whoever_passes_it_and_to_the_operator() {
    for row in rows() {
        let app = start(row.set).await;
        let other = match row.before {
            Before::Another => Some(another(&app, &row.bytes).await),
            Before::Nothing | Before::Drips => None,
        };
        let mut wire = app.connect().await;
        wire.write(&row.bytes).await;
        let answer = if row.before == Before::Drips {
            let (mut reading, mut writing) = wire.stream.into_split();
            let dripping = tokio::spawn(async move {
                use tokio::io::AsyncWriteExt;
                while writing.write_all(b"x").await.is_ok() {
                    tokio::time::sleep(SHORT / 8).await;
                }
            });
            let answer = text_of(&mut reading).await;
            dripping.abort();
            answer
        } else {
            let answer = wire.answer().await;
            format!("{}{}", answer.head, answer.text())
        };
        let key = row.key;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {} ", row.status)),
            "{key}: {answer}"
        );
        let name = format!("limits.{key}");
        let log = app.log.text();
        assert!(log.contains(&name), "{key} is not in the log: {log}");
        // A text that is too long to be checked is the person's to shorten; the limit is the operator's.
        if key == "matched" {
            assert!(answer.contains("too long to be checked"), "{answer}");
            assert!(!answer.contains(&name), "{answer}");
        } else {
            assert!(
                answer.contains(&format!("\"limit\":\"{name}\"")),
                "{key}: {answer}"
            );
            assert!(answer.contains("\"submitted\":false"), "{key}: {answer}");
        }
        if row.status == 503 {
            assert!(
                answer
                    .to_ascii_lowercase()
                    .contains("\r\nretry-after: 5\r\n"),
                "{answer}"
            );
        }
        assert_eq!(app.backend.count(), 0, "{key}");
        assert_eq!(app.hooks.count(), usize::from(other.is_some()), "{key}");
    }
}

/// Reads until the end of the connection, or of an answer.
async fn text_of(reading: &mut tokio::net::tcp::OwnedReadHalf) -> String {
    use tokio::io::AsyncReadExt;
    let mut all = Vec::new();
    let _ = crate::support::within("an answer", reading.read_to_end(&mut all)).await;
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_not_the_persons_fault() {
    let app = start(|config| {
        config.intake.spool.above = 10;
        config.intake.spool.folder = "/nowhere/to/be/found".into();
    })
    .await;
    let part = "--XX\r\ncontent-disposition: form-data; name=a\r\n\r\n1\r\n--XX--\r\n";
    let answer = app
        .send(post("multipart/form-data; boundary=XX", "", part))
        .await;
    assert_eq!(
        (answer.status, answer.json()["submitted"].as_bool()),
        (500, Some(false))
    );
    assert!(!answer.text().contains("nowhere"), "{}", answer.text());
    assert!(
        app.log.text().contains("No such file"),
        "{}",
        app.log.text()
    );
    assert_eq!((app.backend.count(), app.hooks.count()), (0, 0));
}

#[test]
fn every_limit_has_a_row() {
    let limits = CONFIG.keys.iter().find(|key| key.name == "limits");
    let Some(Kind::Table(limits)) = limits.map(|key| key.kind) else {
        panic!("no [limits]");
    };
    let keys: BTreeSet<&str> = limits.keys.iter().map(|key| key.name).collect();
    let rows: BTreeSet<&str> = rows()
        .iter()
        .map(|row| row.key)
        .chain(SILENT.map(|(key, ..)| key))
        .collect();
    assert_eq!(keys, rows);
    for (key, file, part) in SILENT {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/it")
            .join(file);
        let text = std::fs::read_to_string(path).expect("a file");
        assert!(text.contains(part), "{key}: {part} in {file}");
    }
}
