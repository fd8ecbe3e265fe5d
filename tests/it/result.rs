//! After acceptance: `form_submit` with the backend's result, the submission's id, updates of what was saved – and
//! that nothing of it can stop what is saved already.

use std::io::Write;

use serde_json::Value;
use serde_json::json;

use crate::support::App;
use crate::support::app;
use crate::support::peer::Script;

fn rules(keys: &str) -> String {
    format!(
        "[form]\nsubmit = \"POST /contact\"\nhidden = [\"card\"]\n{keys}\n[[hook]]\non = \"submit\"\nurl = \"HOOK/after\"\nname = \"after\"\n"
    )
}

async fn told(app: &App) -> Value {
    app.hooks.received().pop().expect("a call").json()
}

#[tokio::test]
async fn the_hook_is_told_the_result_and_the_id() {
    let body = json!({"data": {"id": 17, "card": "4111", "list": [{"password": "p", "ok": 1}]}});
    let gzipped = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder
            .write_all(body.to_string().as_bytes())
            .expect("packed");
        encoder.finish().expect("packed")
    };
    let text = body.to_string();
    let (first, second) = text.split_at(9);
    let chunked = format!(
        "HTTP/1.1 201 Created\r\ncontent-type: application/json; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len()
    );
    let shown = json!({"data": {"id": 17, "list": [{"ok": 1}]}});
    let json_type = "content-type: application/vnd.api+json\r\nlocation: /camps/17\r\n";
    let app = app(&rules("submission_id = \"$.data.id\"")).await;
    app.hooks.always(Script::answer(204, "", ""));
    for (script, id, result) in [
        (
            Script::answer(201, json_type, &text),
            json!("17"),
            json!({"status": 201, "location": "/camps/17", "body": shown}),
        ),
        (
            Script::Bytes(chunked.clone().into_bytes()),
            json!("17"),
            json!({"status": 201, "location": null, "body": shown}),
        ),
        (
            Script::answer(
                200,
                "content-type: application/json\r\ncontent-encoding: gzip\r\n",
                &gzipped,
            ),
            json!("17"),
            json!({"status": 200, "location": null, "body": shown}),
        ),
        (
            Script::page(200, &text),
            Value::Null,
            json!({"status": 200, "location": null, "body": null}),
        ),
        (
            Script::answer(200, "content-type: application/x-ndjson\r\n", &text),
            Value::Null,
            json!({"status": 200, "location": null, "body": null}),
        ),
        (
            Script::answer(200, "content-type: application/json\r\n", "{"),
            Value::Null,
            json!({"status": 200, "location": null, "body": null}),
        ),
        (
            Script::answer(302, "location: /thanks\r\n", ""),
            Value::Null,
            json!({"status": 302, "location": "/thanks", "body": null}),
        ),
    ] {
        app.backend.always(script);
        let answer = app.post("/contact").form("a=1&card=4111").send().await;
        let call = told(&app).await;
        assert_eq!(call["event"], "form_submit_contact");
        assert_eq!(call["form_info"]["submission_id"], id);
        assert_eq!(call["form_info"]["result"], result);
        assert_eq!(call["doc"], json!({"a": "1"}));
        assert_eq!(answer.status, result["status"], "the answer went on");
        let job = app.log.jobs().pop().expect("a job");
        assert_eq!(job.get("submission_id").cloned().unwrap_or_default(), id);
    }
    // To the byte, however it was read on the way.
    app.backend.always(Script::Bytes(chunked.into_bytes()));
    assert_eq!(app.post("/contact").form("a=1").send().await.text(), text);
    app.backend.always(Script::answer(
        200,
        "content-type: application/json\r\ncontent-encoding: gzip\r\n",
        &gzipped,
    ));
    assert_eq!(app.post("/contact").form("a=1").send().await.body, gzipped);
}

#[tokio::test]
async fn an_answer_that_is_too_long_to_read_goes_on_as_it_comes() {
    let app = app(&rules("submission_id = \"$.id\"")).await;
    app.hooks.always(Script::answer(204, "", ""));
    let body = format!("{{\"id\": 1, \"x\": \"{}\"}}", "y".repeat(3 << 20));
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunked = format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for script in [
        Script::Bytes(chunked.into_bytes()),
        Script::answer(200, "content-type: application/json\r\n", &body),
    ] {
        app.backend.always(script);
        let answer = app.post("/contact").form("a=1").send().await;
        assert!(answer.whole && answer.text() == body);
        assert_eq!(told(&app).await["form_info"]["result"]["body"], Value::Null);
    }
}

#[tokio::test]
async fn the_id_can_be_in_the_location() {
    let app = app(&rules(
        "submission_id = 'location:/camps/.+/(\\d+)$'\naccepted = [\"303\"]",
    ))
    .await;
    app.hooks.always(Script::answer(204, "", ""));
    app.backend
        .always(Script::answer(303, "location: /camps/lake/17\r\n", ""));
    app.post("/contact").form("a=1").send().await;
    assert_eq!(told(&app).await["form_info"]["submission_id"], "17");
    app.backend.always(Script::page(200, "the form again"));
    app.post("/contact").form("a=1").send().await;
    assert_eq!(app.hooks.count(), 1, "200 means refused here");
}

#[tokio::test]
async fn no_hidden_field_is_told_where_the_backend_redirects_to() {
    let app = app(&rules("")).await;
    app.hooks.always(Script::answer(204, "", ""));
    app.backend.always(Script::answer(
        303,
        "location: /thanks?id=7&card=4111&password=hush&x=1#card=4111\r\n",
        "",
    ));
    let answer = app.post("/contact").form("a=1").page().send().await;
    assert_eq!(
        answer.headers_of("location"),
        ["/thanks?id=7&card=4111&password=hush&x=1#card=4111"],
        "the person goes where the backend says"
    );
    let call = told(&app).await;
    assert_eq!(call["form_info"]["result"]["location"], "/thanks?id=7&x=1");
}

#[tokio::test]
async fn what_is_saved_cannot_be_stopped() {
    let app = app(&rules("")).await;
    app.backend.always(Script::page(201, "made"));
    app.hooks
        .reply(&json!({"msg": "Could not be sent on.", "msg_type": "error", "focus_on": "a"}));
    let answer = app.post("/contact").form("a=1").send().await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (201, "made"),
        "the backend's own status"
    );
    let said = answer.reply();
    assert_eq!(
        (&said["msg_type"], &said["submitted"]),
        (&json!("error"), &json!(true))
    );
    // Failures neither.
    for script in [
        Script::page(500, ""),
        Script::Reset,
        Script::json(200, &json!({"redirect": "//evil"})),
    ] {
        app.hooks.always(script);
        let answer = app.post("/contact").form("a=1").send().await;
        assert_eq!(
            (answer.status, answer.header("formgate-reply")),
            (201, None)
        );
        assert_eq!(app.log.jobs().pop().expect("a job")["let_through"], true);
    }
    // A redirect replaces the answer, whose cookies are kept.
    app.backend.always(Script::answer(
        302,
        "location: /own\r\nset-cookie: s=1; Path=/\r\n",
        "",
    ));
    app.hooks
        .reply(&json!({"redirect": "/thanks", "msg": "Thank you.", "msg_type": "success"}));
    let page = app.post("/contact").page().form("a=1").send().await;
    assert_eq!(
        (page.status, page.headers_of("location")),
        (303, vec!["/thanks"])
    );
    let cookies = page.headers_of("set-cookie");
    assert_eq!(cookies[0], "s=1; Path=/");
    assert!(
        cookies.len() == 2 && cookies[1].starts_with("formgate_flash="),
        "the message goes along: {cookies:?}"
    );
    let script = app.post("/contact").form("a=1").send().await;
    assert_eq!(
        (script.status, &script.json()["submitted"]),
        (200, &json!(true))
    );
    assert_eq!(script.json()["outcome"], "redirected");
}

#[tokio::test]
async fn a_jdoc_after_acceptance_is_sent_as_an_update() {
    let keys = "submission_id = \"$.id\"\nupdate = \"PATCH /api/{form}/{submission_id}\"\nwritable = [\"fee\"]";
    let app = app(&rules(keys)).await;
    app.backend
        .at("/contact", Script::json(201, &json!({"id": "a/b"})));
    app.backend.always(Script::answer(204, "", ""));
    app.hooks
        .reply(&json!({"jdoc": {"fee": 12.5, "city": "x", "card": "9"}, "msg": "Fee set."}));
    let answer = app
        .post("/contact")
        .header("cookie", "session=1")
        .header("authorization", "Bearer mine")
        .header("x-other", "1")
        .form("a=1")
        .send()
        .await;
    assert_eq!(
        (answer.status, &answer.reply()["msg"]),
        (201, &json!("Fee set."))
    );
    let sent = app.backend.received();
    assert_eq!(sent.len(), 2);
    let update = &sent[1];
    assert_eq!(
        (update.method.as_str(), update.target.as_str()),
        ("PATCH", "/api/contact/a%2Fb")
    );
    assert_eq!(update.json(), json!({"fee": 12.5}));
    for (name, value) in [
        ("host", "forms.example.org"),
        ("cookie", "session=1"),
        ("authorization", "Bearer mine"),
        ("content-type", "application/json"),
        ("formgate-depth", "1"),
    ] {
        assert_eq!(update.headers_of(name), [value]);
    }
    assert_eq!(
        (
            update.header("x-other"),
            update.header("formgate-proof").is_some()
        ),
        (None, true)
    );
    let job = app.log.jobs().pop().expect("a job");
    assert_eq!(
        (&job["kind"], &job["outcome"], &job["changed"]),
        (&json!("update"), &json!("delivered"), &json!("fee"))
    );
    // One that fails is written down; the person's submission is saved all the same.
    app.backend.always(Script::page(500, ""));
    assert_eq!(app.post("/contact").form("a=1").send().await.status, 201);
    let job = app.log.jobs().pop().expect("a job");
    assert_eq!(
        (&job["outcome"], &job["status"]),
        (&json!("failed"), &json!(500))
    );
    // Without its id an update could hit anything.
    app.backend
        .at("/contact", Script::json(201, &json!({"no": 1})));
    let before = app.backend.count();
    assert_eq!(app.post("/contact").form("a=1").send().await.status, 201);
    assert_eq!(app.backend.count(), before + 1);
    assert!(
        app.log.jobs().pop().expect("a job")["faults"]
            .as_str()
            .expect("faults")
            .contains("slot without a value")
    );
}

#[tokio::test]
async fn a_jdoc_that_goes_nowhere_is_warned_of() {
    let app = app(&rules("")).await;
    app.hooks.reply(&json!({"jdoc": {"fee": 1}}));
    assert_eq!(app.post("/contact").form("a=1").send().await.status, 200);
    let job = app.log.jobs().pop().expect("a job");
    assert_eq!(
        (&job["kind"], &job["outcome"]),
        (&json!("update"), &json!("skipped"))
    );
    assert!(
        job["warnings"]
            .as_str()
            .expect("warnings")
            .contains("no `update`")
    );
    assert_eq!(app.backend.count(), 1);
}
