//! The shortest way through each outcome: that gateway, backend and responder find each other.

use serde_json::json;

use crate::support::app;
use crate::support::peer::Script;

const CONTACT: &str = r#"
[form]
submit = "POST /contact"

[[hook]]
on = "preprocess"
url = "HOOK/check"
"#;

#[tokio::test]
async fn a_submission_goes_on_when_the_hook_says_nothing() {
    let app = app(CONTACT).await;
    app.hooks.always(Script::answer(204, "", ""));
    app.backend.always(Script::json(201, &json!({"id": 7})));
    let answer = app.post("/contact").form("name=Ana&city=Bern").send().await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json(), json!({"id": 7}));
    let call = app.hooks.only().json();
    assert_eq!(call["event"], "form_preprocess_contact");
    assert_eq!(call["doc"], json!({"name": "Ana", "city": "Bern"}));
    assert_eq!(app.backend.only().text(), "name=Ana&city=Bern");
    assert_eq!(app.log.jobs()[0]["outcome"], "continued");
    assert!(app.end().await, "everything was finished");
}

#[tokio::test]
async fn a_submission_that_is_stopped_never_reaches_the_backend() {
    let app = app(CONTACT).await;
    app.hooks
        .reply(&json!({"msg": "Not today.", "msg_type": "error", "focus_on": "name"}));
    let answer = app.post("/contact").form("name=Ana").send().await;
    assert_eq!(answer.status, 422);
    assert_eq!(answer.json()["outcome"], "stopped");
    assert_eq!(answer.json()["focus_on"], "name");
    assert_eq!(app.backend.count(), 0);
}

#[tokio::test]
async fn a_changed_field_arrives_and_is_reported() {
    let app = app(CONTACT).await;
    app.hooks.reply(&json!({"jdoc": {"city": "Bern"}}));
    let answer = app.post("/contact").form("name=Ana&city=bern").send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.reply()["changed"], json!({"city": "Bern"}));
    assert_eq!(app.backend.only().text(), "name=Ana&city=Bern");
}
