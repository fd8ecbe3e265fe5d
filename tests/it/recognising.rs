//! Which form a request belongs to: the most specific route, one reading only, and the settings of that form.

use serde_json::Value;
use serde_json::json;

use crate::support::App;
use crate::support::client::Answer;
use crate::support::peer::Peer;
use crate::support::peer::Script;
use crate::support::site;

const HOOK: &str = "\n[[hook]]\non = \"preprocess\"\nurl = \"HOOK/{form}\"\n";

fn form(keys: &str) -> String {
    format!("[form]\n{keys}{HOOK}")
}

/// The event that the hook was called for, or the status of the refusal.
fn asked(app: &App, before: usize, answer: &Answer) -> String {
    match app.hooks.received().get(before) {
        Some(call) => call.json()["event"].as_str().expect("an event").to_owned(),
        None => answer.status.to_string(),
    }
}

#[tokio::test]
async fn a_request_that_two_forms_could_take_is_refused() {
    let app = site()
        .rules("create", &form("submit = \"POST /x\""))
        .rules("change", &form("submit = [\"PUT /x\", \"PATCH /x\"]"))
        .start()
        .await;
    app.hooks.always(Script::answer(204, "", ""));
    for (method, target, header, body, expected) in [
        ("POST", "/x", "", "a=1", "form_preprocess_create"),
        ("PUT", "/x", "", "a=1", "form_preprocess_change"),
        ("PATCH", "/x", "", "a=1", "form_preprocess_change"),
        // Either way it is the same form's.
        ("PUT", "/x", "PATCH", "a=1", "form_preprocess_change"),
        ("PUT", "/x", "", "_method=PATCH", "form_preprocess_change"),
        (
            "POST",
            "/x",
            "POST",
            "_method=post",
            "form_preprocess_create",
        ),
        ("POST", "/x?_method=PUT", "", "a=1", "400"),
        ("POST", "/x", "PUT", "a=1", "400"),
        ("POST", "/x", "", "_method=PUT", "400"),
        ("PUT", "/x", "", "_method=POST", "400"),
        ("DELETE", "/x", "", "_method=POST", "form_preprocess_create"),
        ("DELETE", "/x", "PUT", "_method=POST", "400"),
        ("DELETE", "/x", "", "_method=POST&_method=PUT", "400"),
        // Nobody's method: the form's own counts.
        ("POST", "/x", "DELETE", "a=1", "form_preprocess_create"),
    ] {
        let before = app.hooks.count();
        let mut ask = app.ask(method, target).form(body);
        if !header.is_empty() {
            ask = ask.header("x-http-method-override", header);
        }
        // `Ask` counts the body itself.
        let answer = ask.send().await;
        let found = asked(&app, before, &answer);
        assert_eq!(found, expected, "{method} {target} {header} {body}");
    }
}

#[tokio::test]
async fn the_most_specific_query_wins_and_the_body_may_not_say_otherwise() {
    let app = site()
        .rules("a-any", &form("submit = \"POST /index.php\""))
        .rules("save", &form("submit = \"POST /index.php?action=save\""))
        .rules("send", &form("submit = \"POST /index.php?action=send\""))
        .rules(
            "both",
            &form("submit = \"POST /index.php?action=save&step=2\""),
        )
        .start()
        .await;
    app.hooks.always(Script::answer(204, "", ""));
    for (query, body, expected) in [
        ("", "a=1", "form_preprocess_a-any"),
        ("?action=other", "a=1", "form_preprocess_a-any"),
        ("?action=save", "a=1", "form_preprocess_save"),
        ("?step=2&action=save", "a=1", "form_preprocess_both"),
        ("?action=send", "action=send", "form_preprocess_send"),
        ("?action=save&action=send", "a=1", "400"),
        ("?action=save", "action=send", "400"),
        ("?action=save", "step=2", "400"),
        ("", "action=save", "400"),
    ] {
        let before = app.hooks.count();
        let answer = app
            .post(&format!("/index.php{query}"))
            .form(body)
            .send()
            .await;
        assert_eq!(
            asked(&app, before, &answer),
            expected,
            "{query} with {body}"
        );
    }
}

#[tokio::test]
async fn a_form_that_only_the_body_names_is_read_with_its_own_settings() {
    let app = site()
        .rules("aaa", &form("submit = \"POST /index.php?action=aaa\""))
        .rules(
            "bbb",
            &form(
                "submit = \"POST /index.php?action=bbb\"\nhidden = [\"card\"]\nnested = \"brackets\"",
            ),
        )
        .rules(
            "ccc",
            &form(
                "submit = \"POST /index.php?action=ccc\"\nhidden = [\"card\"]\ndoc_path = \"$.input\"",
            ),
        )
        .configure(|config| config.intake.spool.above = 1000)
        .start()
        .await;
    app.hooks.reply(&json!({"jdoc": {"city": "Bern"}}));
    let call = |app: &App| -> Value { app.hooks.received().pop().expect("a call").json() };

    let body = "action=bbb&card=4111&city=bern&a[b]=1";
    app.post("/index.php").form(body).send().await;
    assert_eq!(call(&app)["event"], "form_preprocess_bbb");
    assert_eq!(
        call(&app)["doc"],
        json!({"action": "bbb", "city": "bern", "a": {"b": "1"}})
    );
    let sent = app.backend.received().pop().expect("it went on").text();
    assert_eq!(sent, "action=bbb&card=4111&city=Bern&a[b]=1");

    let json_body = json!({"action": "ccc", "input": {"card": "4111", "city": "bern"}});
    app.post("/index.php").json(&json_body).send().await;
    assert_eq!(call(&app)["doc"], json!({"city": "bern"}));

    // Long enough to be kept in a file.
    let long = "x".repeat(300_000);
    let part = |name: &str| format!("content-disposition: form-data; name=\"{name}\"");
    let (action, card, city) = (part("action"), part("card"), part("city"));
    let file = "content-disposition: form-data; name=\"f\"; filename=\"f.txt\"\r\ncontent-type: text/plain";
    let parts = [
        (file, long.as_str()),
        (action.as_str(), "bbb"),
        (card.as_str(), "4111"),
        (city.as_str(), "bern"),
    ];
    let answer = app.post("/index.php").multipart(&parts).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let doc = &call(&app)["doc"];
    assert_eq!((&doc["card"], &doc["city"]), (&Value::Null, &json!("bern")));
    let sent = app.backend.received().pop().expect("it went on").text();
    assert!(sent.contains("\r\n\r\nBern\r\n") && sent.contains(&long) && sent.contains("4111"));
}

#[tokio::test]
async fn fixed_segments_go_before_parameters_and_those_before_the_rest() {
    let app = site()
        .rules("fixed", &form("submit = \"POST /camps/lake/enroll\""))
        .rules("param", &form("submit = \"POST /camps/{camp}/enroll\""))
        .rules("rest", &form("submit = \"POST /camps/{path...}\""))
        .rules(
            "all-forms",
            &format!("[form]\ndiscover = [\"POST /forms/{{form}}\"]{HOOK}"),
        )
        .start()
        .await;
    app.hooks.always(Script::answer(204, "", ""));
    for (target, event, params) in [
        ("/camps/lake/enroll", "form_preprocess_fixed", json!({})),
        (
            "/camps/a%20b%C3%A9/enroll",
            "form_preprocess_param",
            json!({"camp": "a bé"}),
        ),
        (
            "/camps/x/y/z",
            "form_preprocess_rest",
            json!({"path": "x/y/z"}),
        ),
        ("/forms/news", "form_preprocess", json!({"form": "news"})),
    ] {
        let before = app.hooks.count();
        app.post(target).form("a=1").send().await;
        let calls = app.hooks.received();
        let own = calls.last().expect("a call").json();
        assert_eq!(own["event"], event, "{target}");
        assert_eq!(own["form_info"]["params"], params);
        // The hook of all forms is asked first, for every one of them.
        assert_eq!(calls[before].json()["event"], "form_preprocess");
        assert_eq!(calls[before].path(), calls.last().expect("a call").path());
    }
}

#[tokio::test]
async fn a_discovered_form_may_have_any_name_and_forges_nothing() {
    let rules = "[form]\ndiscover = [\"POST /d/{form}\"]\n[[hook]]\non = \"preprocess\"\nurl = \"HOOK/{form}?e={event}\"\n";
    let app = site().rules("all-forms", rules).start().await;
    app.hooks.always(Script::answer(204, "", ""));
    for (target, path, id) in [
        ("/d/news", "/news", "news"),
        ("/d/caf%C3%A9%20x", "/caf%C3%A9%20x", "café x"),
        ("/d/a%3Fb%23c%26d", "/a%3Fb%23c%26d", "a?b#c&d"),
        (
            "/d/x%0D%0Aset-cookie:%20a=1",
            "/x%EF%BF%BD%EF%BF%BDset-cookie%3A%20a%3D1",
            "x\u{fffd}\u{fffd}set-cookie: a=1",
        ),
    ] {
        assert_eq!(app.post(target).form("a=1").send().await.status, 200);
        let call = app.hooks.received().pop().expect("a call");
        assert_eq!(
            (call.path(), &call.json()["form_info"]["id"]),
            (path, &json!(id))
        );
        let job = app.log.jobs().pop().expect("a job");
        assert_eq!(job["form"], id);
    }
}

#[tokio::test]
async fn everything_on_a_forms_path_goes_to_the_forms_own_backend() {
    let other = Peer::start().await;
    let keys = format!(
        "submit = [\"POST /own\", \"PUT /own?x=1\"]\nload = \"GET /own\"\nbackend = \"{}\"\napi = {{ tokens = [\"env:CARGO_PKG_NAME\"] }}",
        other.url()
    );
    let app = site().rules("own", &form(&keys)).start().await;
    app.hooks.always(Script::answer(204, "", ""));
    for (count, ask) in [
        app.post("/own").form("a=1"),
        app.get("/own"),
        app.ask("OPTIONS", "/own"),
        app.ask("DELETE", "/own"),
        app.ask("PUT", "/own").body("image/png", "x"),
        app.ask("PUT", "/own").form("a=1"),
        app.post("/own")
            .form("a=1")
            .header("authorization", "Bearer formgate"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(ask.send().await.status, 200);
        assert_eq!(other.count(), count + 1);
    }
    assert_eq!(
        app.hooks.count(),
        1,
        "the proved call and the others fire none"
    );
    assert_eq!(app.backend.count(), 0);
    app.get("/elsewhere").send().await;
    assert_eq!(app.backend.count(), 1);
}

#[tokio::test]
async fn a_form_can_be_served_on_an_address_of_ipv6() {
    let rules = "[form]\nsubmit = \"POST /contact\"\nhosts = [\"[0:0::1]\"]\n[[hook]]\non = \"preprocess\"\nurl = \"HOOK/check\"\n";
    let app = site().rules("contact", rules).start().await;
    app.hooks.always(Script::answer(204, "", ""));
    for (host, status) in [("[::1]:8080", 200), ("[::1]", 200), ("[::2]", 421)] {
        let request = format!(
            "POST /contact HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 3\r\n\r\na=b"
        );
        assert_eq!(app.send(request).await.status, status, "{host}");
    }
    assert_eq!(app.hooks.count(), 2);
}
