//! What is said beside an accepted submission, and when a form is opened, shown in the backend's own page (protocol §6).

use serde_json::json;

use crate::support::App;
use crate::support::app;
use crate::support::client::Answer;
use crate::support::client::Ask;
use crate::support::peer::Script;
use crate::support::within;

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
[[hook]]
on = "submit"
url = "HOOK/after"
"#;

const THANKS: &str =
    "<!doctype html><html><body><header>Site</header><main><h1>Thank you</h1></main></body></html>";

const FORM: &str = "<!doctype html><html><body><main><h1>Contact</h1><form method=\"post\" action=\"/contact/send\">\
    <input name=\"city\" value=\"Basel\"></form></main></body></html>";

/// A form whose hooks say nothing, and a backend that thanks.
async fn quiet() -> App {
    let app = app(RULES).await;
    app.hooks.always(Script::answer(204, "", ""));
    app.backend.always(Script::page(200, THANKS));
    app.backend.at("/contact", Script::page(200, FORM));
    app
}

fn changes() -> serde_json::Value {
    json!({"jdoc": {"city": "Bern"}, "msg": "Typed <better>.", "msg_type": "information"})
}

fn submit(app: &App) -> Ask {
    app.post("/contact/send").page().form("city=bern&name=Ana")
}

fn in_order(html: &str, parts: &[&str]) {
    let mut from = 0;
    for part in parts {
        let at = html[from..].find(part);
        from += at.unwrap_or_else(|| panic!("{part} after {from} in {html}"));
    }
}

#[tokio::test]
async fn an_accepted_page_says_it_at_the_top_of_its_main_part() {
    let app = quiet().await;
    app.hooks.reply_at("/check", &changes());
    app.hooks.reply_at(
        "/after",
        &json!({"msg": "Mail sent.", "msg_type": "success"}),
    );
    let answer = submit(&app).send().await;
    assert_eq!(answer.status, 200);
    let html = answer.text();
    in_order(
        &html,
        &[
            "Site",
            "<main>",
            "formgate-information",
            "Typed &#60;better&#62;.",
            "Mail sent.",
            "Thank you",
        ],
    );
    assert!(html.ends_with("</html>"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-length"), None);
    assert_eq!(
        answer.reply()["changed"],
        json!({"city": "Bern"}),
        "still in the header"
    );
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(app.backend.only().text(), "city=Bern&name=Ana");
}

#[tokio::test]
async fn an_error_after_acceptance_is_shown_too() {
    let app = quiet().await;
    app.hooks.reply_at(
        "/after",
        &json!({"msg": "No mail could be sent.", "errors": {"name": "Unknown there."}}),
    );
    let html = submit(&app).send().await.text();
    in_order(
        &html,
        &[
            "<main>",
            "role=\"alert\"",
            "No mail could be sent.",
            "Unknown there.",
            "The form was submitted.",
            "Thank you",
        ],
    );
    app.hooks
        .reply_at("/after", &json!({"errors": {"name": "Unknown there."}}));
    let html = submit(&app).send().await.text();
    in_order(&html, &["Unknown there.", "The form was submitted."]);
    assert!(!html.contains("Please correct"), "{html}");
}

#[tokio::test]
async fn nothing_to_say_changes_nothing() {
    let app = quiet().await;
    let answer = submit(&app).send().await;
    assert_eq!(answer.text(), THANKS);
    assert_eq!(
        answer.header("content-length"),
        Some(THANKS.len().to_string().as_str())
    );
    // A change that changes nothing is none.
    app.hooks
        .reply_at("/check", &json!({"jdoc": {"city": "bern"}}));
    assert_eq!(submit(&app).send().await.text(), THANKS);
}

#[tokio::test]
async fn a_fragment_begins_with_it() {
    let app = quiet().await;
    app.hooks.reply_at("/check", &changes());
    app.backend.always(Script::page(200, "<p>Saved</p>"));
    let answer = app
        .post("/contact/send")
        .htmx()
        .form("city=bern")
        .send()
        .await;
    let html = answer.text();
    in_order(&html, &["formgate-information", "Typed", "<p>Saved</p>"]);
    assert!(html.starts_with("<div"), "{html}");
}

#[tokio::test]
async fn a_boosted_form_of_htmx_is_answered_with_a_whole_page() {
    let app = quiet().await;
    app.hooks.reply_at("/check", &changes());
    let boosted = app
        .post("/contact/send")
        .htmx()
        .header("hx-boosted", "true");
    let html = boosted.form("city=bern").send().await.text();
    assert!(html.starts_with("<!doctype html>"), "{html}");
    in_order(&html, &["<main>", "formgate-information", "Thank you"]);
}

#[tokio::test]
async fn a_frame_of_turbo_begins_with_it() {
    let app = quiet().await;
    app.hooks.reply_at("/check", &changes());
    let frames = "<turbo-frame id=\"other\">x</turbo-frame><turbo-frame id=\"contact\"><p>Saved</p></turbo-frame>";
    for page in [
        frames.to_owned(),
        format!("<!doctype html><html><body><main><h1>Contact</h1>{frames}</main></body></html>"),
    ] {
        app.backend.always(Script::page(200, &page));
        let html = submit(&app)
            .header("turbo-frame", "contact")
            .send()
            .await
            .text();
        in_order(
            &html,
            &[
                "id=\"contact\">",
                "formgate-information",
                "Typed",
                "<p>Saved</p>",
            ],
        );
        assert_eq!(html.matches("formgate-information").count(), 1, "{html}");
    }
    let html = submit(&app).send().await.text();
    in_order(&html, &["<main>", "formgate-information", "Contact"]);
    let html = submit(&app)
        .header("turbo-frame", "gone")
        .send()
        .await
        .text();
    assert!(html.contains("Typed"), "never lost: {html}");
}

#[tokio::test]
async fn only_whole_pages_for_people_are_changed() {
    let html = "content-type: text/html; charset=utf-8\r\n";
    let unchanged = |answer: &Answer, body: &[u8], what: &str| {
        assert_eq!(answer.body, body, "{what}");
        assert!(answer.header("formgate-reply").is_some(), "{what}");
        assert_ne!(answer.header("cache-control"), Some("no-store"), "{what}");
    };
    for (what, script) in [
        (
            "JSON",
            Script::answer(200, "content-type: application/json\r\n", THANKS),
        ),
        (
            "text",
            Script::answer(200, "content-type: text/plain\r\n", THANKS),
        ),
        ("no type", Script::answer(200, "", THANKS)),
        (
            "XML",
            Script::answer(200, "content-type: application/xhtml+xml\r\n", THANKS),
        ),
        (
            "a file",
            Script::answer(
                200,
                "content-type: text/html\r\ncontent-disposition: attachment; filename=a.html\r\n",
                THANKS,
            ),
        ),
        ("a part", Script::answer(206, html, THANKS)),
        (
            "a page that nobody may change",
            Script::answer(
                200,
                "content-type: text/html\r\ncache-control: no-transform\r\n",
                THANKS,
            ),
        ),
        (
            "an encoding that is not spoken here",
            Script::answer(
                200,
                "content-type: text/html\r\ncontent-encoding: deflate\r\n",
                THANKS,
            ),
        ),
        (
            "two encodings",
            Script::answer(
                200,
                "content-type: text/html\r\ncontent-encoding: gzip\r\ncontent-encoding: br\r\n",
                THANKS,
            ),
        ),
        (
            "another charset",
            Script::answer(200, "content-type: text/html; charset=utf-16le\r\n", THANKS),
        ),
    ] {
        let app = quiet().await;
        app.hooks.reply_at("/check", &changes());
        app.backend.always(script);
        let answer = submit(&app).send().await;
        unchanged(&answer, THANKS.as_bytes(), what);
    }
    let app = quiet().await;
    app.hooks.reply_at("/check", &changes());
    let script = app
        .post("/contact/send")
        .header("accept", "*/*")
        .form("city=bern")
        .send()
        .await;
    unchanged(&script, THANKS.as_bytes(), "a script");
    // A GET form that is only asked about with HEAD.
    let head = app
        .ask("HEAD", "/contact/find?city=bern")
        .page()
        .send()
        .await;
    assert_eq!(
        head.header("content-length"),
        Some(THANKS.len().to_string().as_str())
    );
}

#[tokio::test]
async fn a_large_page_is_not_held_up_and_a_huge_one_is_left_alone() {
    let app = quiet().await;
    app.hooks.reply_at("/check", &changes());
    let large = THANKS.replace("</main>", &format!("{}</main>", "<p>x</p>".repeat(200_000)));
    app.backend.always(Script::page(200, &large));
    let html = submit(&app).send().await.text();
    in_order(&html, &["Typed", "Thank you"]);
    assert!(html.len() > large.len() && html.ends_with("</main></body></html>"));
    let huge = THANKS.replace("</main>", &format!("{}</main>", "<p>x</p>".repeat(600_000)));
    app.backend.always(Script::page(200, &huge));
    let answer = submit(&app).send().await;
    assert!(answer.body == huge.as_bytes() && answer.header("formgate-reply").is_some());
}

#[tokio::test]
async fn a_form_is_opened_with_its_message() {
    let app = quiet().await;
    app.hooks.reply_at(
        "/load",
        &json!({"msg": "Nearly full.", "msg_type": "warning"}),
    );
    let answer = app
        .get("/contact")
        .page()
        .header("if-none-match", "\"1\"")
        .header("if-modified-since", "Mon, 02 Nov 2026 10:00:00 GMT")
        .header("range", "bytes=0-10")
        .header("accept-encoding", "gzip")
        .send()
        .await;
    in_order(&answer.text(), &["<form", "Nearly full.", "name=\"city\""]);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let asked = app.backend.only();
    for name in ["if-none-match", "if-modified-since", "range"] {
        assert_eq!(asked.header(name), None, "{name}");
    }
    assert_eq!(asked.header("accept-encoding"), Some("identity"));
}

#[tokio::test]
async fn a_form_that_nothing_is_said_about_opens_as_it_is() {
    let app = quiet().await;
    let headers = "content-type: text/html\r\netag: \"1\"\r\n";
    app.backend
        .at("/contact", Script::answer(200, headers, FORM));
    let answer = app
        .get("/contact")
        .page()
        .header("if-none-match", "\"2\"")
        .header("accept-encoding", "gzip")
        .send()
        .await;
    assert_eq!(
        (answer.text().as_str(), answer.header("etag")),
        (FORM, Some("\"1\""))
    );
    let asked = app.backend.only();
    assert_eq!(asked.header("if-none-match"), Some("\"2\""));
    assert_eq!(asked.header("accept-encoding"), Some("gzip"));
}

#[tokio::test]
async fn a_person_who_does_not_read_holds_up_the_page() {
    const SENT: usize = 100 << 20;
    let app = quiet().await;
    app.hooks.reply_at("/check", &changes());
    let (written, mut seen) = tokio::sync::watch::channel(0);
    app.backend.always(Script::custom(move |_, mut wire| {
        use tokio::io::AsyncWriteExt;
        let written = written.clone();
        async move {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\n\r\n<main>";
            wire.write(head.as_bytes()).await;
            let block = "<p>x</p>".repeat(8 << 10);
            let mut count = 0;
            while count < SENT {
                let write = wire.stream.write(block.as_bytes());
                match tokio::time::timeout(std::time::Duration::from_millis(500), write).await {
                    Ok(Ok(more)) => count += more,
                    _ => break,
                }
            }
            written.send_replace(count);
        }
    }));
    let mut wire = app.connect().await;
    wire.write(&submit(&app).bytes()).await;
    wire.until("Typed").await.expect("the message");
    let stuck = seen.wait_for(|count| *count > 0);
    let count = *within("the backend to get stuck", stuck)
        .await
        .expect("a backend");
    assert!(
        count < 24 << 20,
        "{count} bytes were taken from the backend"
    );
}
