//! A submission that was stopped: the form's page again, fetched on the person's behalf and changed while it streams
//! (protocol §6) – and the plain page, where it cannot be had.

use std::io::Write;

use serde_json::Value;
use serde_json::json;

use crate::support::App;
use crate::support::app;
use crate::support::client::Answer;
use crate::support::client::Ask;
use crate::support::client::BROWSER;
use crate::support::client::find;
use crate::support::h2c;
use crate::support::peer::Peer;
use crate::support::peer::Script;
use crate::support::site;

const RULES: &str = r#"
[form]
submit = "POST /contact/send"
load = "GET /contact"
hidden = ["card"]
csrf = ["token"]
[[hook]]
on = "load"
url = "HOOK/load"
[[hook]]
on = "preprocess"
url = "HOOK/check"
"#;

/// The same without a page of its own.
const HOMELESS: &str = r#"
[form]
submit = "POST /contact/send"
[[hook]]
on = "preprocess"
url = "HOOK/check"
"#;

const PAGE: &str = "<!doctype html><html><head><title>Contact</title></head><body><h1>Contact us</h1>\
    <form action=\"/search\"><input name=\"name\"></form>\
    <form method=\"post\" action=\"/contact/send\"><input type=\"hidden\" name=\"token\" value=\"fresh\">\
    <input name=\"name\"><input name=\"age\" type=\"number\"><input name=\"secret\" type=\"password\">\
    <input name=\"card\"><textarea name=\"text\"></textarea><button>Send</button></form><p>The end</p></body></html>";

const BODY: &str = "token=old&name=Ana+%3Cb%3E&age=3&secret=hunter2&card=4111&text=Hello";

/// A form whose submissions are stopped.
async fn stopping(rules: &str) -> App {
    let app = app(rules).await;
    app.hooks.always(Script::answer(204, "", ""));
    app.hooks.reply_at("/check", &stop());
    app.backend.at("/contact", Script::page(200, PAGE));
    app
}

fn stop() -> Value {
    json!({"msg": "Not <yet>.", "msg_type": "error", "errors": {"age": "Too young."}, "focus_on": "age"})
}

fn submit(app: &App) -> Ask {
    app.post("/contact/send").page().form(BODY)
}

/// The message stands in the form that was submitted, and the rest of the page is there.
fn is_form_page(answer: &Answer) {
    let html = answer.text();
    let at = |part: &str| {
        html.find(part)
            .unwrap_or_else(|| panic!("{part} in {html}"))
    };
    assert!(
        at("action=\"/contact/send\"") < at("role=\"alert\""),
        "{html}"
    );
    assert!(at("role=\"alert\"") < at("name=\"token\""), "{html}");
    assert!(at("Too young.") < at("The end"), "{html}");
    assert!(html.contains("Not &#60;yet"), "{html}");
    assert!(html.ends_with("</html>"), "{html}");
    assert_eq!(html.matches("role=\"alert\"").count(), 1, "{html}");
}

/// The gateway's own page, with what was typed.
fn is_plain_page(answer: &Answer) {
    let html = answer.text();
    assert!(!html.contains("Contact us"), "{html}");
    for part in ["role=\"alert\"", "Too young.", "Ana &#60;b&#62;", "Hello"] {
        assert!(html.contains(part), "{part} in {html}");
    }
}

#[tokio::test]
async fn a_stop_is_shown_in_the_forms_page() {
    let app = stopping(RULES).await;
    let answer = submit(&app)
        .header("cookie", "session=s1; theme=dark")
        .header("accept-language", "de-CH")
        .header("user-agent", "Browser/1")
        .header("authorization", "Basic YTpi")
        .header("x-request-id", "not believed")
        .header("origin", "http://forms.example.org")
        .header("referer", "http://forms.example.org/elsewhere")
        .header("if-none-match", "\"1\"")
        .header("sec-fetch-mode", "navigate")
        .header("turbo-frame", "form")
        .header("x-up-target", "main")
        .header("x-requested-with", "XMLHttpRequest")
        .header("accept-encoding", "gzip, br")
        .send()
        .await;
    assert_eq!(answer.status, 422);
    is_form_page(&answer);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );

    let fetched = app.backend.only();
    assert_eq!(
        (fetched.method.as_str(), fetched.target.as_str()),
        ("GET", "/contact")
    );
    for (name, value) in [
        ("host", "forms.example.org"),
        ("cookie", "session=s1; theme=dark"),
        ("accept-language", "de-CH"),
        ("user-agent", "Browser/1"),
        ("authorization", "Basic YTpi"),
        ("accept", "text/html"),
        ("accept-encoding", "identity"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "forms.example.org"),
    ] {
        assert_eq!(fetched.headers_of(name), [value], "{name}");
    }
    for name in [
        "content-type",
        "content-length",
        "origin",
        "referer",
        "if-none-match",
        "sec-fetch-mode",
        "turbo-frame",
        "x-up-target",
        "x-requested-with",
        // A page may show what it was asked with, and whoever holds a proof submits without hooks.
        "formgate-depth",
        "formgate-proof",
    ] {
        assert_eq!(fetched.header(name), None, "{name}");
    }
    // Nobody opens the form: its load hook is not asked.
    let asked: Vec<String> = app
        .hooks
        .received()
        .iter()
        .map(|call| call.target.clone())
        .collect();
    assert_eq!(asked, ["/check"]);
    // The id in the fetch is that of the call.
    assert_eq!(
        fetched.header("x-request-id"),
        app.hooks.only().json()["meta_info"]["request_id"].as_str()
    );
}

#[tokio::test]
async fn what_was_typed_is_in_the_form_again_and_no_secret_is() {
    let app = stopping(RULES).await;
    // What the person typed, and not what hooks made of it.
    app.hooks.at("/check", Script::json(200, &stop()));
    let html = submit(&app).send().await.text();
    let form = &html[html.find("/contact/send").expect("the form")..];
    for part in [
        "name=\"token\" value=\"fresh\"",
        "value=\"Ana &lt;b&gt;\"",
        "value=\"3\"",
        "<textarea name=\"text\">\nHello</textarea>",
        "aria-invalid=\"true\"",
        "autofocus",
    ] {
        assert!(form.contains(part), "{part} in {html}");
    }
    for secret in ["hunter2", "4111", "\"old\""] {
        assert!(!html.contains(secret), "{secret} in {html}");
    }
    let search = &html[..html.find("/contact/send").expect("the form")];
    assert!(
        !search.contains("Ana"),
        "the other form is left alone: {html}"
    );
}

#[tokio::test]
async fn scripts_and_fragments_get_what_they_got() {
    let app = stopping(RULES).await;
    let script = app
        .post("/contact/send")
        .header("accept", "*/*")
        .form(BODY)
        .send()
        .await;
    assert_eq!(
        (script.status, script.json()["outcome"].as_str()),
        (422, Some("stopped"))
    );
    let htmx = app.post("/contact/send").htmx().form(BODY).send().await;
    assert!(
        htmx.status == 422 && !htmx.text().contains("<form"),
        "{}",
        htmx.text()
    );
    assert_eq!(app.backend.count(), 0, "no page was asked for");
}

#[tokio::test]
async fn a_hook_that_is_not_there_is_said_in_the_page_too() {
    let app = stopping(RULES).await;
    app.hooks.at("/check", Script::Reset);
    let answer = submit(&app).send().await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    assert!(answer.text().contains("Contact us") && answer.text().contains("role=\"alert\""));
}

#[tokio::test]
async fn the_pages_headers_are_kept_but_for_what_is_true_no_more() {
    let app = stopping(RULES).await;
    let headers = "content-type: text/html; charset=utf-8\r\nset-cookie: csrf=1; Path=/\r\nset-cookie: seen=2\r\n\
        content-security-policy: default-src 'self'\r\nx-frame-options: DENY\r\nvary: cookie\r\netag: \"1\"\r\n\
        last-modified: Mon, 02 Nov 2026 10:00:00 GMT\r\naccept-ranges: bytes\r\ncontent-md5: x\r\ndigest: x\r\n\
        repr-digest: x\r\ncache-control: public, max-age=600, no-transform\r\nexpires: x\r\nage: 3\r\n";
    app.backend
        .at("/contact", Script::answer(200, headers, PAGE));
    let answer = submit(&app).send().await;
    is_form_page(&answer);
    assert_eq!(
        answer.headers_of("set-cookie"),
        ["csrf=1; Path=/", "seen=2"]
    );
    for (name, value) in [
        ("content-security-policy", "default-src 'self'"),
        ("x-frame-options", "DENY"),
        ("vary", "cookie"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(answer.headers_of(name), [value], "{name}");
    }
    for name in [
        "etag",
        "last-modified",
        "accept-ranges",
        "content-md5",
        "digest",
        "repr-digest",
        "expires",
        "age",
        "content-length",
    ] {
        assert_eq!(answer.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn where_the_page_is() {
    let own = "http://forms.example.org";
    for (rules, target, referer, asked) in [
        // The form's own page, and the very one the person comes from.
        (
            RULES,
            "/contact/send",
            "/contact?step=2",
            Some("/contact?step=2"),
        ),
        (
            RULES,
            "/contact/send",
            "/contact?a=1#top",
            Some("/contact?a=1"),
        ),
        (RULES, "/contact/send", "/elsewhere", Some("/contact")),
        // Without one, where the person comes from.
        (
            HOMELESS,
            "/contact/send",
            "/elsewhere?x=1",
            Some("/elsewhere?x=1"),
        ),
        (HOMELESS, "/contact/send", "", None),
        (
            HOMELESS,
            "/contact/send",
            "https://other.example/contact",
            None,
        ),
        (
            HOMELESS,
            "/contact/send",
            "http://forms.example.org:81/contact",
            None,
        ),
        (
            HOMELESS,
            "/contact/send",
            "http://forms.example.org.evil.example/contact",
            None,
        ),
        (
            HOMELESS,
            "/contact/send",
            "http://forms.example.org@evil.example/contact",
            None,
        ),
        (
            HOMELESS,
            "/contact/send",
            "http://forms.example.org//evil.example/contact",
            None,
        ),
        (HOMELESS, "/contact/send", "about:blank", None),
        // What no browser sends, and what one would read otherwise.
        (HOMELESS, "/contact/send", "/\\evil.example/x", None),
        (HOMELESS, "/contact/send", "/\t/evil.example/x", None),
        (
            HOMELESS,
            "/contact/send",
            "javascript://forms.example.org/x",
            None,
        ),
    ] {
        let app = stopping(rules).await;
        app.backend.always(Script::page(200, PAGE));
        let referer = if referer.starts_with('/') {
            format!("{own}{referer}")
        } else {
            referer.to_owned()
        };
        let answer = app
            .post(target)
            .page()
            .header("referer", &referer)
            .form(BODY)
            .send()
            .await;
        let got: Vec<String> = app
            .backend
            .received()
            .iter()
            .map(|one| one.target.clone())
            .collect();
        assert_eq!(
            got,
            asked.map(str::to_owned).into_iter().collect::<Vec<_>>(),
            "{referer}"
        );
        match asked {
            Some(_) => is_form_page(&answer),
            None => is_plain_page(&answer),
        }
    }
}

#[tokio::test]
async fn a_page_is_asked_of_the_backend_that_has_it() {
    let own = Peer::start().await;
    let rules = HOMELESS.replace(
        "[form]\n",
        &format!("[form]\nbackend = \"{}\"\n", own.url()),
    );
    let app = stopping(&rules).await;
    app.backend.always(Script::page(200, PAGE));
    own.always(Script::page(200, PAGE));
    let referer = |path| format!("http://forms.example.org{path}");
    is_form_page(&submit(&app).header("referer", &referer("/x")).send().await);
    assert_eq!((app.backend.count(), own.count()), (1, 0), "nobody's page");
    let answer = submit(&app).header("referer", &referer("/contact/send"));
    is_form_page(&answer.send().await);
    assert_eq!((app.backend.count(), own.count()), (1, 1), "on its path");
}

#[tokio::test]
async fn a_page_that_cannot_be_used_leaves_its_cookies() {
    let app = stopping(RULES).await;
    for (status, page) in [(302, ""), (200, "<p>Please log in.</p>"), (500, PAGE)] {
        let headers = "content-type: text/html\r\nlocation: /login\r\nset-cookie: sid=new\r\n";
        app.backend
            .at("/contact", Script::answer(status, headers, page));
        let answer = submit(&app).send().await;
        is_plain_page(&answer);
        assert_eq!(answer.headers_of("set-cookie"), ["sid=new"], "{status}");
    }
}

#[tokio::test]
async fn a_form_of_another_port_is_another_form() {
    let app = stopping(RULES).await;
    let page = PAGE.replacen(
        "<form action=\"/search\">",
        "<form method=\"post\" action=\"http://forms.example.org:9/contact/send\">",
        1,
    );
    app.backend.at("/contact", Script::page(200, &page));
    is_form_page(&submit(&app).send().await);
}

#[tokio::test]
async fn nobody_is_led_to_where_no_page_is() {
    let app = stopping(HOMELESS).await;
    for (page, asks, is_led) in [
        (Script::page(200, PAGE), "/contact/send", true),
        (Script::page(404, PAGE), "/contact/send", false),
        (Script::page(405, PAGE), "/contact/send?step=2", false),
        (Script::page(500, PAGE), "/contact/send", true),
        (Script::page(404, PAGE), "/contact", true),
    ] {
        app.backend.always(page.clone());
        app.backend.at("/contact", page);
        let referer = format!("http://forms.example.org{asks}");
        let answer = submit(&app).header("referer", &referer).send().await;
        let html = answer.text();
        if html.contains("Contact us") {
            is_form_page(&answer);
            continue;
        }
        is_plain_page(&answer);
        let link = format!("href=\"{asks}\"");
        assert_eq!(html.contains(&link), is_led, "{asks}: {html}");
    }
}

#[tokio::test]
async fn the_page_is_found_by_the_submissions_parameters() {
    let rules = r#"
        [form]
        submit = "POST /camps/{camp}/enroll"
        load = ["POST /start", "GET /years/{year}/enroll", "GET /camps/{camp}/form?lang=de"]
        [[hook]]
        on = "preprocess"
        url = "HOOK/check"
    "#;
    let app = app(rules).await;
    app.hooks.reply_at("/check", &stop());
    let page = PAGE.replace("/contact/send", "/camps/B%C3%BChl/enroll");
    app.backend.always(Script::page(200, &page));
    let answer = app
        .post("/camps/B%C3%BChl/enroll")
        .page()
        .form(BODY)
        .send()
        .await;
    assert!(answer.text().contains("Contact us"), "{}", answer.text());
    assert_eq!(app.backend.only().target, "/camps/B%C3%BChl/form?lang=de");
}

#[tokio::test]
async fn nothing_is_submitted_by_asking_for_a_page() {
    // A GET form whose page is the submission's own path, and another form that a referer could submit.
    let search = r#"
        [form]
        submit = "GET /search?q=1"
        load = "GET /search"
        [[hook]]
        on = "preprocess"
        url = "HOOK/check"
    "#;
    let vote = r#"
        [form]
        submit = ["GET /vote", "POST /vote/for"]
        [[hook]]
        on = "preprocess"
        url = "HOOK/check"
    "#;
    let site = site().rules("search", search).rules("vote", vote);
    let app = site.start().await;
    app.hooks.reply_at("/check", &stop());
    app.backend.always(Script::page(200, PAGE));
    let own = "http://forms.example.org";
    for (ask, referer) in [
        (app.post("/vote/for").form("a=1"), "/vote?a=2"),
        (app.post("/vote/for").form("a=1"), "/x/../vote"),
        (app.post("/vote/for").form("a=1"), "/vote%2f"),
        (app.post("/vote/for").form("a=1"), "/%76ote/"),
        (app.post("/vote/for").form("a=1"), "/vote/for?_method=POST"),
        (app.post("/vote/for").form("a=1"), "/search?q=1"),
        (app.get("/search?q=1"), "/search?q=1"),
    ] {
        let before = app.backend.count();
        let answer = ask
            .page()
            .header("referer", &format!("{own}{referer}"))
            .send()
            .await;
        assert_eq!(answer.status, 422, "{referer}");
        let asked = app.backend.received().split_off(before);
        let is_page = |target: &str| target == "/search";
        assert!(
            asked
                .iter()
                .all(|one| one.method == "GET" && is_page(&one.target)),
            "{referer}: {asked:?}"
        );
    }
}

#[tokio::test]
async fn no_page_no_loss() {
    let html = "content-type: text/html\r\n";
    let login = "<html><form action=\"/login\" method=\"post\"><input name=\"user\"></form></html>";
    let broken = format!("HTTP/1.1 200 OK\r\n{html}content-length: 5000\r\n\r\n{PAGE}");
    for (what, script) in [
        ("a login", Script::answer(302, "location: /login\r\n", "")),
        ("a page that is not there", Script::page(404, PAGE)),
        ("an error", Script::page(500, PAGE)),
        ("no page", Script::json(200, &json!({"form": "contact"}))),
        (
            "a file",
            Script::answer(
                200,
                "content-type: text/html\r\ncontent-disposition: attachment\r\n",
                PAGE,
            ),
        ),
        ("a page without the form", Script::page(200, login)),
        ("an empty page", Script::page(200, "")),
        ("half a page", Script::Last(broken.into_bytes())),
        ("no answer", Script::Reset),
        ("no answer in time", Script::Hang),
        (
            "half an answer, and then nothing",
            Script::Stall(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<html>".to_vec()),
        ),
        (
            "an unknown encoding",
            Script::answer(
                200,
                "content-type: text/html\r\ncontent-encoding: deflate\r\n",
                PAGE,
            ),
        ),
        (
            "an encoding that is none",
            Script::answer(
                200,
                "content-type: text/html\r\ncontent-encoding: gzip\r\n",
                PAGE,
            ),
        ),
        (
            "UTF-16",
            Script::answer(200, "content-type: text/html; charset=utf-16\r\n", PAGE),
        ),
        (
            "too much",
            Script::page(200, &format!("<!--{}-->{PAGE}", "x".repeat(70_000))),
        ),
        (
            "too much, without saying so",
            Script::Last(
                format!(
                    "HTTP/1.1 200 OK\r\n{html}\r\n<!--{}-->{PAGE}",
                    "x".repeat(200_000)
                )
                .into_bytes(),
            ),
        ),
    ] {
        let site = site().rules("contact", RULES).configure(|config| {
            config.pages.held = 64 << 10;
            config.pages.wait = std::time::Duration::from_millis(300);
        });
        let app = site.start().await;
        app.hooks.reply_at("/check", &stop());
        app.backend.at("/contact", script);
        let answer = submit(&app).send().await;
        assert_eq!(answer.status, 422, "{what}");
        assert!(!answer.text().contains("Contact us"), "{what}");
        is_plain_page(&answer);
        assert!(
            answer.text().contains("href=\"/contact\""),
            "{what}: {}",
            answer.text()
        );
        assert_eq!(app.backend.count(), 1, "{what}: asked for once");
        let log = app.log.text();
        assert!(!log.contains("Ana") && !log.contains("Too young"), "{log}");
    }
}

#[tokio::test]
async fn packed_pages_are_unpacked() {
    let gzip = {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(PAGE.as_bytes()).expect("a Vec takes all");
        packer.finish().expect("a Vec takes all")
    };
    let zstd = zstd::encode_all(PAGE.as_bytes(), 3).expect("packs");
    for (encoding, packed) in [("gzip", gzip), ("zstd", zstd)] {
        let app = stopping(RULES).await;
        let headers =
            format!("content-type: text/html; charset=utf-8\r\ncontent-encoding: {encoding}\r\n");
        app.backend
            .at("/contact", Script::answer(200, &headers, packed));
        let answer = submit(&app).send().await;
        is_form_page(&answer);
        assert_eq!(answer.header("content-encoding"), None);
    }
}

#[tokio::test]
async fn the_beginning_is_sent_before_the_end_has_come() {
    let app = stopping(RULES).await;
    let (go_on, wait) = tokio::sync::watch::channel(false);
    let wait = std::sync::Mutex::new(Some(wait));
    app.backend.at(
        "/contact",
        Script::custom(move |_, mut wire| {
            let mut wait = wait.lock().expect("no panic").take().expect("one request");
            async move {
                let (begin, end) = PAGE.split_at(PAGE.find("<p>The end").expect("an end"));
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";
                wire.write(head.as_bytes()).await;
                for byte in begin.bytes() {
                    wire.write(&[b'1', b'\r', b'\n', byte, b'\r', b'\n']).await;
                }
                let _ = wait.wait_for(|go_on| *go_on).await;
                wire.write(format!("{:x}\r\n{end}\r\n0\r\nx-sum: 1\r\n\r\n", end.len()).as_bytes()).await;
            }
        }),
    );
    let mut wire = app.connect().await;
    wire.write(&submit(&app).bytes()).await;
    wire.until("Too young.")
        .await
        .expect("the message, while the page still comes");
    assert!(find(&wire.ahead, b"The end").is_none());
    go_on.send(true).expect("a backend");
    wire.until("The end").await.expect("the end of the page");
    let rest = wire
        .until("0\r\n\r\n")
        .await
        .expect("the end of the answer, without trailers");
    assert!(find(&rest, b"x-sum").is_none());
}

#[tokio::test]
async fn a_page_that_breaks_off_later_is_not_taken_for_whole() {
    let app = stopping(RULES).await;
    let chunk = format!("{:x}\r\n{PAGE}\r\n", PAGE.len());
    let half = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n{chunk}"
    );
    app.backend.at("/contact", Script::Last(half.into_bytes()));
    let answer = submit(&app).send().await;
    assert!(
        answer.text().contains("Too young.") && !answer.whole,
        "{}",
        answer.head
    );
}

#[tokio::test]
async fn a_page_stays_in_its_charset() {
    let app = stopping(RULES).await;
    app.hooks.reply_at(
        "/check",
        &json!({"msg": "Zu früh – €", "msg_type": "error"}),
    );
    let (page, _, _) = encoding_rs::WINDOWS_1252.encode("<meta charset=\"windows-1252\"><title>Grüße</title><form method=post action=\"/contact/send\"><input name=name></form>");
    app.backend.at(
        "/contact",
        Script::answer(200, "content-type: text/html\r\n", page),
    );
    let answer = submit(&app).send().await;
    let (html, _, wrong) = encoding_rs::WINDOWS_1252.decode(&answer.body);
    assert!(
        !wrong && html.contains("Zu früh – €") && html.contains("Grüße"),
        "{html}"
    );
    assert_eq!(answer.header("content-type"), Some("text/html"));
}

#[tokio::test]
async fn over_http2_it_is_the_same() {
    let app = stopping(RULES).await;
    let mut client = h2c::connect(app.address).await;
    let ask = h2c::request("POST", "/contact/send")
        .header("accept", BROWSER)
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("content-type", "application/x-www-form-urlencoded");
    let got = client.ask_with(ask, BODY).await;
    assert_eq!(got.status, 422);
    let html = got.text();
    assert!(
        html.contains("Too young.") && html.ends_with("</html>"),
        "{html}"
    );
    assert_eq!(app.backend.only().headers_of("cookie"), ["a=1; b=2"]);
}

#[tokio::test]
async fn a_get_form_comes_back_too() {
    let rules = r#"
        [form]
        submit = "GET /find?do=search"
        load = "GET /find"
        [fields.q]
        minlength = 3
        msg = "Longer, please."
    "#;
    let app = app(rules).await;
    let page = "<form action=\"/find\"><input type=\"hidden\" name=\"do\" value=\"search\"><input name=\"q\"></form>\
        <form method=\"post\" action=\"/find\"><input name=\"q\"></form>";
    app.backend.always(Script::page(200, page));
    let ask = |method: &str| app.ask(method, "/find?do=search&q=ab").page();
    let answer = ask("GET").send().await;
    assert_eq!(answer.status, 422);
    let html = answer.text();
    assert!(
        html.contains("Longer, please.") && html.contains("value=\"ab\""),
        "{html}"
    );
    assert_eq!(html.matches("value=\"ab\"").count(), 1, "{html}");
    assert_eq!(app.backend.only().target, "/find");
    let head = ask("HEAD").send().await;
    assert_eq!(
        (head.status, app.backend.count()),
        (422, 1),
        "nobody sees a page"
    );
}

#[tokio::test]
async fn of_several_forms_the_one_that_was_sent_is_meant() {
    let rules = |id: &str| {
        format!(
            "[form]\nsubmit = \"POST /{id}\"\nload = \"GET /both\"\n[[hook]]\non = \"preprocess\"\nurl = \"HOOK/check\"\n"
        )
    };
    let site = site().rules("one", &rules("one"));
    let site = site.rules("two", &rules("two").replace("load = \"GET /both\"\n", ""));
    let app = site.start().await;
    app.hooks.reply(&stop());
    let page = "<form method=\"post\" action=\"/one\"><input name=\"age\"></form>\
        <form method=\"post\" action=\"two?x=1#y\"><input name=\"age\"></form>";
    app.backend.always(Script::page(200, page));
    for (path, before, after) in [
        ("/one", "action=\"/one\"", "action=\"/two?x=1#y"),
        ("/two", "action=\"/two?x=1#y", "zzz"),
    ] {
        let ask = app
            .post(path)
            .page()
            .header("referer", "http://forms.example.org/both");
        let html = ask.form("age=3").send().await.text();
        let at = |part: &str| html.find(part).unwrap_or(html.len());
        assert!(
            at(before) < at("Too young.") && at("Too young.") < at(after),
            "{path}: {html}"
        );
        assert_eq!(html.matches("value=\"3\"").count(), 1, "{path}: {html}");
    }
}

/// Stops what is sent to `/send` or to an item, and shows `page`.
async fn stopping_on(page: &'static str) -> App {
    let rules = r#"
        [form]
        submit = ["POST /send", "PATCH /items/{id}", "POST /items/{id}/comment"]
        load = "GET /page"
        [[hook]]
        on = "preprocess"
        url = "HOOK/check"
    "#;
    let app = app(rules).await;
    app.hooks.reply(&json!({"msg": "No.", "msg_type": "error"}));
    app.backend.always(Script::page(200, page));
    app
}

#[tokio::test]
async fn of_forms_that_are_sent_to_one_place_the_one_that_was_sent_is_changed() {
    const RECORDS: &str = "<form action=/send method=post><input type=hidden name=id value=1><input name=q value=10></form>\
        <form action=/send method=post><input type=hidden name=id value=2><input name=q value=20></form><p>The end";
    const METHODS: &str = "<form action=/items/5 method=post><input type=hidden name=_method value=delete><button>Delete</button></form>\
        <form action=/items/5 method=post><input type=hidden name=_method value=patch><input name=q value=old></form>";
    const PLACES: &str = "<form action=/items/1/comment method=post><input name=q></form>\
        <form action=http://forms.example.org:9/items/2/comment method=post><input name=q></form>\
        <form action=/items/2/comment method=post><input name=q></form>";
    for (page, path, body, expected) in [
        (
            RECORDS,
            "/send",
            "id=2&q=99",
            "<input type=hidden name=id value=2><input name=q value=\"99\">",
        ),
        (
            METHODS,
            "/items/5",
            "_method=patch&q=99",
            "<input type=hidden name=_method value=patch><input name=q value=\"99\">",
        ),
        (
            PLACES,
            "/items/2/comment",
            "q=99",
            "<input name=q value=\"99\"></form>",
        ),
    ] {
        let app = stopping_on(page).await;
        let html = app.post(path).page().form(body).send().await.text();
        let message = html.find("role=\"alert\"").expect(&html);
        let changed = html.find(expected).expect(&html);
        assert!(
            html.matches("<form ").count() > 1 && html.matches("99").count() == 1,
            "{html}"
        );
        assert!(
            message < changed && !html[message..changed].contains("<form"),
            "{html}"
        );
        assert!(html[..message].contains("</form>"), "{html}");
    }
    let app = stopping_on(RECORDS).await;
    // Whose it was cannot be told.
    let html = app
        .post("/send")
        .page()
        .form("id=3&q=99")
        .send()
        .await
        .text();
    assert!(
        html.contains("<dd>99</dd>") && !html.contains("The end"),
        "{html}"
    );
}

#[tokio::test]
async fn a_form_whose_method_is_a_field_is_found() {
    let rules = r#"
        [form]
        submit = ["PUT /entries/{id}", "DELETE /entries/{id}"]
        load = "GET /entries/{id}/edit"
        [[hook]]
        on = "preprocess"
        url = "HOOK/check"
    "#;
    let app = app(rules).await;
    app.hooks.reply(&stop());
    let page = "<form method=\"post\" action=\"/entries/7\"><input type=\"hidden\" name=\"_method\" value=\"put\"><input name=\"age\"></form>";
    app.backend.always(Script::page(200, page));
    let html = app
        .post("/entries/7")
        .page()
        .form("_method=put&age=3")
        .send()
        .await
        .text();
    assert!(
        html.contains("Too young.")
            && html.contains("value=\"3\"")
            && html.contains("value=\"put\""),
        "{html}"
    );
    assert_eq!(app.backend.only().target, "/entries/7/edit");
}

#[tokio::test]
async fn what_was_typed_is_not_lost_when_the_backend_fails() {
    for (what, script, status, statement) in [
        (
            "it is lost",
            Script::Reset,
            502,
            "It is not known whether the form was submitted.",
        ),
        (
            "half an answer",
            Script::Last(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec()),
            502,
            "The form was submitted.",
        ),
    ] {
        let app = app(RULES).await;
        app.hooks.always(Script::answer(204, "", ""));
        app.backend.always(script);
        let answer = submit(&app).send().await;
        assert_eq!(answer.status, status, "{what}");
        let html = answer.text();
        for part in ["Ana &#60;b&#62;", "Hello", "href=\"/contact\"", statement] {
            assert!(html.contains(part), "{what}: {part} in {html}");
        }
        for secret in ["4111", "old"] {
            assert!(!html.contains(secret), "{what}: {secret} in {html}");
        }
    }
    let app = app(RULES).await;
    app.hooks.always(Script::answer(204, "", ""));
    app.backend.close();
    let html = submit(&app).send().await.text();
    assert!(
        html.contains("Nothing was submitted.") && html.contains("Hello"),
        "{html}"
    );
}

#[tokio::test]
async fn a_form_that_is_refused_says_the_way_back() {
    let site = site()
        .rules("contact", RULES)
        .configure(|config| config.intake.body = 100);
    let app = site.start().await;
    let referer = "http://forms.example.org/contact?step=2";
    for (what, ask) in [
        (
            "too large",
            app.post("/contact/send").form(&"a=1&".repeat(100)),
        ),
        (
            "no form",
            app.post("/contact/send")
                .body("application/x-www-form-urlencoded", "a=%"),
        ),
        (
            "of another type",
            app.post("/contact/send").body("image/png", "x"),
        ),
        (
            "two readings",
            app.post("/contact/send?name=Bo").form("name=Ana"),
        ),
    ] {
        let answer = ask.page().header("referer", referer).send().await;
        if what == "no form" {
            continue; // a stray `%` is itself
        }
        assert!(
            matches!(answer.status, 400 | 413 | 415),
            "{what}: {}",
            answer.status
        );
        let html = answer.text();
        assert!(html.contains("href=\"/contact?step=2\""), "{what}: {html}");
    }
}

#[tokio::test]
async fn a_boosted_form_of_htmx_wants_the_whole_page() {
    let app = stopping(RULES).await;
    let ask = app
        .post("/contact/send")
        .htmx()
        .header("hx-boosted", "true")
        .form(BODY);
    let answer = ask.send().await;
    assert_eq!(answer.status, 422);
    is_form_page(&answer);
    assert_eq!(app.backend.only().header("hx-request"), None);
}

#[tokio::test]
async fn headers_that_name_another_path_are_not_said_again() {
    let app = stopping_behind_a_proxy().await;
    let mut ask = submit(&app);
    for name in [
        "x-original-url",
        "x-rewrite-url",
        "x-forwarded-uri",
        "x-forwarded-path",
        "x-http-method-override",
    ] {
        ask = ask.header(
            name,
            if name.contains("method") {
                "POST"
            } else {
                "/contact/send"
            },
        );
    }
    let answer = ask.header("x-remote-user", "ana").send().await;
    assert_eq!(answer.status, 422);
    let asked = app.backend.only();
    assert_eq!(
        asked.header("x-remote-user"),
        Some("ana"),
        "who the person is, is said again"
    );
    for name in [
        "x-original-url",
        "x-rewrite-url",
        "x-forwarded-uri",
        "x-forwarded-path",
        "x-http-method-override",
    ] {
        assert_eq!(asked.header(name), None, "{name}");
    }
}

async fn stopping_behind_a_proxy() -> App {
    let app = site().rules("contact", RULES).trusting().start().await;
    app.hooks.reply_at("/check", &stop());
    app.backend.at("/contact", Script::page(200, PAGE));
    app
}

#[tokio::test]
async fn relative_addresses_of_the_page_mean_what_they_meant() {
    let app = stopping(RULES).await;
    let page = "<!doctype html><html><head><link rel=\"stylesheet\" href=\"site.css\"></head><body>\
        <a href=\"#form\">To the form</a><form method=\"post\" action=\"contact/send\"><input name=\"age\"></form></body></html>";
    app.backend.at("/contact", Script::page(200, page));
    let html = submit(&app).send().await.text();
    for part in [
        "<head><base href=\"/contact\"><link",
        "<a href=\"/contact/send#form\">",
        "action=\"/contact/send\"",
        "Too young.",
        "value=\"3\"",
    ] {
        assert!(html.contains(part), "{part} in {html}");
    }
    assert!(
        html.contains("<a href=\"/contact/send#formgate-field-1\">Age</a>"),
        "{html}"
    );
    // Scripts put it into the page that is there.
    for (name, value) in [
        ("sec-fetch-dest", "empty"),
        ("x-up-version", "3.11.0"),
        ("accept", "text/vnd.turbo-stream.html, text/html"),
    ] {
        let html = submit(&app).header(name, value).send().await.text();
        assert!(html.contains("Too young."), "{name}: {html}");
        assert!(
            !html.contains("<base") && html.contains("href=\"#form\""),
            "{name}: {html}"
        );
        assert!(
            html.contains("<a href=\"#formgate-field-1\">"),
            "{name}: {html}"
        );
    }
    let html = app
        .post("/contact/send")
        .page()
        .header("referer", "http://forms.example.org/contact?step=2&x")
        .form(BODY)
        .send()
        .await
        .text();
    assert!(
        html.contains("<base href=\"/contact?step=2&amp;x\">"),
        "{html}"
    );
}
