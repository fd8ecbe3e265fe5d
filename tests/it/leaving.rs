//! People whose connection goes away: before a submission is complete nothing has happened; after that, everything
//! does.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::support::App;
use crate::support::PATIENCE;
use crate::support::app;
use crate::support::client::Wire;
use crate::support::peer::Script;
use crate::support::site;

const CONTACT: &str = r#"
[form]
submit = "POST /contact"

[[hook]]
on = "preprocess"
url = "HOOK/check"

[[hook]]
on = "submit"
url = "HOOK/after"
"#;

/// A script that answers when it is told to.
fn when_told(answer: &'static str) -> (tokio::sync::watch::Sender<bool>, Script) {
    let (go, gone) = tokio::sync::watch::channel(false);
    let script = Script::custom(move |_, mut wire| {
        let mut gone = gone.clone();
        async move {
            let _ = gone.wait_for(|go| *go).await;
            wire.write(answer.as_bytes()).await;
        }
    });
    (go, script)
}

const NOTHING: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const CREATED: &str = "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n";

/// Goes away with a reset or an end.
fn leave(wire: Wire, reset: bool) {
    if reset {
        wire.stream.set_zero_linger().expect("a socket");
    }
    drop(wire);
}

#[tokio::test]
async fn a_submission_that_has_arrived_is_carried_to_its_end() {
    for (waiting_at, reset) in [
        ("/check", false),
        ("/check", true),
        ("/after", false),
        ("backend", true),
    ] {
        let app = app(CONTACT).await;
        let (go, script) = when_told(if waiting_at == "backend" {
            CREATED
        } else {
            NOTHING
        });
        app.hooks.always(Script::answer(204, "", ""));
        app.backend.always(Script::answer(201, "", ""));
        match waiting_at {
            "backend" => app.backend.always(script),
            path => app.hooks.at(path, script),
        }
        let mut wire = app.connect().await;
        wire.write(&app.post("/contact").form("a=b").bytes()).await;
        match waiting_at {
            "/check" => drop(app.hooks.wait_for(1).await),
            "/after" => drop(app.hooks.wait_for(2).await),
            _ => drop(app.backend.wait_for(1).await),
        }
        leave(wire, reset);
        go.send_replace(true);
        let calls = app.hooks.wait_for(2).await;
        assert_eq!(
            calls[1].json()["event"],
            "form_submit_contact",
            "{waiting_at}"
        );
        assert_eq!(app.backend.only().text(), "a=b", "{waiting_at}");
        assert!(app.end().await, "{waiting_at}: everything was finished");
    }
}

#[tokio::test]
async fn the_end_of_the_gateway_waits_for_work_whose_person_is_gone() {
    let app = app(CONTACT).await;
    let (go, script) = when_told(NOTHING);
    app.hooks.at("/check", script);
    app.hooks.always(Script::answer(204, "", ""));
    let mut wire = app.connect().await;
    wire.write(&app.post("/contact").form("a=b").bytes()).await;
    app.hooks.wait_for(1).await;
    leave(wire, false);
    app.stop.now();
    go.send_replace(true);
    assert!(app.serving.await.expect("no panic"));
    assert_eq!(app.backend.count(), 1);
    assert_eq!(app.hooks.count(), 2);
}

/// Asks for something else, so that whatever was to come of what was sent before has come of it.
async fn meanwhile(app: &App) {
    for _ in 0..5 {
        assert_eq!(app.get("/meanwhile").send().await.status, 200);
    }
}

#[tokio::test]
async fn who_leaves_in_the_middle_has_submitted_nothing() {
    let app = app(CONTACT).await;
    app.hooks.reply(&json!({}));
    let fields = "application/x-www-form-urlencoded";
    let parts = "multipart/form-data; boundary=XX";
    for (target, kind, frame) in [
        ("/contact", fields, "Content-Length: 10\r\n\r\na=b"),
        ("/contact", fields, "Content-Length: 10\r\n\r\n"),
        (
            "/contact",
            fields,
            "Transfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n",
        ),
        (
            "/contact",
            fields,
            "Transfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\n",
        ),
        (
            "/contact",
            parts,
            "Content-Length: 1000\r\n\r\n--XX\r\ncontent-disposition: form-data; name=a\r\n\r\nb\r\n--XX--\r\n",
        ),
        ("/other", fields, "Content-Length: 10\r\n\r\na=b"),
        (
            "/other",
            fields,
            "Transfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n",
        ),
    ] {
        for reset in [false, true] {
            let mut wire = app.connect().await;
            let request =
                format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\n{frame}");
            wire.write(request.as_bytes()).await;
            meanwhile(&app).await;
            leave(wire, reset);
            meanwhile(&app).await;
        }
        // Who only says that nothing more comes can still read why that is not enough.
        let mut wire = app.connect().await;
        let request =
            format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\n{frame}");
        wire.write(request.as_bytes()).await;
        wire.finish().await;
        if let Some(answer) = wire.try_answer("POST").await {
            assert_eq!(answer.status, 400, "{frame:?}");
            assert_eq!(answer.json()["submitted"], false);
        }
    }
    let received = app.backend.received();
    assert!(received.iter().all(|one| one.target == "/meanwhile"));
    assert_eq!(app.hooks.count(), 0);
}

/// How many files without a name, but from this folder, the process has open.
fn spooled(folder: &Path) -> usize {
    let open = fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten();
    let targets = open.filter_map(|one| fs::read_link(one.path()).ok());
    targets.filter(|target| target.starts_with(folder)).count()
}

async fn until_spooled(folder: &Path, count: usize) {
    let wait = async {
        while spooled(folder) != count {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    assert!(
        waited.is_ok(),
        "{} files are open, not {count}",
        spooled(folder)
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_temporary_file_goes_with_whoever_sent_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let site = site().rules("contact", CONTACT).configure(|config| {
        config.intake.spool.above = 1000;
        config.intake.spool.folder = folder.path().to_owned();
    });
    let app = site.start().await;
    app.hooks.reply(&json!({}));
    let begin = "--XX\r\ncontent-disposition: form-data; name=a; filename=b\r\n\r\n";
    let end = "\r\n--XX--\r\n";
    let large = "x".repeat(2 << 20);
    let length = begin.len() + large.len() + end.len();
    let head = format!(
        "POST /contact HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=XX\r\nContent-Length: {length}\r\n\r\n{begin}"
    );
    for reset in [false, true] {
        let mut wire = app.connect().await;
        wire.write(head.as_bytes()).await;
        wire.write(large.as_bytes()).await;
        until_spooled(folder.path(), 1).await;
        leave(wire, reset);
        until_spooled(folder.path(), 0).await;
    }
    assert_eq!((app.backend.count(), app.hooks.count()), (0, 0));
    // Nor is it left when all went well, or the form was refused.
    let whole = [&head, &large, end].concat();
    assert_eq!(app.send(&whole).await.status, 200);
    until_spooled(folder.path(), 0).await;
    app.hooks.reply(&json!({"msg": "no", "msg_type": "error"}));
    assert_eq!(app.send(&whole).await.status, 422);
    until_spooled(folder.path(), 0).await;
    let left = fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 0, "files with a name");
    assert_eq!(app.backend.only().body.len(), length);
}

#[tokio::test]
async fn a_person_who_leaves_frees_the_backend_of_what_passes_through() {
    let app = app(CONTACT).await;
    app.backend.at("/slow", Script::Hang);
    let mut wire = app.connect().await;
    wire.write(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    app.backend.wait_for(1).await;
    leave(wire, false);
    app.backend.wait_until_left().await;
}
