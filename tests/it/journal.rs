//! What is written down: one job per call with everything an operator needs, and no personal data anywhere.

use std::sync::Arc;

use serde_json::Value;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::support::app;
use crate::support::peer::Script;
use crate::support::within;

const RULES: &str = r#"
[form]
submit = "POST /contact/{who}"
hidden = ["card"]
submission_id = "$.id"
update = "PATCH /api/{submission_id}?key=hush-update"
[user_info]
email = "field:email"
id = "header:x-user"
[fields.age]
type = "integer"
max = 90
[[rule]]
on = "preprocess"
when = "@.doc.site"
reply = { redirect = "/go/{doc.site}" }
[[hook]]
on = "preprocess"
name = "check"
url = "HOOK/check?token=hush-url"
headers = { authorization = "env:CARGO_PKG_DESCRIPTION", x-plain = "hush-header" }
[[hook]]
on = "submit"
name = "after"
url = "HOOK/after"
"#;

/// Values that people and operators gave, none of which may be in any log.
const PERSONAL: [&str; 12] = [
    "ana.private",
    "Zoe-Private",
    "4111-card",
    "pw-private",
    "hush-url",
    "hush-header",
    "hush-update",
    "hush-cookie",
    "hush-query",
    "u-private",
    "203-private",
    "hush-referer",
];

#[tokio::test]
async fn a_job_says_everything_but_what_is_personal() {
    let app = app(RULES).await;
    app.hooks.reply_at(
        "/check",
        &json!({"jdoc": {"city": "Zoe-Private"}, "msg": "Hello ana.private"}),
    );
    app.hooks
        .reply_at("/after", &json!({"jdoc": {"fee": "Zoe-Private"}}));
    app.backend.at(
        "/contact/x",
        Script::json(201, &json!({"id": "s-17", "email": "ana.private"})),
    );
    app.backend.always(Script::answer(204, "", ""));
    let body = "email=ana.private&name=Zoe-Private&card=4111-card&password=pw-private&age=3&city=a";
    let post = |body: &str| {
        app.post("/contact/x?q=hush-query")
            .header("cookie", "session=hush-cookie")
            .header("x-user", "u-private")
            .header("user-agent", "203-private")
            .header("referer", "https://forms.example.org/?x=hush-referer")
            .form(body)
    };
    assert_eq!(post(body).send().await.status, 201);
    let jobs = app.log.jobs();
    assert_eq!(jobs.len(), 3);
    let (check, after, update) = (&jobs[0], &jobs[1], &jobs[2]);
    let has = |job: &serde_json::Map<String, Value>, expected: Value| {
        for (name, value) in expected.as_object().expect("an object") {
            assert_eq!(job.get(name), Some(value), "{name} in {job:?}");
        }
    };
    has(
        check,
        json!({"kind": "hook", "event": "form_preprocess", "form": "contact", "hook": "check", "run": 1,
        "status": 200, "outcome": "patched", "changed": "city", "let_through": false, "conflict": false,
        "url": format!("{}/check", app.hooks.url())}),
    );
    has(
        after,
        json!({"kind": "hook", "event": "form_submit", "hook": "after", "submission_id": "s-17", "changed": "fee"}),
    );
    has(
        update,
        json!({"kind": "update", "hook": "update", "outcome": "delivered", "submission_id": "s-17", "changed": "fee",
        "status": 204}),
    );
    let calls = app.hooks.received();
    for (job, call) in jobs.iter().zip(&calls) {
        assert_eq!(job["id"].as_str(), call.header("webhook-id"));
        assert_eq!(job["sent_bytes"], call.body.len());
        assert!(job["received_bytes"].as_u64() > Some(10));
        assert!(job.contains_key("total_ms") && job.contains_key("first_byte_ms"));
        assert_eq!(job["request_id"], check["request_id"]);
        assert_eq!(job["id"].as_str().map(str::len), Some(36));
    }
    assert!(
        check.contains_key("connect_ms"),
        "the first call had to connect"
    );

    // And the same where things go wrong.
    app.hooks.reply_at(
        "/check",
        &json!({"msg_type": "eror", "msg": "ana.private", "debug": 1}),
    );
    post(body).send().await;
    app.hooks.at(
        "/check",
        Script::answer(
            302,
            "location: https://x.example/?t=hush-url\r\n",
            "ana.private",
        ),
    );
    post(body).send().await;
    app.hooks
        .at("/check", Script::page(500, "Traceback: ana.private"));
    post(body).send().await;
    app.hooks.at(
        "/check",
        Script::Last(b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\nana.private".to_vec()),
    );
    post(body).send().await;
    app.hooks.at("/check", Script::answer(204, "", ""));
    // A rule whose reply cannot be used, a field that is refused, a body that cannot be read, a backend that is gone.
    post(&format!("{body}&site=ana.private")).send().await;
    post(&body.replace("age=3", "age=999")).send().await;
    post(&format!("{body}&x=%zz")).send().await;
    post(&body.replace("age=3", "+age=Zoe-Private"))
        .send()
        .await;
    app.backend.at("/contact/x", Script::Reset);
    post(body).send().await;
    let text = app.log.text();
    for part in PERSONAL {
        assert!(!text.contains(part), "{part} is in the log");
    }
    assert!(
        app.log.all().len() > 20,
        "there was something to look through"
    );
}

#[tokio::test]
async fn what_goes_wrong_is_a_warning_and_what_goes_well_is_not() {
    let app = app(RULES).await;
    let level = |target: &str| {
        let mut entries = app.log.all().into_iter();
        entries
            .rfind(|entry| entry.target == target)
            .map(|entry| entry.level)
    };
    for (reply, expected) in [
        (json!({"msg": "x"}), "INFO"),
        (json!({"msg": "x", "msg_type": "error"}), "INFO"),
        (json!({"message": "x"}), "WARN"),
        (json!({"msg_type": "eror"}), "WARN"),
    ] {
        app.hooks.reply_at("/check", &reply);
        app.hooks.reply_at("/after", &json!({}));
        app.backend.always(Script::json(400, &json!({})));
        app.post("/contact/x").form("age=1").send().await;
        assert_eq!(level("formgate::job").as_deref(), Some(expected), "{reply}");
        assert_eq!(level("formgate::decision").as_deref(), Some("INFO"));
    }
    let decisions = app.log.of("formgate::decision");
    let words: Vec<&Value> = decisions
        .iter()
        .map(|decision| &decision["decision"])
        .collect();
    assert_eq!(words, ["continued", "stopped", "continued", "unavailable"]);
}

#[tokio::test]
async fn a_responders_names_cannot_flood_the_log_or_forge_its_lines() {
    let app = app(RULES).await;
    let mut reply = serde_json::Map::new();
    for number in 0..500 {
        reply.insert(
            format!("key{number}\nERROR forged {}", "x".repeat(400)),
            json!(1),
        );
    }
    app.hooks.reply_at("/check", &Value::Object(reply));
    app.post("/contact/x").form("age=1").send().await;
    let job = &app.log.jobs()[0];
    let warnings = job["warnings"].as_str().expect("warnings");
    assert!(warnings.len() < 10_000, "{}", warnings.len());
    assert!(
        !warnings.contains('\n') && warnings.ends_with("and 480 more"),
        "{warnings}"
    );
}

#[tokio::test]
async fn a_call_is_written_down_even_if_the_person_has_gone() {
    let rules = "[form]\nload = \"GET /contact\"\n[[hook]]\non = \"load\"\nurl = \"HOOK/load\"\n";
    let app = app(rules).await;
    let release = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&release);
    app.hooks.always(Script::custom(move |_, mut wire| {
        let held = Arc::clone(&held);
        async move {
            held.acquire().await.expect("open").forget();
            wire.write(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        }
    }));
    let mut wire = app.connect().await;
    wire.write(&app.get("/contact").bytes()).await;
    app.hooks.wait_for(1).await;
    drop(wire);
    release.add_permits(1);
    app.backend.wait_for(1).await;
    app.gate.tasks().close();
    within("the call", app.gate.tasks().wait()).await;
    assert_eq!(app.log.jobs()[0]["outcome"], "continued");
}
