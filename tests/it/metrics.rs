//! What is counted: each outcome raises the number that it should, and every request is counted exactly once.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::Semaphore;

use crate::support::App;
use crate::support::app;
use crate::support::client::find;
use crate::support::peer::Script;
use crate::support::site;
use crate::support::within;

const CONTACT: &str = r#"
[form]
submit = "POST /contact"
load = "GET /contact"

[fields.name]
required = true

[[rule]]
on = "preprocess"
when = "@.doc.name == 'elsewhere'"
reply = { redirect = "/elsewhere" }

[[hook]]
on = "preprocess"
name = "check"
url = "HOOK/check"
"#;

/// How requests of the contact form, or of nobody's, ended: only what is not 0.
async fn requests(app: &App) -> Vec<(String, f64)> {
    app.numbers().await.some_of("formgate_requests_total")
}

/// Waits until a number is this.
async fn until(app: &App, sample: &str, count: u64) {
    let so = async {
        while app.numbers().await.count(sample) != count {
            tokio::task::yield_now().await;
        }
    };
    within(sample, so).await;
}

/// A responder that answers 204 as often as it is allowed to.
fn gated() -> (Arc<Semaphore>, Script) {
    let gate = Arc::new(Semaphore::new(0));
    let key = Arc::clone(&gate);
    let script = Script::custom(move |_, mut wire| {
        let gate = Arc::clone(&key);
        async move {
            gate.acquire().await.expect("never closed").forget();
            wire.write(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        }
    });
    (gate, script)
}

fn ended(form: &str, outcome: &str) -> (String, f64) {
    (format!("form=\"{form}\",outcome=\"{outcome}\""), 1.0)
}

#[tokio::test]
async fn each_end_of_a_request_is_counted() {
    let submission = |body: &'static str, reply| (Some(body), reply, 200);
    let nothing = json!({});
    let error = json!({"msg": "No.", "msg_type": "error"});
    let elsewhere = json!({"redirect": "/elsewhere"});
    for (outcome, (body, reply, status)) in [
        ("loaded", (None, nothing.clone(), 200)),
        ("accepted", submission("name=Ana", nothing.clone())),
        ("refused", (Some("name=Ana"), nothing.clone(), 409)),
        ("stopped_by_rule", submission("name=", nothing.clone())),
        ("stopped_by_hook", submission("name=Ana", error)),
        ("redirected", submission("name=elsewhere", nothing.clone())),
        ("redirected", submission("name=Ana", elsewhere)),
        ("unavailable", submission("name=Ana", json!("no object"))),
    ] {
        let app = app(CONTACT).await;
        app.hooks.reply(&reply);
        app.backend.always(Script::answer(status, "", "it"));
        let ask = match body {
            Some(body) => app.post("/contact").form(body),
            None => app.get("/contact"),
        };
        ask.send().await;
        assert_eq!(requests(&app).await, [ended("contact", outcome)]);
        let submitted = app.numbers().await.some_of("formgate_submissions_total");
        let expected = body.map(|_| ended("contact", outcome));
        assert_eq!(submitted, Vec::from_iter(expected), "{outcome}");
    }
}

#[tokio::test]
async fn what_is_nobodys_form_is_counted_without_one() {
    let app = app(CONTACT).await;
    app.backend.always(Script::answer(200, "", "it"));
    app.get("/other").send().await;
    app.get("/_formgate/formgate.css").send().await;
    assert_eq!(
        requests(&app).await,
        [ended("", "own"), ended("", "passed")]
    );
}

#[tokio::test]
async fn what_a_backend_does_not_answer_is_counted_as_what_is_known() {
    let app = app(CONTACT).await;
    app.hooks.reply(&json!({}));
    // It takes the submission and says nothing.
    app.backend
        .always(Script::custom(|_, wire| async { drop(wire) }));
    app.post("/contact").form("name=Ana").send().await;
    assert_eq!(requests(&app).await, [ended("contact", "unknown")]);
    // It is gone.
    app.backend.close();
    app.backend.wait_until_left().await;
    app.post("/contact").form("name=Ana").send().await;
    let both = [
        ended("contact", "backend_failed"),
        ended("contact", "unknown"),
    ];
    assert_eq!(requests(&app).await, both);
    let numbers = app.numbers().await;
    let backend = app.backend.url();
    let failures = |reason: &str| {
        let labels = format!("{{backend=\"{backend}\",reason=\"{reason}\"}}");
        numbers.count(&format!("formgate_backend_failures_total{labels}"))
    };
    assert_eq!((failures("lost"), failures("connect")), (1, 1));
    assert_eq!(numbers.sum("formgate_submissions_total"), 2.0);
}

#[tokio::test]
async fn limits_are_counted_by_their_name() {
    let app = site()
        .rules("contact", CONTACT)
        .configure(|config| config.intake.body = 10)
        .start()
        .await;
    let answer = app.post("/contact").form("name=Ana+and+more").send().await;
    assert_eq!(answer.status, 413);
    assert_eq!(requests(&app).await, [ended("contact", "rejected")]);
    app.send(format!(
        "GET /{} HTTP/1.1\r\nhost: a\r\n\r\n",
        "a".repeat(40 << 10)
    ))
    .await;
    let numbers = app.numbers().await;
    let hits = numbers.some_of("formgate_limits_hit_total");
    let once = |limit: &str| (format!("limit=\"{limit}\""), 1.0);
    assert_eq!(hits, [once("limits.body"), once("limits.header_size")]);
}

#[tokio::test]
async fn load_that_is_shed_and_people_who_leave_are_counted() {
    let app = app(&CONTACT.replace("load =", "at_once = 1\nload =")).await;
    let (gate, script) = gated();
    app.hooks.always(script);
    let mut first = app.connect().await;
    let bytes = app.post("/contact").form("name=Ana").bytes();
    first.write(&bytes).await;
    app.hooks.wait_for(1).await;
    let numbers = app.numbers().await;
    let under_way = "formgate_submissions_under_way{form=\"contact\"}";
    assert_eq!(numbers.count(under_way), 1);
    assert_eq!(numbers.count("formgate_requests_under_way"), 1);
    let hook = "{file=\"contact\",hook=\"check\"}";
    assert_eq!(numbers.count(&format!("formgate_hook_under_way{hook}")), 1);
    let shed = app.post("/contact").form("name=Ana").send().await;
    assert_eq!(shed.status, 503);
    assert_eq!(requests(&app).await, [ended("contact", "shed")]);
    let hits = app.numbers().await.some_of("formgate_limits_hit_total");
    assert_eq!(hits, [("limit=\"at_once\"".to_owned(), 1.0)]);
    // The person leaves; what has arrived is carried on all the same.
    drop(first);
    until(
        &app,
        "formgate_requests_total{form=\"contact\",outcome=\"left\"}",
        1,
    )
    .await;
    assert_eq!(app.numbers().await.count(under_way), 1);
    gate.add_permits(1);
    until(
        &app,
        "formgate_submissions_total{form=\"contact\",outcome=\"accepted\"}",
        1,
    )
    .await;
    assert_eq!(app.numbers().await.count(under_way), 0);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_counted_as_left() {
    let app = app(CONTACT).await;
    let mut wire = app.connect().await;
    let bytes = app.post("/contact").form("name=Ana").bytes();
    wire.write(&bytes[..bytes.len() - 2]).await;
    until(&app, "formgate_requests_under_way", 1).await;
    drop(wire);
    until(
        &app,
        "formgate_requests_total{form=\"contact\",outcome=\"left\"}",
        1,
    )
    .await;
    let numbers = app.numbers().await;
    assert_eq!(
        numbers.sum("formgate_submissions_total"),
        0.0,
        "none arrived"
    );
}

#[tokio::test]
async fn every_request_is_counted_exactly_once() {
    let app = site()
        .rules("contact", CONTACT)
        .rules("all-forms", "[form]\ndiscover = [\"POST /d/{form}\"]\n")
        .start()
        .await;
    app.hooks.reply(&json!({}));
    app.backend.always(Script::answer(200, "", "it"));
    let mut sent = 0;
    for round in 0..3 {
        for ask in [
            app.get("/contact"),
            app.get("/other"),
            app.get("/_formgate/formgate.js"),
            app.get("/contact%2f"),
            app.post("/contact").form("name=Ana"),
            app.post("/contact").form("name="),
            app.post("/contact").body("text/odd", "name=Ana"),
            app.post(&format!("/d/form-{round}")).form("a=b"),
            app.post("/other").form("a=b"),
            app.ask("HEAD", "/contact"),
        ] {
            ask.send().await;
            sent += 1;
        }
    }
    let mut h2 = crate::support::h2c::connect(app.address).await;
    for _ in 0..3 {
        h2.ask(crate::support::h2c::request("GET", "/other")).await;
        sent += 1;
    }
    let numbers = app.numbers().await;
    assert_eq!(numbers.sum("formgate_requests_total"), f64::from(sent));
    assert_eq!(numbers.count("formgate_requests_under_way"), 0);
    // Forms that are only discovered share one label, however many there are.
    let found = numbers.get("formgate_requests_total{form=\"(discovered)\",outcome=\"accepted\"}");
    assert_eq!(found, 3.0);
    assert!(!numbers.has("formgate_requests_total{form=\"form-"));
    // Each of them asked the backend once, but for those that never came so far.
    let answers = numbers.sum("formgate_backend_answers_total");
    assert_eq!(
        answers,
        f64::from(u32::try_from(app.backend.count()).expect("few"))
    );
    let seconds = format!(
        "formgate_backend_seconds_count{{backend=\"{}\"}}",
        app.backend.url()
    );
    assert_eq!(numbers.get(&seconds), answers);
}

#[tokio::test]
async fn hooks_are_counted_by_what_came_of_them() {
    let rules = format!(
        "{CONTACT}on_failure = \"continue\"\nbreaker = {{ failures = 2, retry_after = \"60s\" }}\n"
    );
    let app = app(&rules).await;
    app.hooks
        .next(Script::answer(503, "retry-after: 0\r\n", ""));
    app.hooks.reply(&json!({"jdoc": {"city": "Bern"}}));
    app.post("/contact").form("name=Ana").send().await;
    app.hooks.always(Script::answer(500, "", "broken"));
    for _ in 0..3 {
        app.post("/contact").form("name=Ana").send().await;
    }
    let numbers = app.numbers().await;
    let hook = "file=\"contact\",hook=\"check\"";
    let count =
        |name: &str, more: &str| numbers.count(&format!("formgate_hook_{name}{{{hook}{more}}}"));
    assert_eq!(count("seconds_count", ",outcome=\"patched\""), 1);
    assert_eq!(count("seconds_count", ",outcome=\"failed\""), 2);
    assert_eq!(count("retries_total", ""), 1);
    assert_eq!(count("skipped_total", ",reason=\"breaker\""), 1);
    assert_eq!(count("let_through_total", ""), 3);
    assert_eq!(count("breaker_open", ""), 1);
    assert_eq!(count("under_way", ""), 0);
    assert!(!numbers.has(&format!(
        "formgate_hook_seconds_count{{{hook},outcome=\"stopped\""
    )));
    let budget = "formgate_event_budget_left_ratio_count{form=\"contact\"}";
    assert_eq!(numbers.count(budget), 4);
    let report = crate::support::client::Ask::new(app.admin().await, "GET", "/readyz?verbose");
    let report = report.send().await.json();
    assert_eq!(
        report["breakers_open"],
        json!([{"file": "contact", "hook": "check"}])
    );
}

#[tokio::test]
async fn a_hook_with_a_new_url_is_not_left_alone_any_more() {
    let rules = format!(
        "{CONTACT}on_failure = \"continue\"\nbreaker = {{ failures = 1, retry_after = \"60s\" }}\n"
    );
    let app = app(&rules).await;
    app.hooks.next(Script::answer(500, "", "broken"));
    app.post("/contact").form("name=Ana").send().await;
    let open = "formgate_hook_breaker_open{file=\"contact\",hook=\"check\"}";
    assert_eq!(app.numbers().await.count(open), 1);
    app.reload(&rules.replace("required = true", "required = false"));
    assert_eq!(app.numbers().await.count(open), 1, "it is the same hook");
    // A call for the old URL is under way, and fails when the new one is in force.
    app.reload(&rules.replace("HOOK/check", "HOOK/old"));
    let (gate, script) = failing_when_told();
    app.hooks.at("/old", script);
    let under_way = tokio::spawn(app.post("/contact").form("name=Ana").send());
    app.hooks.wait_for(2).await;
    app.reload(&rules.replace("HOOK/check", "HOOK/new"));
    assert_eq!(app.numbers().await.count(open), 0, "it is another");
    gate.add_permits(1);
    under_way.await.expect("no panic");
    assert_eq!(app.numbers().await.count(open), 0, "the old one failed");
}

/// A script that fails when it is told to.
fn failing_when_told() -> (Arc<Semaphore>, Script) {
    let told = Arc::new(Semaphore::new(0));
    let listening = Arc::clone(&told);
    let script = Script::custom(move |_, mut wire| {
        let told = Arc::clone(&listening);
        async move {
            told.acquire().await.expect("open").forget();
            wire.write(b"HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n")
                .await;
        }
    });
    (told, script)
}

#[tokio::test]
async fn calls_that_wait_for_their_turn_are_counted() {
    let app = app(&format!("{CONTACT}at_once = 1\n")).await;
    let (gate, script) = gated();
    app.hooks.always(script);
    let bytes = app.post("/contact").form("name=Ana").bytes();
    let (mut one, mut two) = (app.connect().await, app.connect().await);
    one.write(&bytes).await;
    app.hooks.wait_for(1).await;
    two.write(&bytes).await;
    let waiting = "formgate_hook_waiting{file=\"contact\",hook=\"check\"}";
    until(&app, waiting, 1).await;
    gate.add_permits(2);
    assert_eq!(one.answer().await.status, 200);
    assert_eq!(two.answer().await.status, 200);
    assert_eq!(app.numbers().await.count(waiting), 0);
}

#[tokio::test]
async fn a_reload_keeps_what_was_counted() {
    let app = app(CONTACT).await;
    app.hooks.reply(&json!({}));
    app.post("/contact").form("name=Ana").send().await;
    app.reload(&CONTACT.replace("required = true", "required = false"));
    app.post("/contact").form("name=Ana").send().await;
    let numbers = app.numbers().await;
    let accepted = "formgate_requests_total{form=\"contact\",outcome=\"accepted\"}";
    assert_eq!(numbers.count(accepted), 2);
    let calls =
        "formgate_hook_seconds_count{file=\"contact\",hook=\"check\",outcome=\"continued\"}";
    assert_eq!(numbers.count(calls), 2);
}

#[tokio::test]
async fn bodies_on_disk_are_counted_while_they_are_there() {
    let app = site()
        .rules("contact", CONTACT)
        .configure(|config| config.intake.spool.above = 1000)
        .start()
        .await;
    let (gate, script) = gated();
    app.hooks.always(script);
    let content = "x".repeat(300_000);
    let parts = [
        ("content-disposition: form-data; name=\"name\"", "Ana"),
        (
            "content-disposition: form-data; name=\"f\"; filename=\"f\"",
            content.as_str(),
        ),
    ];
    let bytes = app.post("/contact").multipart(&parts).bytes();
    let body = bytes.len() - find(&bytes, b"\r\n\r\n").expect("a head") - 4;
    let mut wire = app.connect().await;
    wire.write(&bytes).await;
    app.hooks.wait_for(1).await;
    let numbers = app.numbers().await;
    assert_eq!(numbers.count("formgate_spool_files"), 1);
    let length = u64::try_from(body).expect("a length");
    assert_eq!(numbers.count("formgate_spool_bytes"), length);
    gate.add_permits(1);
    assert_eq!(wire.answer().await.status, 200);
    until(&app, "formgate_spool_files", 0).await;
    let numbers = app.numbers().await;
    assert_eq!(numbers.count("formgate_spool_bytes"), 0);
    assert_eq!(numbers.count("formgate_spool_written_bytes_total"), length);
}

#[tokio::test]
async fn pages_and_messages_on_their_way_are_counted() {
    let app = app(CONTACT).await;
    app.hooks
        .reply(&json!({"msg": "Look.", "msg_type": "warning"}));
    let outcome = |name: &str, word: &str| format!("formgate_{name}_total{{outcome=\"{word}\"}}");
    let submit = || app.post("/contact").page().form("name=Ana").send();
    app.backend.always(Script::page(200, "<main>thanks</main>"));
    assert!(submit().await.text().contains("Look."));
    app.backend
        .always(Script::answer(200, "content-type: image/png\r\n", "png"));
    submit().await;
    app.backend
        .always(Script::answer(303, "location: /thanks\r\n", ""));
    let sent = submit().await;
    let cookie = sent.header("set-cookie").expect("a message");
    let cookie = cookie.split(';').next().expect("a value").to_owned();
    app.backend.always(Script::page(200, "<main>thanks</main>"));
    let open = |cookie: &str| app.get("/thanks").page().header("cookie", cookie).send();
    assert!(open(&cookie).await.text().contains("Look."));
    open("formgate_flash=forged").await;
    let numbers = app.numbers().await;
    assert_eq!(numbers.count(&outcome("pages", "rewritten")), 2);
    // The picture, and the redirect.
    assert_eq!(numbers.count(&outcome("pages", "no_page")), 2);
    for word in ["set", "read", "refused"] {
        assert_eq!(numbers.count(&outcome("flash_cookies", word)), 1, "{word}");
    }
    // A form that is stopped and whose page cannot be had.
    app.backend.always(Script::answer(500, "", ""));
    app.post("/contact").page().form("name=").send().await;
    assert_eq!(app.numbers().await.count(&outcome("pages", "plain")), 1);
}
