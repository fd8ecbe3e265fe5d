//! Replies that break the protocol, in every form that responders have been seen to break it: each is diagnosed for
//! the operator at its place, handled by `on_failure`, and shown to the person as nothing but a harmless sentence.

use std::io::Write;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::support::App;
use crate::support::app;
use crate::support::peer::Script;

/// What the person is told, whatever the responder did.
const HARMLESS: &str = "The form could not be checked just now. Please try again in a moment.";

fn rules(on_failure: &str) -> String {
    format!(
        "[form]\nsubmit = \"POST /contact\"\nredirect_hosts = [\"pay.example.org\"]\nbudget = \"20s\"\n[[hook]]\non = \"preprocess\"\n\
         url = \"HOOK/check?token=hush\"\nname = \"check\"\ntimeout = \"15s\"\non_failure = \"{on_failure}\"\n\
         breaker = {{ failures = 0 }}\n"
    )
}

fn json_text(body: &str) -> Script {
    Script::answer(200, "content-type: application/json\r\n", body)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("packed");
    encoder.finish().expect("packed")
}

/// A script, the outcome of its job, and a part of the diagnosis.
#[expect(clippy::too_many_lines, reason = "a table")]
fn faulty() -> Vec<(Script, &'static str, &'static str)> {
    let deep = format!("{{\"debug\": {}1{}}}", "[".repeat(70), "]".repeat(70));
    let long = format!("{{\"msg\": \"{}\"}}", "x".repeat(4001));
    let bomb = gzip(&vec![b' '; 10 << 20]);
    let packed = gzip(br#"{"msg_type": "eror"}"#);
    vec![
        // Not JSON, or not one object.
        (
            Script::page(200, "<!doctype html><title>Login</title>"),
            "faulty",
            "body: the reply is HTML or XML",
        ),
        (json_text("OK"), "faulty", "body: "),
        (
            json_text("\"ok\""),
            "faulty",
            "$: the reply is a string, not an object",
        ),
        (
            json_text("[{\"msg\": \"x\"}]"),
            "faulty",
            "$: the reply is a list, not an object",
        ),
        (json_text("true"), "faulty", "$: the reply is a boolean"),
        (json_text("{\"msg\": \"x\""), "faulty", "body: "),
        (json_text("{\"msg\": \"x\"} trailing"), "faulty", "body: "),
        (json_text("{'msg': 'x'}"), "faulty", "body: "),
        (
            json_text("{\"msg\": \"a\", \"msg\": \"b\"}"),
            "faulty",
            "twice",
        ),
        (
            json_text("{\"jdoc\": {\"a\": 1, \"a\": 2}}"),
            "faulty",
            "twice",
        ),
        (
            Script::answer(
                200,
                "content-type: application/json\r\n",
                b"{\"msg\": \"\xff\"}",
            ),
            "faulty",
            "UTF-8",
        ),
        (json_text(&deep), "faulty", "deep"),
        // Too much of it.
        (
            json_text(&long),
            "faulty",
            "$.msg: 4001 characters; at most 4000",
        ),
        (
            json_text(&" ".repeat(300 << 10)),
            "faulty",
            "over 262144 bytes",
        ),
        (
            Script::answer(
                200,
                "content-type: application/json\r\ncontent-encoding: gzip\r\n",
                bomb,
            ),
            "faulty",
            "body: ",
        ),
        (
            Script::answer(
                200,
                "content-type: application/json\r\ncontent-encoding: gzip\r\n",
                packed,
            ),
            "faulty",
            "did you mean \"error\"?",
        ),
        (
            Script::answer(
                200,
                "content-type: application/json\r\ncontent-encoding: gzip\r\n",
                "{}x",
            ),
            "faulty",
            "body: ",
        ),
        (
            Script::answer(
                200,
                "content-type: application/json\r\ncontent-encoding: lzma\r\n",
                "{}",
            ),
            "faulty",
            "body: ",
        ),
        // Wrong words and types.
        (
            json_text(r#"{"msg_type": "err"}"#),
            "faulty",
            "$.msg_type: \"err\" is not a message type; did you mean \"error\"?",
        ),
        (
            json_text(r#"{"msg_type": "fatal"}"#),
            "faulty",
            "there are error, warning",
        ),
        (
            json_text(r#"{"msg_type": 1}"#),
            "faulty",
            "$.msg_type: a number is not a text",
        ),
        (
            json_text(r#"{"msg": ["x"]}"#),
            "faulty",
            "$.msg: a list is not a text",
        ),
        (
            json_text(r#"{"msg": {"en": "x"}}"#),
            "faulty",
            "$.msg: an object is not a text",
        ),
        (
            json_text(r#"{"focus_on": 3}"#),
            "faulty",
            "$.focus_on: a number",
        ),
        (
            json_text(r#"{"errors": "no"}"#),
            "faulty",
            "$.errors: a string is neither",
        ),
        (
            json_text(r#"{"errors": {"email": 1}}"#),
            "faulty",
            "$.errors.email: must be a text",
        ),
        (
            json_text(r#"{"errors": [{"msg": "x"}]}"#),
            "faulty",
            "$.errors[0]: must be an object with",
        ),
        (
            json_text(r#"{"jdoc": "a=1"}"#),
            "faulty",
            "$.jdoc: a string is not an object",
        ),
        (
            json_text(r#"{"jdoc": [1]}"#),
            "faulty",
            "$.jdoc: a list is not an object",
        ),
        (
            json_text(r#"{"jdoc": {"city": {"name": "x"}}}"#),
            "faulty",
            "$.jdoc.city: an object; a form's field takes",
        ),
        (
            json_text(r#"{"jdoc": {"city": [["x"]]}}"#),
            "faulty",
            "$.jdoc.city: a list; a form's field takes",
        ),
        (
            json_text(r#"{"jdoc": {"photo": "x"}}"#),
            "faulty",
            "$.jdoc.photo: a file cannot be changed",
        ),
        // Redirects that are not allowed.
        (
            json_text(r#"{"redirect": "https://evil.example/"}"#),
            "faulty",
            "$.redirect: the host `evil.example` is not allowed",
        ),
        (
            json_text(r#"{"redirect": "//evil.example"}"#),
            "faulty",
            "$.redirect: the redirect starts with `//`",
        ),
        (
            json_text(r#"{"redirect": "javascript:alert(1)"}"#),
            "faulty",
            "$.redirect: the scheme `javascript:`",
        ),
        (
            json_text(r#"{"redirect": "/a\\b"}"#),
            "faulty",
            "a backslash",
        ),
        (
            json_text("{\"redirect\": \"/a\\r\\nset-cookie: x=1\"}"),
            "faulty",
            "$.redirect: the redirect has a character",
        ),
        (
            json_text(r#"{"redirect": "https://x@pay.example.org/"}"#),
            "faulty",
            "user information",
        ),
        (
            json_text(r#"{"redirect": "http://pay.example.org/"}"#),
            "faulty",
            "plain http",
        ),
        (
            json_text(r#"{"redirect": "thanks"}"#),
            "faulty",
            "neither a path",
        ),
        (
            json_text(r#"{"redirect": true}"#),
            "faulty",
            "$.redirect: a boolean",
        ),
        // Statuses that are no reply.
        (
            Script::answer(
                302,
                "location: https://elsewhere.example/x?key=hush\r\n",
                "",
            ),
            "failed",
            "status: 302 to `https://elsewhere.example/x`: a redirect of a hook is never followed",
        ),
        (
            Script::answer(301, "location: /check/\r\n", ""),
            "failed",
            "301 to `/check/`",
        ),
        (
            Script::page(404, "not found"),
            "failed",
            "status: 404 is no reply",
        ),
        (
            Script::json(401, &json!({"msg": "no"})),
            "failed",
            "status: 401 is no reply",
        ),
        (
            Script::page(500, "<h1>Traceback</h1>"),
            "failed",
            "status: 500 is no reply",
        ),
        (
            Script::page(502, "bad gateway"),
            "failed",
            "status: 502 is no reply",
        ),
        (
            Script::page(422, "<p>invalid</p>"),
            "failed",
            "422 without a JSON object",
        ),
        (
            Script::json(409, &json!({"detail": "x"})),
            "failed",
            "409 without a JSON object",
        ),
        (
            Script::json(422, &json!({"msg": "x", "msg_type": "eror"})),
            "faulty",
            "did you mean \"error\"?",
        ),
        // Not HTTP, half of it, or nothing.
        (
            Script::Last(b"garbage\r\n\r\n".to_vec()),
            "failed",
            "connection: ",
        ),
        (
            Script::Last(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"msg\":".to_vec()),
            "failed",
            "body: the reply broke off",
        ),
        (Script::Last(Vec::new()), "failed", "connection: "),
        (Script::Reset, "failed", "connection: "),
    ]
}

#[tokio::test]
async fn every_fault_is_diagnosed_and_the_person_sees_none_of_it() {
    let app = app(&rules("stop")).await;
    for (number, (script, outcome, part)) in faulty().into_iter().enumerate() {
        app.hooks.always(script);
        let answer = submit(&app).await;
        let job = app.log.jobs().pop().expect("a job");
        let faults = job["faults"].as_str().unwrap_or_default();
        assert_eq!(job["outcome"], outcome, "{number} {part}: {faults}");
        assert!(
            faults.contains(part),
            "{number}: {faults:?} does not say {part:?}"
        );
        assert!(!faults.contains("hush"), "no query: {faults}");
        assert_eq!(answer.status, 503, "{part}");
        assert!(answer.header("retry-after").is_some());
        let said = answer.json();
        assert_eq!(
            (&said["outcome"], &said["submitted"]),
            (&json!("unavailable"), &json!(false))
        );
        assert_eq!(said["msg"], HARMLESS);
        assert_eq!(
            (&said["changed"], &said["redirect"]),
            (&json!({}), &Value::Null)
        );
        assert_eq!(
            app.hooks.count(),
            number + 1,
            "an answer is never asked for twice"
        );
    }
    assert_eq!(app.backend.count(), 0);
    assert!(!app.log.text().contains("hush"));
}

async fn submit(app: &App) -> crate::support::client::Answer {
    app.post("/contact")
        .multipart(&[
            ("content-disposition: form-data; name=\"city\"", "Bern"),
            (
                "content-disposition: form-data; name=\"photo\"; filename=\"a.png\"",
                "x",
            ),
        ])
        .send()
        .await
}

#[tokio::test]
async fn a_form_may_go_on_after_a_fault_but_never_after_a_refused_redirect() {
    let app = app(&rules("continue")).await;
    for (script, _, part) in faulty() {
        app.hooks.always(script);
        let before = app.backend.count();
        let answer = submit(&app).await;
        let job = app.log.jobs().pop().expect("a job");
        // A redirect wanted to keep the person from submitting: that it is not allowed never becomes a go.
        let goes = !job["faults"]
            .as_str()
            .unwrap_or_default()
            .contains("$.redirect");
        assert_eq!(job["let_through"], goes, "{part}");
        assert_eq!(app.backend.count() - before, usize::from(goes), "{part}");
        assert_eq!(answer.status, if goes { 200 } else { 503 }, "{part}");
        assert_eq!(answer.header("formgate-reply"), None, "nothing was said");
    }
}

#[tokio::test]
async fn responders_that_take_their_time_are_not_waited_for() {
    let timeout = rules("stop").replace("\"15s\"", "\"150ms\"");
    let app = app(&timeout).await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let whole = format!("{head}content-length: 2\r\n\r\n{{}}").into_bytes();
    for script in [
        Script::Hang,
        Script::Stall(format!("{head}content-length: 20\r\n\r\n{{\"msg\"").into_bytes()),
        Script::Stall(format!("{head}transfer-encoding: chunked\r\n\r\n1\r\n{{\r\n").into_bytes()),
        Script::Stall(b"HTTP/1.1 200 OK\r\nx-slow: ".to_vec()),
        Script::Drip(whole, Duration::from_millis(10)),
    ] {
        app.hooks.always(script);
        let began = tokio::time::Instant::now();
        assert_eq!(submit(&app).await.status, 503);
        assert!(began.elapsed() < Duration::from_secs(5));
        let job = app.log.jobs().pop().expect("a job");
        assert_eq!(job["outcome"], "timed_out");
    }
    assert_eq!(app.hooks.count(), 5, "and never asked again");
    assert_eq!(app.backend.count(), 0);
}

#[tokio::test]
async fn a_reply_without_end_is_given_up_early() {
    let app = app(&rules("stop")).await;
    // 100 MB, announced or not; the responder is left as soon as it is clear that it is too much.
    for head in [
        "content-length: 104857600\r\n",
        "transfer-encoding: chunked\r\n",
    ] {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{head}\r\n");
        app.hooks.always(Script::custom(move |_, mut wire| {
            let head = head.clone();
            async move {
                use tokio::io::AsyncWriteExt;

                let _ = wire.stream.write_all(head.as_bytes()).await;
                let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
                let mut sent = Ok(());
                while sent.is_ok() {
                    sent = wire.stream.write_all(chunk.as_bytes()).await;
                }
            }
        }));
        assert_eq!(submit(&app).await.status, 503);
        let job = app.log.jobs().pop().expect("a job");
        assert_eq!(job["outcome"], "faulty");
        app.hooks.wait_until_left().await;
    }
}

#[tokio::test]
async fn what_is_odd_works_and_is_warned_of() {
    let app = app(&rules("stop")).await;
    for (script, status, part) in [
        (
            json_text(r#"{"message": "x"}"#),
            200,
            "$.message: not a key of a reply; did you mean `msg`?",
        ),
        (
            json_text(r#"{"jdoc": {"town": "x"}}"#),
            200,
            "$.jdoc.town: the submission does not carry this field",
        ),
        (
            json_text(r#"{"jdoc": {"_method": "DELETE"}}"#),
            200,
            "$.jdoc._method: a field that starts with `_`",
        ),
        (
            json_text(r#"{"jdoc": {"password": "x"}}"#),
            200,
            "$.jdoc.password: a hidden field",
        ),
        (
            json_text(r#"{"msg": "x", "focus_on": "town"}"#),
            200,
            "$.focus_on: the submission does not carry",
        ),
        (
            json_text(r#"{"msg_type": "error"}"#),
            422,
            "$.msg: an error without a `msg`",
        ),
        (
            Script::answer(200, "", r#"{"msg": "x"}"#),
            200,
            "content-type: ",
        ),
        (
            Script::page(200, r#"{"msg": "x"}"#),
            200,
            "content-type: `text/html",
        ),
        (
            Script::json(422, &json!({"msg": "x", "msg_type": "success"})),
            422,
            "$.msg_type: \"success\" with status 422",
        ),
        (
            json_text(r#"{"errors": {"city": "x"}, "msg_type": "warning"}"#),
            422,
            "$.msg_type: `errors` stop",
        ),
    ] {
        app.hooks.always(script);
        let answer = submit(&app).await;
        let job = app.log.jobs().pop().expect("a job");
        let warnings = job["warnings"].as_str().unwrap_or_default();
        assert!(
            warnings.contains(part),
            "{warnings:?} does not say {part:?}"
        );
        assert_eq!(answer.status, status, "{part}");
    }
    let patched: Vec<String> = app
        .backend
        .received()
        .iter()
        .map(|sent| sent.text())
        .collect();
    assert!(
        patched
            .iter()
            .any(|body| body.contains("name=\"town\"\r\n\r\nx\r\n"))
    );
    assert!(
        patched
            .iter()
            .all(|body| !body.contains("_method") && !body.contains("password"))
    );
}

#[tokio::test]
async fn nothing_said_in_every_way_is_a_go() {
    let app = app(&rules("stop")).await;
    for script in [
        Script::answer(204, "", ""),
        Script::answer(200, "", ""),
        json_text(""),
        json_text("{}"),
        json_text("null"),
        json_text(" \r\n{ } "),
        json_text("\u{feff}{\"msg\": null}"),
        json_text(r#"{"msg": "", "msg_type": null, "jdoc": {}, "errors": [], "redirect": ""}"#),
        Script::json(201, &json!({"debug": {"took": 3}})),
        Script::answer(202, "", ""),
    ] {
        app.hooks.always(script);
        let answer = submit(&app).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("formgate-reply"), None);
        let job = app.log.jobs().pop().expect("a job");
        assert_eq!(
            (&job["outcome"], job.get("warnings")),
            (&json!("continued"), None)
        );
    }
}

#[tokio::test]
async fn refusing_statuses_and_lists_of_errors_are_replies() {
    let app = app(&rules("stop")).await;
    for (status, reply, errors) in [
        (400, json!({"msg": "No."}), json!({})),
        (
            409,
            json!({"errors": {"city": "Taken."}}),
            json!({"city": "Taken."}),
        ),
        (
            422,
            json!({"msg": "No.", "errors": {"city": ["Too short.", "Too odd."]}}),
            json!({"city": "Too short."}),
        ),
        (
            200,
            json!({"errors": [{"field": "city", "msg": "No."}, {"field": "photo", "msg": "Large."}]}),
            json!({"city": "No.", "photo": "Large."}),
        ),
        (200, json!({"msg": "No.", "msg_type": "ERROR"}), json!({})),
    ] {
        app.hooks.always(Script::json(status, &reply));
        let answer = submit(&app).await;
        assert_eq!(answer.status, 422, "{reply}");
        let said = answer.json();
        assert_eq!(
            (&said["outcome"], &said["errors"]),
            (&json!("stopped"), &errors),
            "{reply}"
        );
        if let Some(first) = errors.as_object().expect("an object").keys().next() {
            assert_eq!(said["focus_on"], json!(first));
        }
    }
    assert_eq!(app.backend.count(), 0);
}

#[tokio::test]
async fn what_a_reply_says_as_debug_is_for_the_operator() {
    let app = app(&rules("stop")).await;
    for (reply, status) in [
        (
            json!({"msg": "By the way.", "debug": {"rule": "xyzzy"}}),
            200,
        ),
        (json!({"msg_type": "eror", "debug": "xyzzy"}), 503),
    ] {
        app.hooks.reply(&reply);
        let answer = submit(&app).await;
        assert_eq!(answer.status, status);
        assert!(!answer.head.contains("xyzzy") && !answer.text().contains("xyzzy"));
        let trail = app.log.of("formgate::trail").pop().expect("written down");
        assert!(trail["debug"].as_str().expect("a text").contains("xyzzy"));
        assert_eq!(trail["id"], app.log.jobs().pop().expect("a job")["id"]);
        let level = app
            .log
            .all()
            .into_iter()
            .find(|entry| entry.target == "formgate::trail");
        assert_eq!(level.expect("there").level, "DEBUG");
    }
}
