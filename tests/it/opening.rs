//! A form that is opened: the jdoc of its load hooks stands in its fields, and with `load_doc = "page"` the hooks are
//! told what the page's form holds – by one request to the backend.

use std::io::Write;

use serde_json::Value;
use serde_json::json;

use crate::support::App;
use crate::support::app;
use crate::support::client::Ask;
use crate::support::peer::Script;
use crate::support::site;

const RULES: &str = r#"
[form]
submit = "POST /contact"
load = "GET /contact"
load_doc = "page"
hidden = ["card"]
csrf = ["token"]
[[hook]]
on = "load"
url = "HOOK/load"
"#;

const FORM: &str = "<!doctype html><html><body><form action=\"/search\"><input name=\"city\" value=\"no\"></form>\
    <form method=\"post\"><input type=\"hidden\" name=\"token\" value=\"T\"><input name=\"city\" value=\"B&auml;le\">\
    <input name=\"card\" value=\"4111\"><input type=\"password\" name=\"key\" value=\"hunter2\">\
    <input type=\"checkbox\" name=\"interests\" value=\"sail\" checked><input type=\"checkbox\" name=\"interests\" value=\"swim\">\
    <select name=\"camp\"><option>lake<option selected>sea</select><textarea name=\"text\">\nHello</textarea>\
    <button name=\"send\" value=\"1\">Send</button></form><p>The end</p></body></html>";

async fn start(rules: &str) -> App {
    let app = app(rules).await;
    app.hooks.always(Script::answer(204, "", ""));
    app.backend.always(Script::page(200, FORM));
    app
}

fn open(app: &App) -> Ask {
    app.get("/contact?from=home").page()
}

fn held() -> Value {
    json!({"city": "Bäle", "interests": "sail", "camp": "sea", "text": "Hello"})
}

#[tokio::test]
async fn a_jdoc_fills_the_form_in() {
    let app = start(&RULES.replace("\"page\"", "\"empty\"")).await;
    app.hooks.reply(&json!({
        "jdoc": {"city": "Bern <b>", "interests": ["swim"], "camp": "lake", "text": "Hi", "key": "x", "card": "1"},
        "focus_on": "text",
    }));
    let answer = open(&app).send().await;
    assert_eq!(answer.status, 200);
    let html = answer.text();
    for part in [
        "name=\"city\" value=\"no\"",
        "name=\"city\" value=\"Bern &lt;b&gt;\"",
        "value=\"4111\"",
        "value=\"hunter2\"",
        "value=\"T\"",
        "\nHi</textarea>",
        "The end",
    ] {
        assert!(html.contains(part), "{part} in {html}");
    }
    let tag = |begin: &str| {
        let at = html
            .find(begin)
            .unwrap_or_else(|| panic!("{begin} in {html}"));
        html[at..].split('>').next().expect("a tag").to_owned()
    };
    assert!(!tag("<input type=\"checkbox\" name=\"interests\" value=\"sail\"").contains("checked"));
    assert!(tag("<input type=\"checkbox\" name=\"interests\" value=\"swim\"").contains("checked"));
    assert!(tag("<textarea").contains("autofocus"));
    assert!(
        !html.contains("formgate-message"),
        "there is no message: {html}"
    );
    assert_eq!(app.hooks.only().json()["doc"], json!({}));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn the_hook_is_told_what_the_page_holds() {
    let app = start(RULES).await;
    let answer = open(&app)
        .header("if-none-match", "\"1\"")
        .header("accept-encoding", "br")
        .header("range", "bytes=1-2")
        .send()
        .await;
    assert_eq!(answer.text(), FORM, "nothing was said, nothing is changed");
    assert_eq!(app.hooks.only().json()["doc"], held());
    let asked = app.backend.only();
    assert_eq!(asked.target, "/contact?from=home");
    assert_eq!(asked.header("accept-encoding"), Some("identity"));
    assert_eq!(
        (asked.header("if-none-match"), asked.header("range")),
        (None, None)
    );
    let log = app.log.text();
    assert!(!log.contains("Bäle") && !log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn conditions_and_changes_go_by_what_the_page_holds() {
    let rules = format!(
        "{RULES}\nwhen = '@.doc.camp == \"sea\"'\n[[rule]]\non = \"load\"\nwhen = '@.doc.city == \"Bäle\"'\n\
         reply = {{ msg = \"Do you mean Basel?\", jdoc = {{ city = \"Basel\" }} }}\n"
    );
    let app = start(&rules).await;
    let html = open(&app).send().await.text();
    assert!(
        html.contains("Do you mean Basel?") && html.contains("value=\"Basel\""),
        "{html}"
    );
    assert_eq!(
        app.hooks.only().json()["doc"]["city"],
        "Basel",
        "as changed so far"
    );
    assert_eq!(app.backend.count(), 1, "the page was asked for once");
    app.backend
        .always(Script::page(200, &FORM.replace("selected", "")));
    open(&app).send().await;
    assert_eq!(app.hooks.count(), 1, "the hook does not apply");
}

#[tokio::test]
async fn packed_and_dribbled_pages_are_read_too() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(FORM.as_bytes()).expect("a Vec takes all");
    let packed = packer.finish().expect("a Vec takes all");
    let headers = "content-type: text/html; charset=utf-8\r\ncontent-encoding: gzip\r\n";
    let dribbled: String = FORM
        .chars()
        .map(|c| format!("{:x}\r\n{c}\r\n", c.len_utf8()))
        .collect();
    let dribbled = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ntransfer-encoding: chunked\r\n\r\n{dribbled}0\r\n\r\n"
    );
    for (what, script) in [
        ("packed", Script::answer(200, headers, &packed)),
        ("dribbled", Script::Bytes(dribbled.into_bytes())),
    ] {
        let app = start(RULES).await;
        app.backend.always(script);
        let answer = open(&app).send().await;
        assert_eq!(app.hooks.only().json()["doc"], held(), "{what}");
        let sent = if what == "packed" {
            packed.as_slice()
        } else {
            FORM.as_bytes()
        };
        assert_eq!(answer.body, sent, "{what}: as it came");
        app.hooks.reply(&json!({"jdoc": {"city": "Bern"}}));
        let html = open(&app).send().await.text();
        assert!(
            html.contains("value=\"Bern\"") && html.contains("The end"),
            "{what}: {html}"
        );
    }
}

#[tokio::test]
async fn a_page_that_cannot_be_read_opens_all_the_same() {
    let html = "content-type: text/html\r\n";
    let huge = format!("<!--{}-->{FORM}", "x".repeat(200_000));
    for (what, script, body, warning) in [
        (
            "no page",
            Script::json(200, &json!({"a": 1})),
            "{\"a\":1}",
            "no page of HTML",
        ),
        ("an error", Script::page(404, FORM), FORM, "no page of HTML"),
        (
            "another form",
            Script::page(200, "<form></form>"),
            "<form></form>",
            "does not hold the form",
        ),
        (
            "deflate",
            Script::answer(
                200,
                "content-type: text/html\r\ncontent-encoding: deflate\r\n",
                FORM,
            ),
            FORM,
            "no page of HTML",
        ),
        (
            "UTF-16",
            Script::answer(200, "content-type: text/html; charset=utf-16\r\n", FORM),
            FORM,
            "no page of HTML that can be read",
        ),
        (
            "gzip that is none",
            Script::answer(
                200,
                "content-type: text/html\r\ncontent-encoding: gzip\r\n",
                FORM,
            ),
            FORM,
            "not packed as it says",
        ),
        (
            "too much",
            Script::page(200, &huge),
            huge.as_str(),
            "limits.page",
        ),
        (
            "too much, without saying so",
            Script::Last(format!("HTTP/1.1 200 OK\r\n{html}\r\n{huge}").into_bytes()),
            huge.as_str(),
            "limits.page",
        ),
    ] {
        let site = site()
            .rules("contact", RULES)
            .configure(|config| config.pages.held = 64 << 10);
        let app = site.start().await;
        app.hooks.always(Script::answer(204, "", ""));
        app.backend.always(script);
        let answer = open(&app).send().await;
        assert_eq!(answer.text(), body, "{what}");
        assert_eq!(app.hooks.only().json()["doc"], json!({}), "{what}");
        let job = app.log.jobs().pop().expect("a job");
        assert!(
            job["warnings"].to_string().contains(warning),
            "{what}: {job:?}"
        );
        assert_eq!(job["outcome"], "continued", "{what}");
    }
}

#[tokio::test]
async fn a_page_that_breaks_off_is_not_taken_for_whole() {
    let app = start(RULES).await;
    let half = &FORM[..FORM.find("<textarea").expect("a textarea")];
    let chunk = format!("{:x}\r\n{half}\r\n", half.len());
    let bytes = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ntransfer-encoding: chunked\r\n\r\n{chunk}"
    );
    app.backend.always(Script::Last(bytes.into_bytes()));
    let answer = open(&app).send().await;
    assert!(!answer.whole && answer.text() == half, "{}", answer.text());
    assert_eq!(app.hooks.only().json()["doc"], json!({}));
    let job = app.log.jobs().pop().expect("a job");
    assert!(
        job["warnings"].to_string().contains("breaks off"),
        "{job:?}"
    );
    app.hooks.reply(&json!({"msg": "Nearly full."}));
    let answer = open(&app).send().await;
    let html = answer.text();
    assert!(!answer.whole && html.contains("Nearly full."), "{html}");
}

#[tokio::test]
async fn a_page_that_does_not_come_to_its_form_is_not_waited_for() {
    let site = site().rules("contact", RULES).configure(|config| {
        config.pages.wait = std::time::Duration::from_millis(200);
    });
    let app = site.start().await;
    app.hooks.reply(&json!({}));
    let begin = "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n\
        b\r\n<p>Welcome.\r\n";
    app.backend.always(Script::Stall(begin.into()));
    let mut wire = app.connect().await;
    wire.write(&open(&app).bytes()).await;
    wire.until("Welcome.").await.expect("what there is");
    let job = app.log.jobs().pop().expect("a job");
    assert!(
        job["warnings"]
            .to_string()
            .contains("backend_timeouts.page"),
        "{job:?}"
    );
}

#[tokio::test]
async fn a_redirect_drops_the_page_and_keeps_its_cookies() {
    let app = start(RULES).await;
    let headers = "content-type: text/html\r\nset-cookie: session=1\r\n";
    app.backend.always(Script::answer(200, headers, FORM));
    app.hooks.reply(&json!({"redirect": "/closed"}));
    let answer = open(&app).send().await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some("/closed"))
    );
    assert_eq!(answer.headers_of("set-cookie"), ["session=1"]);
    assert!(!answer.text().contains("Bäle"));
}

#[tokio::test]
async fn a_backend_that_is_not_there_is_said_and_nobody_asked() {
    let app = start(RULES).await;
    app.backend.always(Script::Reset);
    let answer = open(&app).send().await;
    assert_eq!(answer.status, 502);
    assert_eq!(app.hooks.count(), 0);
}

#[tokio::test]
async fn a_script_that_opens_the_form_gets_it_as_it_is() {
    let app = start(RULES).await;
    app.hooks
        .reply(&json!({"jdoc": {"city": "Bern"}, "msg": "Hello."}));
    let answer = app.get("/contact").header("accept", "*/*").send().await;
    assert_eq!(answer.text(), FORM);
    assert_eq!(answer.reply()["changed"], json!({"city": "Bern"}));
    assert_eq!(app.hooks.only().json()["doc"], held());
}

#[tokio::test]
async fn a_message_that_came_along_stands_at_its_field() {
    let rules = "[form]\nsubmit = \"POST /contact\"\nload = \"GET /contact\"\n[[hook]]\non = \"preprocess\"\nurl = \"HOOK/check\"\n";
    let app = start(rules).await;
    app.hooks.reply(
        &json!({"errors": {"city": "Too far."}, "msg": "Not there.", "redirect": "/contact"}),
    );
    let sent = app.post("/contact").page().form("city=x").send().await;
    assert_eq!(sent.status, 303);
    let cookie = sent
        .header("set-cookie")
        .expect("a cookie")
        .split(';')
        .next()
        .expect("a pair")
        .to_owned();
    let html = app
        .get("/contact")
        .page()
        .header("cookie", &cookie)
        .send()
        .await
        .text();
    assert_eq!(
        html.matches("Too far.").count(),
        2,
        "in the message and beside the field: {html}"
    );
    assert!(
        html.find("method=\"post\"") < html.find("Not there."),
        "{html}"
    );
}

#[tokio::test]
async fn a_redirect_says_why_where_it_leads() {
    let app = start(RULES).await;
    app.hooks.reply(
        &json!({"redirect": "/closed", "msg": "Closed until Monday.", "msg_type": "warning"}),
    );
    let sent = open(&app).send().await;
    let cookie = sent.header("set-cookie").expect("a cookie");
    let cookie = cookie.split(';').next().expect("a pair").to_owned();
    app.backend
        .at("/closed", Script::page(200, "<main><h1>Closed</h1></main>"));
    let closed = app.get("/closed").page().header("cookie", &cookie);
    let html = closed.send().await.text();
    assert!(html.contains("Closed until Monday."), "{html}");
    assert!(
        !html.contains("submitted"),
        "nobody submitted anything: {html}"
    );
}
