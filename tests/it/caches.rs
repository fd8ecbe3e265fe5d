//! What is said to one person is kept for nobody else: not by the browser, and not by a cache on the way.

use serde_json::json;

use crate::support::App;
use crate::support::app;
use crate::support::client::Answer;
use crate::support::client::Ask;
use crate::support::peer::Script;

const RULES: &str = r#"
[form]
submit = ["POST /contact/send", "GET /contact/find"]
load = "GET /contact"
[[hook]]
on = "load"
url = "HOOK/load"
[[hook]]
on = "preprocess"
url = "HOOK/check"
"#;

const PAGE: &str = "<!doctype html><html><body><main><form method=\"post\" action=\"/contact/send\">\
    <input name=\"city\"></form></main></body></html>";

const FOR_ALL: &str = "cache-control: public, max-age=99\r\ncdn-cache-control: max-age=99\r\n\
    cloudflare-cdn-cache-control: max-age=99\r\nsurrogate-control: max-age=99\r\nedge-control: max-age=99\r\n\
    x-accel-expires: 99\r\nexpires: Mon, 02 Nov 2037 10:00:00 GMT\r\n";

const TARGETED: [&str; 6] = [
    "cdn-cache-control",
    "cloudflare-cdn-cache-control",
    "surrogate-control",
    "edge-control",
    "x-accel-expires",
    "expires",
];

fn answered(status: u16, headers: &str) -> Script {
    Script::answer(status, &format!("{headers}{FOR_ALL}"), PAGE)
}

async fn start(html: &str) -> App {
    let app = app(RULES).await;
    app.hooks.always(Script::answer(204, "", ""));
    app.backend.always(answered(200, html));
    app
}

fn speaks(app: &App) {
    let says = json!({"msg": "Welcome, Ana.", "jdoc": {"city": "Bern"}});
    app.hooks.reply_at("/load", &says);
    app.hooks.reply_at("/check", &says);
}

fn is_kept_by_nobody(answer: &Answer, what: &str) {
    let control = answer.header("cache-control").unwrap_or_default();
    assert!(control.starts_with("no-store"), "{what}: {control}");
    assert!(!control.contains("public"), "{what}: {control}");
    for name in TARGETED {
        assert_eq!(answer.header(name), None, "{what}: {name}");
    }
}

const HTML: &str = "content-type: text/html; charset=utf-8\r\n";

#[tokio::test]
async fn what_is_said_to_one_person_is_kept_by_no_cache() {
    let no_transform = "content-type: text/html\r\ncache-control: no-transform\r\n";
    let packed = "content-type: text/html\r\ncontent-encoding: deflate\r\n";
    type Asks = fn(&App) -> Ask;
    let opened: Asks = |app| app.get("/contact").page();
    let by_script: Asks = |app| app.get("/contact").header("accept", "*/*");
    let by_ours: Asks = |app| app.get("/contact").header("formgate-script", "1");
    let by_htmx: Asks = |app| app.get("/contact").htmx();
    let found: Asks = |app| app.get("/contact/find?city=bern").page();
    for (what, ask, script) in [
        ("a page", opened, answered(200, HTML)),
        ("a page that is not there", opened, answered(404, HTML)),
        (
            "an encoding that is not spoken",
            opened,
            answered(200, packed),
        ),
        ("a page that stays", opened, answered(200, no_transform)),
        (
            "data",
            by_script,
            answered(200, "content-type: application/json\r\n"),
        ),
        ("a script", by_script, answered(200, HTML)),
        ("formgate.js", by_ours, answered(200, HTML)),
        ("a fragment", by_htmx, answered(200, HTML)),
        ("a search", found, answered(200, HTML)),
    ] {
        let app = start(HTML).await;
        app.backend.always(script);
        speaks(&app);
        let answer = ask(&app).send().await;
        assert!(answer.header("formgate-reply").is_some(), "{what}");
        is_kept_by_nobody(&answer, what);
        let stays = answer.header("cache-control").expect("a header");
        assert_eq!(stays.contains("no-transform"), what == "a page that stays");
    }
}

#[tokio::test]
async fn an_earlier_answer_is_not_good_any_more_where_something_is_said() {
    let app = start(HTML).await;
    let ask = || {
        app.get("/contact")
            .header("accept", "*/*")
            .header("if-none-match", "\"1\"")
            .header("if-modified-since", "Mon, 02 Nov 2026 10:00:00 GMT")
    };
    ask().send().await;
    speaks(&app);
    ask().send().await;
    let asked = app.backend.received();
    let asked: Vec<_> = asked
        .iter()
        .map(|one| (one.header("if-none-match"), one.header("if-modified-since")))
        .collect();
    assert_eq!(
        asked,
        [
            (Some("\"1\""), Some("Mon, 02 Nov 2026 10:00:00 GMT")),
            (None, None)
        ]
    );
}

#[tokio::test]
async fn where_nothing_is_said_caches_may_do_as_they_do() {
    let app = start(HTML).await;
    let answer = app.get("/contact").page().send().await;
    assert_eq!(answer.header("cache-control"), Some("public, max-age=99"));
    for name in TARGETED {
        assert!(answer.header(name).is_some(), "{name}");
    }
}

#[tokio::test]
async fn a_cookie_is_forgotten_by_one_person_only() {
    let app = start(HTML).await;
    let page = app
        .get("/thanks")
        .page()
        .header("cookie", "formgate_flash=forged");
    let answer = page.send().await;
    assert_eq!(answer.text(), PAGE);
    assert!(answer.header("set-cookie").is_some());
    is_kept_by_nobody(&answer, "a page with a cookie that is no good");
}
