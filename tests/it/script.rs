//! What formgate.js is answered: the texts of a page as JSON, and redirects that it is told of.

use serde_json::json;

use crate::support::App;
use crate::support::app;
use crate::support::client::Answer;
use crate::support::client::Ask;
use crate::support::peer::Script;

const RULES: &str = r#"
[form]
submit = "POST /contact"
error_body = '{"errors":[{"message":"{msg}"}]}'
accepted = ["2xx", "303"]
[fields.age]
type = "integer"
[[hook]]
on = "preprocess"
url = "HOOK/before"
[[hook]]
on = "submit"
url = "HOOK/after"
"#;

fn scripted(app: &App, target: &str) -> Ask {
    let ask = app.post(target).header("accept", "application/json");
    ask.header("formgate-script", "1")
}

async fn sent(app: &App, fields: &str) -> Answer {
    scripted(app, "/contact").form(fields).send().await
}

#[tokio::test]
async fn it_gets_the_texts_that_a_page_would_show_in_the_gateway_s_own_shape() {
    let app = app(RULES).await;
    app.hooks.reply_at(
        "/before",
        &json!({"msg": "Not yet.", "errors": {"age": "Too young."}}),
    );
    let stopped = sent(&app, "age=5").await;
    assert_eq!(stopped.status, 422);
    assert_eq!(
        stopped.header("content-type"),
        Some("application/problem+json")
    );
    let said = stopped.json();
    assert_eq!(said["outcome"], "stopped");
    assert_eq!(said["texts"], json!(["Not yet.", "Nothing was submitted."]));
    assert_eq!(said["errors"], json!({"age": "Too young."}));
    let german = scripted(&app, "/contact").header("accept-language", "de");
    let said = german.form("age=5").send().await.json();
    assert_eq!(said["texts"][1], "Es wurde nichts übermittelt.");

    // A script that is not formgate.js gets the shape of the application, as before.
    let other = app.post("/contact").header("accept", "application/json");
    let other = other.form("age=5").send().await;
    assert_eq!(other.json(), json!({"errors": [{"message": "Not yet."}]}));
}

#[tokio::test]
async fn beside_an_accepted_answer_it_gets_the_words_for_changed_fields() {
    let app = app(RULES).await;
    app.backend.always(Script::json(201, &json!({"id": 1})));
    app.hooks.reply_at(
        "/before",
        &json!({"jdoc": {"city": "Bern"}, "msg": "Corrected.", "msg_type": "notification"}),
    );
    let accepted = sent(&app, "city=Berne").await;
    assert_eq!((accepted.status, accepted.json()), (201, json!({"id": 1})));
    let said = accepted.reply();
    assert_eq!(
        said["texts"],
        json!(["Corrected.", "The form was submitted."])
    );
    assert_eq!(said["changed"], json!({"city": "Bern"}));
    assert_eq!(said["words"]["changed"], "{field} was changed to {value}.");
    app.hooks.reply_at("/before", &json!({}));
    app.hooks.reply_at(
        "/after",
        &json!({"msg": "Thank you.", "msg_type": "success"}),
    );
    let said = sent(&app, "city=Bern").await.reply();
    assert_eq!(said["texts"], json!(["Thank you."]));
    assert!(said.get("words").is_none());
}

#[tokio::test]
async fn where_nobody_says_anything_it_is_told_that_it_was_submitted() {
    let words = "[words]\nsaved = \"We have it.\"\n";
    let app = app(&RULES.replace("[fields.age]", &format!("{words}[fields.age]"))).await;
    app.hooks.reply_at("/before", &json!({}));
    app.hooks.reply_at("/after", &json!({}));
    app.backend.always(Script::json(201, &json!({"id": 1})));
    let said = sent(&app, "city=Bern").await.reply();
    assert_eq!(said["texts"], json!(["We have it."]));
    assert_eq!(
        (&said["msg_type"], &said["submitted"]),
        (&json!("success"), &json!(true))
    );
    // A page says it itself, and so does whoever is no formgate.js.
    app.backend.always(Script::answer(
        200,
        "content-type: text/html\r\n",
        "<p>Thanks.</p>",
    ));
    let page = sent(&app, "city=Bern").await;
    assert_eq!(page.header("formgate-reply"), None);
    app.backend.always(Script::json(201, &json!({"id": 1})));
    let other = app.post("/contact").header("accept", "application/json");
    let other = other.form("city=Bern").send().await;
    assert_eq!(other.header("formgate-reply"), None);
    // What the backend did not take is not said to be.
    app.backend.always(Script::json(400, &json!({})));
    let refused = sent(&app, "city=Bern").await;
    assert_eq!(refused.header("formgate-reply"), None);
}

#[tokio::test]
async fn it_is_told_where_the_backend_sends_the_person() {
    let app = app(RULES).await;
    let seen = "location: https://pay.example.org/1\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n";
    app.backend.always(Script::answer(303, seen, ""));
    app.hooks.reply_at("/before", &json!({}));
    app.hooks.reply_at(
        "/after",
        &json!({"msg": "Thank you.", "msg_type": "success"}),
    );
    let told = sent(&app, "city=Bern").await;
    assert_eq!(told.status, 200);
    assert_eq!(told.header("location"), None);
    assert_eq!(told.header("cache-control"), Some("no-store"));
    let cookies = told.headers_of("set-cookie");
    assert_eq!(cookies[..2], ["a=1", "b=2"]);
    assert!(
        cookies.len() == 3 && cookies[2].starts_with("formgate_flash="),
        "the page there says it: {cookies:?}"
    );
    let said = told.json();
    assert_eq!(said["redirect"], "https://pay.example.org/1");
    assert_eq!(
        (&said["outcome"], &said["submitted"]),
        (&json!("accepted"), &json!(true))
    );
    assert_eq!(said["texts"], json!(["Thank you."]));

    // Whatever the request is about: the script cannot tell.
    let elsewhere = scripted(&app, "/login").form("name=ana").send().await;
    assert_eq!(elsewhere.json()["redirect"], "https://pay.example.org/1");
    // But not where the form is to be sent once more.
    app.backend
        .always(Script::answer(307, "location: /again\r\n", ""));
    let again = sent(&app, "city=Bern").await;
    assert_eq!(
        (again.status, again.header("location")),
        (307, Some("/again"))
    );
    // And everybody else gets the redirect itself.
    app.backend.always(Script::answer(303, seen, ""));
    for accept in ["text/html", "application/json"] {
        let answer = app.post("/contact").header("accept", accept);
        assert_eq!(answer.form("city=Bern").send().await.status, 303);
    }
}
