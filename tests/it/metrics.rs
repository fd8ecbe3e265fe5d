//! What is counted: each outcome raises the number that it should, and every request is counted exactly once.

use serde_json::json;

use crate::support::App;
use crate::support::app;
use crate::support::peer::Script;

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
