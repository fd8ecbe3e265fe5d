//! What the person is answered (protocol §6): one shape in the form that each kind of client takes, redirects,
//! an application's own shape of errors, and nothing that must not be said.

use serde_json::Value;
use serde_json::json;

use crate::support::App;
use crate::support::app;
use crate::support::client::Answer;
use crate::support::client::Ask;
use crate::support::peer::Script;
use crate::support::site;

const RULES: &str = r#"
[form]
submit = "POST /contact"
load = "GET /contact"
hidden = ["card"]
csrf = ["token"]
redirect_hosts = ["pay.example.org"]
[[hook]]
on = "load"
url = "HOOK/load"
[[hook]]
on = "preprocess"
url = "HOOK/check"
[[hook]]
on = "submit"
url = "HOOK/after"
"#;

const BODY: &str = "name=Ana+%3Cb%3E&age=3&card=4111&password=hunter2&token=T&empty=&_method=quux";

async fn quiet() -> App {
    let app = app(RULES).await;
    app.hooks.always(Script::answer(204, "", ""));
    app
}

fn is(answer: &Answer, name: &str, value: &str) {
    assert_eq!(
        answer.headers_of(name),
        [value],
        "{name} in {:?}",
        answer.head
    );
}

#[tokio::test]
async fn a_stop_in_every_form() {
    let app = quiet().await;
    let reply = json!({"msg": "Not <b>yet</b>.", "msg_type": "error", "errors": {"age": "Too \"young\"."},
        "focus_on": "age", "debug": "secret"});
    app.hooks.reply_at("/check", &reply);

    let script = app
        .post("/contact")
        .header("accept", "*/*")
        .form(BODY)
        .send()
        .await;
    assert_eq!(script.status, 422);
    is(&script, "content-type", "application/problem+json");
    let mut said = script.json();
    assert!(
        !said["request_id"]
            .take()
            .as_str()
            .expect("an id")
            .is_empty()
    );
    let expected = json!({
        "outcome": "stopped", "submitted": false, "msg": "Not <b>yet</b>.", "msg_type": "error",
        "messages": [
            {"msg": "Not <b>yet</b>.", "msg_type": "error", "field": null},
            {"msg": "Too \"young\".", "msg_type": "error", "field": "age"},
        ],
        "errors": {"age": "Too \"young\"."}, "focus_on": "age", "redirect": null, "changed": {}, "suggestions": {},
        "request_id": null, "type": "about:blank", "title": "The form was not accepted", "status": 422,
        "detail": "Not <b>yet</b>.",
    });
    assert_eq!(said, expected);

    let htmx = app.post("/contact").htmx().form(BODY).send().await;
    assert_eq!(htmx.status, 422);
    is(&htmx, "content-type", "text/html; charset=utf-8");
    assert!(!htmx.text().contains("<html") && htmx.text().contains("role=\"alert\""));
    assert!(htmx.text().contains("data-field=\"age\""));

    let referer = "http://forms.example.org/contact?step=1&x=%3C";
    let page = app
        .post("/contact")
        .page()
        .header("referer", referer)
        .form(BODY)
        .send()
        .await;
    assert_eq!(page.status, 422);
    is(&page, "content-type", "text/html; charset=utf-8");
    let html = page.text();
    for part in [
        "lang=\"en\"",
        "role=\"alert\"",
        "href=\"/contact?step=1&#38;x=%3C\"",
        "Ana &#60;b&#62;",
        "Nothing was submitted",
    ] {
        assert!(html.contains(part), "{part} in {html}");
    }
    for answer in [&script, &htmx, &page] {
        is(answer, "cache-control", "no-store");
        is(answer, "x-content-type-options", "nosniff");
        let text = answer.text();
        for part in [
            "4111",
            "hunter2",
            ">T<",
            "quux",
            "secret",
            "<b>yet",
            "127.0.0.1",
        ] {
            let json = answer
                .header("content-type")
                .expect("a type")
                .contains("json");
            assert!(
                !text.contains(part) || (json && part == "<b>yet"),
                "{part} in {text}"
            );
        }
    }
    let asked = app.backend.received();
    let is_page = |method: &str| method == "GET";
    assert!(
        asked.iter().all(|one| is_page(&one.method)),
        "nothing was submitted"
    );
}

#[tokio::test]
async fn a_referer_elsewhere_is_no_way_back() {
    let app = quiet().await;
    app.hooks.reply_at("/check", &json!({"msg_type": "error"}));
    for referer in [
        "https://evil.example/contact",
        "http://forms.example.org.evil.example/",
        "http://forms.example.org//evil.example/",
        "javascript:alert(1)",
        "forms.example.org",
    ] {
        let page = app
            .post("/contact")
            .page()
            .header("referer", referer)
            .form(BODY)
            .send()
            .await;
        let html = page.text();
        assert!(html.contains("href=\"/contact\""), "{referer}: {html}");
        assert!(
            !html.contains("evil") && !html.contains("alert(1)"),
            "{referer}: {html}"
        );
    }
}

#[tokio::test]
async fn redirects_before_the_backend() {
    for (reply, script_status) in [
        (json!({"redirect": "/pay?a=1"}), 200),
        (
            json!({"redirect": "/pay?a=1", "msg": "No.", "msg_type": "error"}),
            422,
        ),
        (json!({"redirect": "/pay?a=1", "msg": "This way."}), 200),
    ] {
        let app = quiet().await;
        app.hooks.reply_at("/check", &reply);
        let page = app.post("/contact").page().form(BODY).send().await;
        assert_eq!(
            (page.status, page.header("location")),
            (303, Some("/pay?a=1"))
        );
        is(&page, "cache-control", "no-store");
        let script = app.post("/contact").form(BODY).send().await;
        assert_eq!(
            (script.status, script.header("location")),
            (script_status, None)
        );
        let said = script.json();
        assert_eq!(
            (&said["outcome"], &said["redirect"]),
            (&json!("redirected"), &json!("/pay?a=1"))
        );
        assert_eq!(
            (&said["submitted"], &said["status"]),
            (&json!(false), &json!(script_status))
        );
        let htmx = app.post("/contact").htmx().form(BODY).send().await;
        assert_eq!(
            (htmx.status, htmx.header("hx-redirect")),
            (200, Some("/pay?a=1"))
        );
        assert_eq!(app.backend.count(), 0);
    }
}

#[tokio::test]
async fn targets_that_are_allowed_arrive_as_they_are() {
    let app = quiet().await;
    for (target, location) in [
        ("/thanks?id=1#top", "/thanks?id=1#top"),
        ("/gr\u{fc}n", "/gr%C3%BCn"),
        ("https://forms.example.org/x", "https://forms.example.org/x"),
        ("https://PAY.example.org/a", "https://PAY.example.org/a"),
        ("/a//b@c:d", "/a//b@c:d"),
    ] {
        app.hooks.reply_at("/check", &json!({"redirect": target}));
        let page = app.post("/contact").page().form(BODY).send().await;
        assert_eq!(
            (page.status, page.header("location")),
            (303, Some(location))
        );
    }
}

#[tokio::test]
async fn an_accepted_answer_is_untouched_but_for_one_header() {
    let app = quiet().await;
    let headers =
        "content-type: text/html\r\nset-cookie: a=1\r\nx-own: 1\r\ncache-control: private\r\n";
    app.backend
        .always(Script::answer(201, headers, "<p>made</p>"));
    let plain = app.post("/contact").form(BODY).send().await;
    assert_eq!(plain.header("formgate-reply"), None, "nothing to say");
    app.hooks.reply_at(
        "/check",
        &json!({"msg": "Grüße 😀\r\nsecond", "msg_type": "warning", "jdoc": {"age": "4"}}),
    );
    let answer = app.post("/contact").form(BODY).send().await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (201, "<p>made</p>")
    );
    for name in ["content-type", "set-cookie", "x-own", "cache-control"] {
        assert_eq!(answer.headers_of(name), plain.headers_of(name));
    }
    let header = answer.header("formgate-reply").expect("there");
    assert!(header.is_ascii());
    let said = answer.reply();
    assert_eq!(
        (&said["outcome"], &said["submitted"]),
        (&json!("accepted"), &json!(true))
    );
    assert_eq!(
        (&said["msg"], &said["changed"]),
        (&json!("Grüße 😀\r\nsecond"), &json!({"age": "4"}))
    );
    // A reply too long for a header loses its lists first.
    let long: Vec<Value> = (0..60)
        .map(|n| json!({"field": format!("f{n}"), "msg": "x".repeat(200)}))
        .collect();
    app.hooks.reply_at(
        "/check",
        &json!({"msg": "Short.", "jdoc": {"age": "y".repeat(7000)}}),
    );
    app.hooks.reply_at("/after", &json!({"errors": long}));
    let answer = app.post("/contact").form(BODY).send().await;
    assert!(answer.header("formgate-reply").expect("there").len() <= 6 << 10);
    assert_eq!(
        (answer.status, &answer.reply()["submitted"]),
        (201, &json!(true))
    );
}

#[tokio::test]
async fn a_refusal_of_the_backend_is_its_own() {
    let app = quiet().await;
    app.hooks.reply_at("/check", &json!({"msg": "By the way."}));
    app.backend.always(Script::page(422, "<form>again</form>"));
    let answer = app.post("/contact").form(BODY).send().await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (422, "<form>again</form>")
    );
    assert_eq!(answer.header("formgate-reply"), None);
    assert_eq!(
        app.hooks.count(),
        1,
        "nothing was accepted, so nobody is told so"
    );
}

#[tokio::test]
async fn hidden_values_are_in_nothing_that_is_said() {
    let rules = r#"
[form]
submit = "POST /contact"
hidden = ["card"]
on_conflict = "suggest"
[fields.card]
normalize = ["trim"]
[fields.password]
normalize = ["trim"]
minlength = 4
[[rule]]
on = "preprocess"
when = "@.doc.card || @.doc.password"
reply = { msg = "seen", msg_type = "error" }
[[rule]]
on = "preprocess"
reply = { msg = "Card {doc.card}, password {doc.password}." }
[[hook]]
on = "preprocess"
url = "HOOK/check"
"#;
    let app = app(rules).await;
    app.hooks
        .reply(&json!({"msg": "Fine.", "jdoc": {"card": "9", "x[card]": "9", "password": "new"}}));
    let answer = app
        .post("/contact")
        .form("card=+4111+&password=+hunter2+&a=1")
        .send()
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        app.backend.only().text(),
        "card=4111&password=hunter2&a=1",
        "only the rule file's own change"
    );
    assert_eq!(app.hooks.only().json()["doc"], json!({"a": "1"}));
    assert_eq!(answer.reply()["changed"], json!({}));
    assert_eq!(answer.reply()["messages"][0]["msg"], "Card , password .");
    app.hooks
        .reply(&json!({"msg": "No.", "msg_type": "error", "jdoc": {"card": "9", "a": "2"}}));
    let answer = app
        .post("/contact")
        .page()
        .form("card=+4111+&password=hunter2&a=1")
        .send()
        .await;
    assert_eq!(answer.status, 422);
    let script = app
        .post("/contact")
        .form("card=4111&password=hunter2&a=1")
        .send()
        .await;
    assert_eq!(script.json()["suggestions"], json!({"a": "2"}));
    for text in [answer.text(), script.text(), app.log.text()] {
        assert!(
            !text.contains("4111") && !text.contains("hunter2"),
            "{text}"
        );
    }
    // A refusal of a hidden field does not repeat it.
    let answer = app.post("/contact").form("password=abc").send().await;
    assert_eq!(answer.status, 422);
    assert!(!answer.text().contains("abc"));
}

#[tokio::test]
async fn an_applications_own_shape_of_errors() {
    let rules = r#"
[form]
submit = "POST /contact"
error_body = '{"errors": [{"message": "{msg}", "code": "{outcome}", "fields": "{errors}"}], "ok": false, "http": "{status}"}'
[[hook]]
on = "preprocess"
url = "HOOK/check"
"#;
    let app = site()
        .rules("contact", rules)
        .configure(|config| config.intake.limits.field = 100)
        .start()
        .await;
    app.hooks
        .reply(&json!({"msg": "No \"entry\".", "msg_type": "error", "errors": {"age": "x"}}));
    let answer = app.post("/contact").form("a=1").send().await;
    assert_eq!(answer.status, 422);
    is(&answer, "content-type", "application/json");
    assert_eq!(
        answer.json(),
        json!({"errors": [{"message": "No \"entry\".", "code": "stopped", "fields": {"age": "x"}}], "ok": false, "http": 422})
    );
    // Everything that is refused has it, and pages do not.
    app.hooks.always(Script::page(500, ""));
    assert_eq!(
        app.post("/contact").form("a=1").send().await.json()["errors"][0]["code"],
        "unavailable"
    );
    let long = format!("a={}", "x".repeat(101));
    let rejected = app.post("/contact").form(&long).send().await;
    assert_eq!(
        (rejected.status, &rejected.json()["errors"][0]["code"]),
        (413, &json!("rejected"))
    );
    app.hooks.always(Script::answer(204, "", ""));
    app.backend.close();
    let failed = app.post("/contact").form("a=1").send().await;
    assert_eq!(
        (failed.status, &failed.json()["errors"][0]["code"]),
        (502, &json!("backend_failed"))
    );
    let page = app.post("/contact").page().form(&long).send().await;
    assert!(page.text().contains("<main"));
}

#[tokio::test]
async fn a_load_is_redirected_or_told_something_and_opens_all_the_same() {
    let app = quiet().await;
    let form = "<form method=\"post\"><input name=\"city\"></form>";
    app.backend.always(Script::page(200, form));
    let open = |app: &App| -> Ask { app.get("/contact?camp=1").page() };
    app.hooks.reply_at("/load", &json!({"redirect": "/closed"}));
    let answer = open(&app).send().await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some("/closed"))
    );
    assert_eq!(app.backend.count(), 0);
    app.hooks.reply_at(
        "/load",
        &json!({"msg": "Nearly full.", "msg_type": "error", "jdoc": {"city": "Bern"}}),
    );
    let answer = open(&app).send().await;
    assert_eq!(answer.status, 200, "the page opens");
    let html = answer.text();
    assert!(
        html.contains("Nearly full.") && html.contains("name=\"city\""),
        "{html}"
    );
    let job = app.log.jobs().pop().expect("a job");
    assert_eq!(job.get("warnings"), None, "a prefill changes no submission");
    let said = answer.reply();
    assert_eq!(
        (&said["msg"], &said["submitted"], &said["changed"]),
        (
            &json!("Nearly full."),
            &json!(false),
            &json!({"city": "Bern"})
        )
    );
    // Back to itself it would never end; a load that fails opens.
    for reply in [
        json!({"redirect": "/contact?camp=1"}),
        json!({"redirect": "/contact/?camp=1#form"}),
        json!({"redirect": "/x/../%63ontact?camp=1"}),
        json!({"redirect": "https://forms.example.org/contact?camp=1"}),
        json!({"redirect": "https://evil.example/"}),
        json!({"msg_type": "eror"}),
    ] {
        app.hooks.reply_at("/load", &reply);
        assert_eq!(open(&app).send().await.status, 200, "{reply}");
        let job = app.log.jobs().pop().expect("a job");
        assert_eq!(
            (&job["outcome"], &job["let_through"]),
            (&json!("faulty"), &json!(true)),
            "{reply}"
        );
    }
    app.hooks
        .reply_at("/load", &json!({"redirect": "/contact?camp=2"}));
    assert_eq!(
        open(&app).send().await.status,
        303,
        "another page of the same form"
    );
}
