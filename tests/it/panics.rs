//! A panic in the middle of a request: a 500 for that one, written down and counted, and nothing else – wherever it
//! happens, and whoever else is on the connection.

use std::sync::Arc;

use formgate::account::access::Format;
use serde_json::Value;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::support::App;
use crate::support::client::Answer;
use crate::support::h2c;
use crate::support::peer::Script;
use crate::support::site;
use crate::support::within;

const RULES: &str = r#"
[form]
submit = "POST /contact"
load = "GET /contact"
[[hook]]
on = "preprocess"
name = "check"
url = "HOOK/check"
[[hook]]
on = "preprocess"
name = "shade"
url = "HOOK/shade"
mode = "shadow"
"#;

async fn start() -> App {
    let site = site().rules("contact", RULES).configure(|config| {
        config.telemetry.access_log = Some(Format::Json);
    });
    let app = site.start().await;
    app.hooks.always(Script::answer(204, "", ""));
    app
}

fn panics(app: &App) -> u64 {
    app.gate.metrics().gate.panics.get()
}

/// The one line about a panic has the id that the person was told.
fn assert_written_down(app: &App, target: &str, answer: &Value) {
    let entries = app.log.of(target);
    let mut said = entries
        .iter()
        .filter(|entry| entry["message"] == "a request panicked");
    let entry = said.next().expect("a line");
    assert_eq!(entry["request_id"], answer["request_id"]);
    assert!(said.next().is_none(), "once: {entries:?}");
    assert!(!app.log.text().contains("planted"), "{}", app.log.text());
}

fn assert_is_ours(answer: &Answer) -> Value {
    assert_eq!(answer.status, 500, "{}", answer.head);
    let said = answer.json();
    assert_eq!(
        (&said["outcome"], &said["submitted"]),
        (&json!("failed"), &json!(null))
    );
    assert!(!said.to_string().contains("planted"), "{said}");
    said
}

#[tokio::test]
async fn wherever_it_happens_it_is_a_500_for_that_request() {
    for (at, method, reached) in [
        ("formgate::arrival", "GET", 0),
        ("formgate::answer", "GET", 1),
        ("formgate::arrival", "POST", 0),
        ("formgate::job", "POST", 0),
        ("formgate::decision", "POST", 0),
        ("formgate::answer", "POST", 1),
    ] {
        let app = start().await;
        app.log.panic_at(at);
        let mut ask = app
            .ask(method, "/contact")
            .header("accept", "application/json");
        if method == "POST" {
            ask = ask.form("name=planted");
        }
        let answer = ask.clone().send().await;
        let said = assert_is_ours(&answer);
        assert_written_down(&app, "formgate::flow", &said);
        assert_eq!(
            (panics(&app), app.backend.count()),
            (1, reached),
            "{at} {method}"
        );
        let line = app.lines.objects(1).await.remove(0);
        assert_eq!(
            (&line["outcome"], &line["request_id"], &line["status"]),
            (&json!("panicked"), &said["request_id"], &json!(500))
        );
        // The next one is as good as ever.
        assert_eq!(ask.send().await.status, 200, "{at} {method}");
        assert_eq!(panics(&app), 1);
        assert!(app.end().await, "nothing is left behind");
    }
}

#[tokio::test]
async fn a_request_that_passes_through_is_no_exception() {
    let app = start().await;
    app.backend.next(Script::Reset);
    app.log.panic_at("formgate::flow");
    let answer = app.post("/elsewhere").form("a=planted").send().await;
    let said = assert_is_ours(&answer);
    assert_written_down(&app, "formgate::gateway", &said);
    assert_eq!(panics(&app), 1);
    let line = app.lines.objects(1).await.remove(0);
    assert_eq!(
        (&line["outcome"], &line["status"]),
        (&json!("panicked"), &json!(500))
    );
    assert_eq!(app.get("/elsewhere").send().await.status, 200);
}

#[tokio::test]
async fn others_on_the_connection_go_on() {
    let app = start().await;
    let release = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&release);
    app.backend.at(
        "/slow",
        Script::custom(move |_, mut wire| {
            let held = Arc::clone(&held);
            async move {
                held.acquire().await.expect("open").forget();
                wire.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow")
                    .await;
            }
        }),
    );
    let mut client = h2c::connect(app.address).await;
    let (slow, _) = client.begin(h2c::request("GET", "/slow"), true).await;
    app.backend.wait_for(1).await;
    app.log.panic_at("formgate::job");
    let form = h2c::request("POST", "/contact")
        .header("content-type", "application/x-www-form-urlencoded");
    let hit = client.ask_with(form, "a=1").await;
    assert_eq!((hit.status, panics(&app)), (500, 1), "{}", hit.text());
    app.log.panic_at("formgate::flow");
    app.backend.at("/broken", Script::Reset);
    let hit = client.ask_with(h2c::request("POST", "/broken"), "x").await;
    assert_eq!((hit.status, panics(&app)), (500, 2), "{}", hit.text());
    release.add_permits(1);
    let slow = within("the other answer", slow).await.expect("an answer");
    assert_eq!(slow.status(), 200);
    let again = client.ask(h2c::request("GET", "/again")).await;
    assert_eq!(again.status, 200, "and the connection takes more");
}

#[tokio::test]
async fn work_for_people_who_have_gone_is_written_down_too() {
    let app = start().await;
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
    let call = app.hooks.wait_for(1).await.remove(0);
    drop(wire);
    // The gateway has seen that the person is gone when it has answered somebody else on a new connection.
    assert_eq!(app.get("/other").send().await.status, 200);
    app.log.panic_at("formgate::decision");
    release.add_permits(1);
    let line = app.lines.objects(2).await.remove(1);
    assert_eq!(
        (&line["path"], panics(&app)),
        (&json!("/contact"), 1),
        "{line}"
    );
    let id = call.header("x-request-id").expect("an id");
    assert_written_down(&app, "formgate::flow", &json!({"request_id": id}));
    assert_eq!(app.backend.count(), 1, "only the other request");
    assert!(app.end().await, "nothing is left behind");
}

#[tokio::test]
async fn a_call_in_shadow_that_panics_is_nobody_s_trouble() {
    let app = start().await;
    let release = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&release);
    app.hooks.at(
        "/shade",
        Script::custom(move |_, mut wire| {
            let held = Arc::clone(&held);
            async move {
                held.acquire().await.expect("open").forget();
                wire.write(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            }
        }),
    );
    assert_eq!(app.post("/contact").form("a=1").send().await.status, 200);
    app.log.panic_at("formgate::job");
    release.add_permits(1);
    assert!(app.end().await, "it is not waited for");
}
