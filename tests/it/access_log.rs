//! The access log: one line for every request, whatever becomes of it; nothing in it that a person typed, and nothing by
//! which a stranger could forge a line.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::mpsc;

use formgate::account::Accounts;
use formgate::account::access::Access;
use formgate::account::access::Addresses;
use formgate::account::access::Format;
use formgate::account::access::Settings;
use formgate::metrics::meters::TelemetryMeter;
use formgate::wire::arrival::Peer;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::support::App;
use crate::support::Site;
use crate::support::log::Log;
use crate::support::peer::Script;
use crate::support::site;
use crate::support::within;

const RULES: &str = r#"
[form]
submit = "POST /contact"
[[hook]]
on = "preprocess"
name = "check"
url = "HOOK/check"
"#;

fn logged(format: Format) -> Site {
    site().rules("contact", RULES).configure(|config| {
        config.telemetry.access_log = Some(format);
    })
}

async fn start(format: Format) -> App {
    let app = logged(format).start().await;
    app.hooks.always(Script::answer(204, "", ""));
    app
}

#[tokio::test]
async fn a_line_says_what_became_of_a_request() {
    let app = start(Format::Json).await;
    app.backend.always(Script::answer(201, "", "saved"));
    let answer = app
        .post("/contact?planted=1")
        .form("name=planted")
        .send()
        .await;
    assert_eq!(answer.status, 201);
    app.get("/page?planted=1").send().await;
    let lines = app.lines.objects(2).await;
    let (submitted, passed) = (&lines[0], &lines[1]);
    let forwarded = app.backend.received();
    let id = forwarded[0].header("x-request-id").expect("an id");
    for (name, value) in [
        ("method", json!("POST")),
        ("path", json!("/contact")),
        ("status", json!(201)),
        ("received_bytes", json!(12)),
        ("sent_bytes", json!(5)),
        ("form", json!("contact")),
        ("event", json!("form_preprocess")),
        ("outcome", json!("accepted")),
        ("request_id", json!(id)),
        ("protocol", json!("1.1")),
    ] {
        assert_eq!(submitted[name], value, "{name}");
    }
    let millis = |name: &str| submitted[name].as_f64().expect(name);
    assert!(millis("hooks_ms") > 0.0 && millis("backend_ms") > 0.0);
    assert!(millis("total_ms") >= millis("hooks_ms") + millis("backend_ms"));
    let at = submitted["time"].as_str().expect("a time");
    assert!(at.parse::<jiff::Timestamp>().is_ok(), "{at}");
    assert_eq!(
        (&passed["path"], &passed["outcome"]),
        (&json!("/page"), &json!("passed"))
    );
    for absent in ["form", "event", "hooks_ms", "address", "tls", "trace_id"] {
        assert!(passed.get(absent).is_none(), "{absent}: {passed}");
    }
    assert!(
        !app.lines.text().contains("planted"),
        "{}",
        app.lines.text()
    );
}

#[tokio::test]
async fn requests_that_are_refused_have_their_line_too() {
    let app = start(Format::Text).await;
    app.hooks
        .reply(&json!({"msg": "planted", "msg_type": "error"}));
    app.post("/contact").form("a=1").send().await;
    app.send("GET http://a/x HTTP/1.1\r\nhost: b\r\n\r\n").await;
    app.post("/contact")
        .body("text/unknown", "planted")
        .send()
        .await;
    let lines = app.lines.wait_for(3).await;
    for (line, parts) in lines.iter().zip([
        [
            " path=/contact status=422 ",
            " form=contact event=form_preprocess outcome=stopped_by_hook ",
        ],
        [" path=/x status=400 ", " outcome=rejected "],
        [
            " path=/contact status=415 ",
            " form=contact outcome=rejected ",
        ],
    ]) {
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }
    assert!(
        !app.lines.text().contains("planted"),
        "{}",
        app.lines.text()
    );
}

#[tokio::test]
async fn no_path_forges_a_line() {
    let app = start(Format::Text).await;
    let hostile = [
        "/a%0d%0a2026%20status=200".as_bytes().to_vec(),
        b"/\"status=200\"".to_vec(),
        "/\u{85}\u{9b}31m\u{2028}\u{202e}\u{2066}\u{2069}\u{200e}\u{61c}x"
            .as_bytes()
            .to_vec(),
        b"/x\x1b[2J".to_vec(),
        b"/x\ttime=1".to_vec(),
    ];
    let mut count = 0;
    for path in &hostile {
        let mut request = b"GET ".to_vec();
        request.extend_from_slice(path);
        request.extend_from_slice(b" HTTP/1.1\r\nhost: a\r\n\r\n");
        let answer = app.send(&request).await;
        count += usize::from(answer.status == 200);
    }
    assert!(count >= 2, "some of them pass through");
    let lines = app.lines.wait_for(count).await;
    for line in &lines {
        assert!(
            line.starts_with("time=") && line.contains(" method=GET path="),
            "{line:?}"
        );
        let wild = |c: char| {
            c.is_control() || "\u{2028}\u{202e}\u{2066}\u{2069}\u{200e}\u{61c}".contains(c)
        };
        assert!(!line.contains(wild), "{line:?}");
        assert_eq!(line.matches(" status=").count(), 1, "{line:?}");
    }
}

#[tokio::test]
async fn of_addresses_there_is_as_much_as_is_wanted() {
    for (addresses, shown) in [
        (Addresses::None, None),
        (Addresses::Short, Some("203.0.113.0")),
        (Addresses::Full, Some("203.0.113.77")),
    ] {
        let site = logged(Format::Json).trusting().configure(|config| {
            config.telemetry.access_log_addresses = addresses;
        });
        let app = site.start().await;
        let ask = app.get("/x").header("x-forwarded-for", "203.0.113.77");
        ask.header("x-request-id", "from-the-proxy").send().await;
        let line = app.lines.objects(1).await.remove(0);
        assert_eq!(line.get("address").and_then(|it| it.as_str()), shown);
    }
}

#[tokio::test]
async fn whoever_has_gone_is_told_of_when_all_is_done() {
    let app = start(Format::Json).await;
    let release = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&release);
    app.hooks.at(
        "/check",
        Script::custom(move |_, mut wire| {
            let held = Arc::clone(&held);
            async move {
                held.acquire().await.expect("open").forget();
                wire.write(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            }
        }),
    );
    let mut wire = app.connect().await;
    wire.write(b"POST /contact HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 3\r\n\r\na=1")
        .await;
    app.hooks.wait_for(1).await;
    drop(wire);
    app.get("/other").send().await;
    let first = app.lines.objects(1).await.remove(0);
    assert_eq!(first["path"], "/other", "the submission is still under way");
    release.add_permits(1);
    let line = app.lines.objects(2).await.remove(1);
    assert_eq!(
        (&line["path"], &line["form"]),
        (&json!("/contact"), &json!("contact"))
    );
    assert!(line.get("status").is_none(), "nobody was answered: {line}");
    assert_eq!(
        line["outcome"], "accepted",
        "what became of it is known all the same"
    );
    assert_eq!(app.backend.count(), 2, "and yet it was submitted");
}

#[tokio::test]
async fn whoever_goes_before_there_is_an_answer_has_left() {
    let app = start(Format::Json).await;
    app.backend.always(Script::Hang);
    let mut wire = app.connect().await;
    wire.write(b"GET /page HTTP/1.1\r\nhost: a\r\n\r\n").await;
    app.backend.wait_for(1).await;
    drop(wire);
    let line = app.lines.objects(1).await.remove(0);
    assert_eq!(line["outcome"], "left", "{line}");
    assert!(line.get("status").is_none(), "nobody was answered: {line}");
}

#[tokio::test]
async fn only_waiting_for_hooks_is_their_time() {
    let rules = format!("{RULES}[fields.name]\nrequired = true\n");
    let site = site().rules("contact", &rules).configure(|config| {
        config.telemetry.access_log = Some(Format::Json);
    });
    let app = site.start().await;
    let answer = app.post("/contact").form("other=1").send().await;
    assert_eq!((answer.status, app.hooks.count()), (422, 0));
    let line = app.lines.objects(1).await.remove(0);
    assert_eq!(line["outcome"], "stopped_by_rule");
    assert!(line.get("hooks_ms").is_none(), "no hook was asked: {line}");
}

#[tokio::test]
async fn a_long_path_is_cut() {
    let app = start(Format::Json).await;
    app.get(&format!("/{}", "é".repeat(5000))).send().await;
    let line = app.lines.objects(1).await.remove(0);
    let path = line["path"].as_str().expect("a path");
    assert_eq!(path, format!("/{}…", "é".repeat(1023)), "2 KiB of it");
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_let_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, moved) = (
        folder.path().join("access.log"),
        folder.path().join("access.log.1"),
    );
    let file = path.clone();
    let site =
        logged(Format::Text).configure(|config| config.telemetry.access_log_file = Some(file));
    let app = site.start().await;
    let accounts = app.accounts.clone().expect("a log");
    let count =
        |path: &std::path::Path| fs::read_to_string(path).map_or(0, |text| text.lines().count());
    let written = async |path: &std::path::Path, lines| {
        // An answer is told of when its last byte has been handed over, which its reader may see before.
        while count(path) < lines {
            within("a line", accounts.end()).await;
        }
    };
    app.get("/one").send().await;
    written(&path, 1).await;
    fs::rename(&path, &moved).expect("moved");
    app.get("/two").send().await;
    written(&moved, 2).await;
    accounts.reopen();
    app.get("/three").send().await;
    written(&path, 1).await;
    let (old, new) = (fs::read_to_string(&moved), fs::read_to_string(&path));
    assert!(old.expect("a file").contains("/two") && new.expect("a file").contains("/three"));
    assert_eq!(count(&moved), 2);
}

/// A disk that hangs until it is let go.
struct Held(mpsc::Receiver<()>);

impl io::Write for Held {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Whoever holds it goes, and does not say so.
        let _ = self.0.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn lines_that_have_no_room_are_counted_and_that_is_said_once() {
    let (log, meter) = (Log::begin(), Arc::<TelemetryMeter>::default());
    let settings = Settings {
        format: Format::Text,
        file: None,
        addresses: Addresses::None,
    };
    let (release, held) = mpsc::channel();
    let access = Access::begin(&settings, Box::new(Held(held)), Arc::clone(&meter));
    let accounts = Accounts::of(access.ok(), None).expect("a log");
    let peer = Peer::new([127, 0, 0, 1].into(), false, &[]);
    let request = http::Request::new(());
    for _ in 0..12_000 {
        drop(accounts.open(&request, &peer));
    }
    let lost = meter.lines_lost.get();
    assert!((1..4000).contains(&lost), "the queue has an end: {lost}");
    let said = log.of("formgate::telemetry");
    let said: Vec<_> = said.iter().map(|entry| &entry["message"]).collect();
    let once = ["lines of the access log are lost, since too many wait"];
    assert_eq!(said, once);
    drop(release);
    within("all that had room", accounts.end()).await;
}

#[tokio::test]
async fn a_disk_that_is_full_holds_up_nobody() {
    if !std::path::Path::new("/dev/full").exists() {
        return; // only some systems have such a file
    }
    let site = logged(Format::Text).configure(|config| {
        config.telemetry.access_log_file = Some("/dev/full".into());
    });
    let app = site.start().await;
    for _ in 0..3 {
        assert_eq!(app.get("/x").send().await.status, 200);
    }
    let accounts = app.accounts.clone().expect("a log");
    while app.gate.metrics().telemetry.lines_lost.get() < 3 {
        within("lines that are counted", accounts.end()).await;
    }
}
