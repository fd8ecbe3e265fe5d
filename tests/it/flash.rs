//! A message that survives a redirect: it travels in a sealed cookie to the next page (protocol §6), which nobody can
//! read, make, change, keep or take elsewhere.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use formgate::codec::flash::PURPOSE;
use formgate::codec::flash::Seal;
use formgate::model::secret::Secret;
use formgate::wire::proof::Key;
use serde_json::json;

use crate::support::App;
use crate::support::Site;
use crate::support::client::Answer;
use crate::support::client::Ask;
use crate::support::peer::Script;
use crate::support::site;

const RULES: &str = r#"
[form]
submit = "POST /contact"
load = "GET /contact"
redirect_hosts = ["pay.example.org"]
[[hook]]
on = "preprocess"
url = "HOOK/check"
"#;

const KEY: &str = "0123456789abcdef0123456789abcdef";

const THANKS: &str = "<!doctype html><html><body><main><h1>Thank you</h1></main></body></html>";

fn keyed() -> Site {
    site()
        .rules("contact", RULES)
        .configure(|config| config.key = Some(Secret::new(KEY)))
}

async fn start() -> App {
    told(keyed().start().await)
}

/// The backend sends to `/thanks`; the hook changes the city.
fn told(app: App) -> App {
    app.hooks.reply_at(
        "/check",
        &json!({"jdoc": {"city": "Bern"}, "msg": "Typed <better>."}),
    );
    app.backend.at(
        "/contact",
        Script::answer(303, "location: /thanks\r\nset-cookie: session=1\r\n", ""),
    );
    app.backend.at("/thanks", Script::page(200, THANKS));
    app
}

fn submit(app: &App) -> Ask {
    app.post("/contact").page().form("city=bern")
}

/// Name and value of the cookie that an answer sets.
fn cookie(answer: &Answer) -> (String, String) {
    let cookies = answer.headers_of("set-cookie");
    let own = cookies
        .iter()
        .find(|cookie| cookie.contains("formgate_flash="));
    let own = own.unwrap_or_else(|| panic!("no cookie in {cookies:?}"));
    let pair = own.split(';').next().expect("a pair");
    let (name, value) = pair.split_once('=').expect("a name");
    (name.to_owned(), value.to_owned())
}

fn is_shown(answer: &Answer) -> bool {
    let html = answer.text();
    let shown = html.contains("Typed &#60;better&#62;.");
    assert_eq!(shown, html != THANKS, "{html}");
    shown
}

/// A page that is asked for with this cookie.
fn visit(app: &App, cookie: &str) -> Ask {
    app.get("/thanks").page().header("cookie", cookie)
}

fn sealed(text: &str, host: &str, until: u64) -> String {
    let key = Key::shared(&Secret::new(KEY));
    let seal = Seal::new(key.derive(PURPOSE));
    seal.close(text.as_bytes(), host, until).expect("sealed")
}

const SAYS: &str = r#"{"m":[["information","Typed <better>.",null]],"c":{},"s":true,"f":false}"#;

#[tokio::test]
async fn a_message_survives_the_redirect_and_is_shown_once() {
    let app = start().await;
    let sent = submit(&app).send().await;
    assert_eq!(
        (sent.status, sent.header("location")),
        (303, Some("/thanks"))
    );
    let cookies = sent.headers_of("set-cookie");
    assert_eq!(cookies[0], "session=1", "the backend's own stays");
    assert!(
        cookies[1].ends_with("; Max-Age=60; Path=/; HttpOnly; SameSite=Lax"),
        "{cookies:?}"
    );
    let (name, value) = cookie(&sent);
    assert_eq!(name, "formgate_flash");
    let bytes = URL_SAFE_NO_PAD.decode(&value).expect("base64");
    assert!(
        !String::from_utf8_lossy(&bytes).contains("Typed"),
        "nobody can read it"
    );

    let page = visit(&app, &format!("a=1; {name}={value}; b=2"))
        .header("if-none-match", "\"1\"")
        .header("accept-encoding", "br")
        .send()
        .await;
    assert!(is_shown(&page));
    assert!(page.text().find("<main>") < page.text().find("Typed"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let gone = page.header("set-cookie").expect("a cookie");
    assert!(
        gone.starts_with("formgate_flash=; Max-Age=0; Path=/;"),
        "{gone}"
    );
    let asked = app.backend.received().pop().expect("a request");
    assert_eq!(
        asked.headers_of("cookie"),
        ["a=1; b=2"],
        "the backend does not get it"
    );
    assert_eq!(
        (
            asked.header("if-none-match"),
            asked.header("accept-encoding")
        ),
        (None, Some("identity"))
    );
    // The browser has forgotten it.
    assert!(!is_shown(&app.get("/thanks").page().send().await));
    let log = app.log.text();
    assert!(!log.contains("Typed") && !log.contains(&value), "{log}");
}

#[tokio::test]
async fn the_backend_never_gets_the_cookie() {
    let app = start().await;
    for ask in [
        app.get("/thanks").header("cookie", "formgate_flash=x"),
        app.get("/thanks")
            .header("cookie", "__Host-formgate_flash=x"),
        app.get("/thanks").header(
            "cookie",
            "formgate_flash=x; formgate_flash=y ;__Host-formgate_flash=z",
        ),
        app.get("/thanks").header("cookie", "formgate_flash"),
        app.post("/contact")
            .form("city=x")
            .header("cookie", "formgate_flash=x"),
        app.post("/elsewhere")
            .form("city=x")
            .header("cookie", "formgate_flash=x"),
        app.ask("HEAD", "/thanks")
            .page()
            .header("cookie", "formgate_flash=x"),
    ] {
        let before = app.backend.count();
        ask.send().await;
        let asked = app.backend.received().split_off(before);
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].header("cookie"), None, "{}", asked[0].head);
    }
    app.get("/thanks")
        .header("cookie", "my_formgate_flash=x; theme=formgate_flash=1")
        .send()
        .await;
    let asked = app.backend.received().pop().expect("a request");
    assert_eq!(
        asked.header("cookie"),
        Some("my_formgate_flash=x; theme=formgate_flash=1")
    );
}

#[tokio::test]
async fn only_a_page_that_somebody_looks_at_shows_it() {
    let app = start().await;
    let (name, value) = cookie(&submit(&app).send().await);
    let cookie = format!("{name}={value}");
    app.backend
        .at("/away", Script::answer(302, "location: /thanks\r\n", ""));
    app.backend.at("/missing", Script::page(404, THANKS));
    app.backend.at(
        "/data",
        Script::answer(200, "content-type: application/json\r\n", THANKS),
    );
    app.backend.at("/same", Script::answer(304, "", ""));
    app.backend.at(
        "/wide",
        Script::answer(200, "content-type: text/html; charset=utf-16\r\n", THANKS),
    );
    let with = |ask: Ask| ask.header("cookie", &cookie);
    for (what, ask) in [
        ("a script", with(app.get("/thanks").header("accept", "*/*"))),
        ("a fragment", with(app.get("/thanks").htmx())),
        ("HEAD", with(app.ask("HEAD", "/thanks").page())),
        ("a redirect", with(app.get("/away").page())),
        ("an error", with(app.get("/missing").page())),
        ("data", with(app.get("/data").page())),
        ("the same as before", with(app.get("/same").page())),
        (
            "a frame",
            with(app.get("/thanks").page().header("sec-fetch-dest", "iframe")),
        ),
        (
            "a page that cannot be changed",
            with(app.get("/wide").page()),
        ),
        (
            "a picture",
            with(app.get("/thanks").page().header("sec-fetch-dest", "image")),
        ),
        (
            "a page just in case",
            with(app.get("/thanks").page().header("sec-purpose", "prefetch")),
        ),
        (
            "what Turbo asks for just in case",
            with(
                app.get("/thanks")
                    .page()
                    .header("x-sec-purpose", "prefetch"),
            ),
        ),
        (
            "a page just in case",
            with(
                app.get("/thanks")
                    .page()
                    .header("sec-purpose", "prefetch;prerender"),
            ),
        ),
        (
            "a page just in case",
            with(app.get("/thanks").page().header("purpose", "prefetch")),
        ),
        (
            "a page just in case",
            with(app.get("/thanks").page().header("purpose", "Prefetch")),
        ),
        ("a form", with(app.post("/elsewhere").page().form("a=1"))),
    ] {
        let answer = ask.send().await;
        assert!(!answer.text().contains("Typed"), "{what}");
        assert_eq!(
            answer.header("set-cookie"),
            None,
            "{what}: it waits for the page"
        );
    }
    for dest in ["document", "empty"] {
        let page = visit(&app, &cookie).header("sec-fetch-dest", dest);
        assert!(is_shown(&page.send().await), "{dest}");
    }
}

#[tokio::test]
async fn a_cookie_that_is_none_is_forgotten_and_nothing_else() {
    let app = start().await;
    let now = u64::try_from(jiff::Timestamp::now().as_second()).expect("after 1970");
    let own = "forms.example.org";
    let good = sealed(SAYS, own, now + 60);
    assert!(
        is_shown(&visit(&app, &format!("formgate_flash={good}")).send().await),
        "as it is made"
    );
    let mut forged = good.clone().into_bytes();
    forged[40] = if forged[40] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).expect("ASCII");
    let other = Seal::new(Some([7; 32]))
        .close(SAYS.as_bytes(), own, now + 60)
        .expect("sealed");
    for (what, value) in [
        ("forged", forged),
        ("too old", sealed(SAYS, own, now - 1)),
        (
            "of another host",
            sealed(SAYS, "other.example.org", now + 60),
        ),
        ("of another key", other),
        ("no text of ours", sealed("{}", own, now + 60)),
        ("no JSON", sealed("hello", own, now + 60)),
        (
            "another kind",
            sealed(&SAYS.replace("information", "panic"), own, now + 60),
        ),
        ("empty", String::new()),
        ("junk", "%%%".to_owned()),
        ("long", "A".repeat(6000)),
    ] {
        let page = visit(&app, &format!("formgate_flash={value}")).send().await;
        assert!(!is_shown(&page), "{what}");
        assert_eq!(
            page.header("content-length"),
            Some(THANKS.len().to_string().as_str()),
            "{what}"
        );
        let gone = page.header("set-cookie").expect("a cookie");
        assert!(
            gone.starts_with("formgate_flash=; Max-Age=0"),
            "{what}: {gone}"
        );
        assert_eq!(page.header("cache-control"), Some("no-store"), "{what}");
    }
}

#[tokio::test]
async fn a_foreign_cookie_does_not_suppress_it() {
    let app = start().await;
    let (name, value) = cookie(&submit(&app).send().await);
    for cookies in [
        format!("{name}=forged; {name}={value}"),
        format!("{name}=; a=1; {name}=forged; {name}={value}; {name}=forged"),
    ] {
        let page = visit(&app, &cookies).send().await;
        assert!(is_shown(&page), "{cookies}");
        let asked = app.backend.received().pop().expect("a request");
        assert!(!asked.head.contains("formgate_flash"), "{}", asked.head);
    }
}

#[tokio::test]
async fn it_is_said_in_the_words_of_its_form() {
    let rules = format!(
        "{RULES}[words]\nfield_changed = \"{{field}} wurde {{value}}.\"\nnothing_saved = \"Nichts ging ab.\"\n"
    );
    let site = site().rules("contact", &rules);
    let app = told(site.start().await);
    let (name, value) = cookie(&submit(&app).send().await);
    let html = visit(&app, &format!("{name}={value}")).send().await.text();
    assert!(html.contains("City wurde Bern."), "{html}");

    let stop = json!({"msg": "Typed <better>.", "msg_type": "error", "redirect": "/thanks"});
    app.hooks.reply_at("/check", &stop);
    let (name, value) = cookie(&submit(&app).send().await);
    let html = visit(&app, &format!("{name}={value}")).send().await.text();
    assert!(html.contains("Nichts ging ab."), "{html}");
}

#[tokio::test]
async fn an_error_after_acceptance_does_not_read_as_if_nothing_had_been_sent() {
    let rules = format!("{RULES}[[hook]]\non = \"submit\"\nurl = \"HOOK/after\"\n");
    let app = told(site().rules("contact", &rules).start().await);
    app.hooks.reply_at("/check", &json!({}));
    app.hooks
        .reply_at("/after", &json!({"errors": {"city": "Unknown there."}}));
    let (name, value) = cookie(&submit(&app).send().await);
    let html = visit(&app, &format!("{name}={value}")).send().await.text();
    assert!(html.contains("Unknown there."), "{html}");
    assert!(html.contains("The form was submitted."), "{html}");
    assert!(!html.contains("Please correct"), "{html}");
}

#[tokio::test]
async fn a_message_survives_every_redirect_and_so_does_what_is_said_on_the_way() {
    let rules = format!("{RULES}[[hook]]\non = \"load\"\nurl = \"HOOK/load\"\n");
    let app = told(site().rules("contact", &rules).start().await);
    app.hooks
        .reply_at("/load", &json!({"msg": "Moved.", "jdoc": {"zip": "3011"}}));
    let (name, value) = cookie(&submit(&app).send().await);
    let next = app.get("/contact").page();
    let next = next
        .header("cookie", &format!("{name}={value}"))
        .send()
        .await;
    assert_eq!(next.status, 303);
    let (name, value) = cookie(&next);
    let html = visit(&app, &format!("{name}={value}")).send().await.text();
    for part in [
        "Typed &#60;better&#62;.",
        "Moved.",
        "City was changed to Bern.",
    ] {
        assert!(html.contains(part), "{part} in {html}");
    }
    assert!(!html.contains("3011"), "nothing was filled in: {html}");
    // Alone, too.
    let (name, value) = cookie(&app.get("/contact").page().send().await);
    let html = visit(&app, &format!("{name}={value}")).send().await.text();
    assert!(html.contains("Moved.") && !html.contains("3011"), "{html}");
    assert!(!html.contains("submitted"), "{html}");
}

#[tokio::test]
async fn many_changes_are_cut() {
    let app = start().await;
    let many: serde_json::Map<String, serde_json::Value> = (0..500)
        .map(|n| (format!("field{n}"), json!(n.to_string())))
        .collect();
    app.hooks
        .reply_at("/check", &json!({"jdoc": many, "msg": "Typed <better>."}));
    let fields: Vec<String> = (0..500).map(|n| format!("field{n}=x")).collect();
    let sent = app
        .post("/contact")
        .page()
        .form(&fields.join("&"))
        .send()
        .await;
    let (name, value) = cookie(&sent);
    assert!((3000..4000).contains(&value.len()), "{}", value.len());
    let html = visit(&app, &format!("{name}={value}")).send().await.text();
    for part in ["Typed &#60;better&#62;.", "Field0 was changed to 0."] {
        assert!(html.contains(part), "{part} in {html}");
    }
}

#[tokio::test]
async fn another_gateway_with_the_same_key_shows_it() {
    let (one, other) = (start().await, start().await);
    let (name, value) = cookie(&submit(&one).send().await);
    assert!(is_shown(
        &visit(&other, &format!("{name}={value}")).send().await
    ));
    let stranger = told(site().rules("contact", RULES).start().await);
    assert!(!is_shown(
        &visit(&stranger, &format!("{name}={value}")).send().await
    ));
}

#[tokio::test]
async fn over_https_no_other_host_can_set_it() {
    let app = told(keyed().trusting().start().await);
    let https = |ask: Ask| ask.header("x-forwarded-proto", "https");
    let sent = https(submit(&app)).send().await;
    let (name, value) = cookie(&sent);
    assert_eq!(name, "__Host-formgate_flash");
    let cookies = sent.headers_of("set-cookie");
    assert!(
        cookies[1].ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"),
        "{cookies:?}"
    );
    let tossed = https(visit(&app, &format!("formgate_flash={value}")))
        .send()
        .await;
    assert!(
        !is_shown(&tossed),
        "without the prefix anybody could have set it"
    );
    let page = https(visit(&app, &format!("{name}={value}"))).send().await;
    assert!(is_shown(&page));
    assert!(
        page.header("set-cookie")
            .expect("a cookie")
            .starts_with("__Host-formgate_flash=; Max-Age=0")
    );
}

#[tokio::test]
async fn a_redirect_of_a_hook_takes_its_message_along() {
    let app = start().await;
    let closed = json!({"msg": "Closed <now>.", "msg_type": "error", "errors": {"city": "Too far."}, "redirect": "/thanks"});
    app.hooks.reply_at("/check", &closed);
    let sent = submit(&app).send().await;
    assert_eq!(
        (sent.status, sent.header("location")),
        (303, Some("/thanks"))
    );
    let (name, value) = cookie(&sent);
    let html = visit(&app, &format!("{name}={value}")).send().await.text();
    for part in [
        "role=\"alert\"",
        "Closed &#60;now",
        "Too far.",
        "Nothing was submitted.",
        "Thank you",
    ] {
        assert!(html.contains(part), "{part} in {html}");
    }
    // htmx is told where to go, and goes there as to any page.
    let sent = app.post("/contact").htmx().form("city=x").send().await;
    assert_eq!(sent.header("hx-redirect"), Some("/thanks"));
    let (name, value) = cookie(&sent);
    let html = visit(&app, &format!("{name}={value}")).send().await.text();
    assert!(html.contains("Closed &#60;now"), "{html}");
    // Whoever is sent to another site, or reads JSON, has no use for it.
    app.hooks.reply_at(
        "/check",
        &json!({"msg": "Pay.", "redirect": "https://pay.example.org/"}),
    );
    assert_eq!(submit(&app).send().await.header("set-cookie"), None);
    app.hooks.reply_at("/check", &closed);
    let script = app
        .post("/contact")
        .header("accept", "*/*")
        .form("city=x")
        .send()
        .await;
    assert_eq!((script.status, script.header("set-cookie")), (422, None));
}

#[tokio::test]
async fn scripts_are_told_in_the_header_only() {
    let app = start().await;
    let sent = app
        .post("/contact")
        .header("accept", "application/json")
        .form("city=bern")
        .send()
        .await;
    assert_eq!(
        (sent.status, sent.headers_of("set-cookie")),
        (303, vec!["session=1"])
    );
    assert_eq!(sent.reply()["changed"], json!({"city": "Bern"}));
}

#[tokio::test]
async fn what_was_made_for_a_fragment_is_shown_in_one() {
    let app = start().await;
    let sent = app.post("/contact").htmx().form("city=bern").send().await;
    let (name, value) = cookie(&sent);
    let cookie = format!("{name}={value}");
    app.backend.at("/thanks", Script::page(200, "<p>Saved</p>"));
    let part = app
        .get("/thanks")
        .htmx()
        .header("cookie", &cookie)
        .send()
        .await;
    assert!(
        part.text().starts_with("<div") && part.text().contains("Typed"),
        "{}",
        part.text()
    );
}

#[tokio::test]
async fn a_long_message_is_cut_where_it_matters_least() {
    let app = start().await;
    let mut jdoc = serde_json::Map::new();
    for number in 0..50 {
        jdoc.insert(format!("field-{number}"), "ü".repeat(300).into());
    }
    let long = "The \"end\" of it. ".repeat(230);
    app.hooks.reply_at(
        "/check",
        &json!({"jdoc": jdoc, "msg": long, "msg_type": "warning"}),
    );
    let sent = submit(&app).send().await;
    let (name, value) = cookie(&sent);
    assert!(name.len() + value.len() <= 4096, "{}", value.len());
    let html = visit(&app, &format!("{name}={value}")).send().await.text();
    assert!(
        html.contains("The ") && html.contains("Thank you"),
        "{html}"
    );
}

#[tokio::test]
async fn no_character_of_it_can_be_changed() {
    let app = start().await;
    let (name, good) = cookie(&submit(&app).send().await);
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(bytes).expect("ASCII");
        let page = visit(&app, &format!("{name}={forged}")).send().await;
        assert!(!is_shown(&page), "changed at {at}: {forged}");
    }
    for shape in [
        good[1..].to_owned(),
        good[..good.len() - 1].to_owned(),
        format!("{good}A"),
        format!("{good}="),
        format!("{good}{good}"),
        good.to_lowercase(),
        format!("%{:02x}{}", good.as_bytes()[0], &good[1..]),
    ] {
        let page = visit(&app, &format!("{name}={shape}")).send().await;
        assert!(!is_shown(&page), "{shape}");
    }
    // On another host, and in a crowd of forged ones.
    let page = visit(&app, &format!("{name}={good}")).host("other.example.org");
    assert!(!is_shown(&page.send().await));
    let crowd = format!("{name}={}; ", "A".repeat(40)).repeat(150);
    let page = visit(&app, &format!("{crowd}{name}={good}")).send().await;
    assert_eq!(page.status, 200);
    let asked = app.backend.received().pop().expect("a request");
    assert!(
        !asked.head.contains("formgate_flash"),
        "the backend gets none of them"
    );
}
