//! What the backend and the hooks are told about who is asking, and who is believed about it.

use serde_json::Value;
use serde_json::json;

use crate::support::App;
use crate::support::app;
use crate::support::peer::Received;
use crate::support::site;

const CONTACT: &str = r#"
[form]
submit = "POST /contact"

[[hook]]
on = "preprocess"
url = "HOOK/check"
"#;

/// What somebody says who speaks for others, or pretends to.
const SAID: [(&str, &str); 26] = [
    ("x-forwarded-for", "203.0.113.9"),
    ("x-forwarded-for", "198.51.100.7, 127.0.0.9"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "Public.example.org"),
    ("x-real-ip", "203.0.113.9"),
    ("forwarded", "for=203.0.113.9"),
    ("x-forwarded-port", "443"),
    ("x-forwarded-prefix", "/app"),
    ("x-original-url", "/contact"),
    ("x-rewrite-url", "/contact"),
    ("x-forwarded-uri", "/contact"),
    ("x-forwarded-method", "POST"),
    ("x-original-uri", "/contact"),
    ("x-original-host", "other.example.org"),
    ("x-envoy-original-path", "/contact"),
    ("x-waws-unencoded-url", "/contact"),
    ("x-script-name", "/app"),
    ("script-name", "/app"),
    ("path-info", "/contact"),
    ("x-host", "other.example.org"),
    ("x-http-host-override", "other.example.org"),
    ("proxy", "http://evil.example"),
    ("via", "1.1 nearby"),
    ("via", "1.0 far"),
    ("x_forwarded_for", "203.0.113.9"),
    ("x-request-id", "theirs"),
];

async fn pass(app: &App) -> Received {
    let mut ask = app.get("/a");
    for (name, value) in SAID {
        ask = ask.header(name, value);
    }
    assert_eq!(ask.send().await.status, 200);
    app.backend.only()
}

async fn submit(app: &App) -> (Received, Value) {
    app.hooks.reply(&json!({}));
    let mut ask = app.post("/contact").form("a=b");
    for (name, value) in SAID {
        ask = ask.header(name, value);
    }
    assert_eq!(ask.send().await.status, 200);
    (app.backend.only(), app.hooks.only().json())
}

#[tokio::test]
async fn a_strangers_word_about_others_is_not_passed_on() {
    let app = app(CONTACT).await;
    for sent in [pass(&app).await, {
        let other = crate::support::app(CONTACT).await;
        submit(&other).await.0
    }] {
        assert_eq!(sent.headers_of("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(sent.headers_of("x-forwarded-proto"), ["http"]);
        assert_eq!(sent.headers_of("x-forwarded-host"), ["forms.example.org"]);
        assert_eq!(
            sent.headers_of("via"),
            ["1.1 nearby, 1.0 far, 1.1 formgate"]
        );
        for name in [
            "x-real-ip",
            "forwarded",
            "x-forwarded-port",
            "x-forwarded-prefix",
            "x-original-url",
            "x-rewrite-url",
            "x-forwarded-uri",
            "x-forwarded-method",
            "x-original-uri",
            "x-original-host",
            "x-envoy-original-path",
            "x-waws-unencoded-url",
            "x-script-name",
            "script-name",
            "path-info",
            "x-host",
            "x-http-host-override",
            "proxy",
            "x_forwarded_for",
        ] {
            assert_eq!(sent.header(name), None, "{name}");
        }
    }
}

#[tokio::test]
async fn a_trusted_proxys_word_is_passed_on_and_added_to() {
    let app = site().trusting().start().await;
    let sent = pass(&app).await;
    assert_eq!(
        sent.headers_of("x-forwarded-for"),
        ["203.0.113.9, 198.51.100.7, 127.0.0.9, 127.0.0.1"]
    );
    assert_eq!(sent.headers_of("x-forwarded-proto"), ["https"]);
    assert_eq!(sent.headers_of("x-forwarded-host"), ["Public.example.org"]);
    assert_eq!(sent.header("host"), Some("forms.example.org"));
    assert_eq!(sent.header("x-real-ip"), Some("203.0.113.9"));
    assert_eq!(sent.header("forwarded"), Some("for=203.0.113.9"));
    assert_eq!(sent.header("x-forwarded-prefix"), Some("/app"));
    assert_eq!(sent.header("x-forwarded-uri"), Some("/contact"));
    assert_eq!(sent.header("x_forwarded_for"), None, "not even from them");
    assert_eq!(sent.header("proxy"), None, "not even from them");
}

#[tokio::test]
async fn hooks_are_told_the_last_address_that_a_trusted_proxy_vouches_for() {
    let app = app(CONTACT).await;
    let (_, call) = submit(&app).await;
    assert_eq!(call["meta_info"]["ip"], "127.0.0.1");
    assert_ne!(call["meta_info"]["request_id"], "theirs");
    let app = site().rules("contact", CONTACT).trusting().start().await;
    let (sent, call) = submit(&app).await;
    // 127.0.0.9 is trusted, too; what is left of 198.51.100.7 anybody may have written.
    assert_eq!(call["meta_info"]["ip"], "198.51.100.7");
    assert_eq!(call["meta_info"]["request_id"], "theirs");
    assert_eq!(sent.header("x-request-id"), Some("theirs"));
}

#[tokio::test]
async fn addresses_that_are_none_end_the_chain() {
    for (said, ip) in [
        ("unknown", "127.0.0.1"),
        ("198.51.100.7, unknown", "127.0.0.1"),
        ("unknown, 198.51.100.7", "198.51.100.7"),
        ("198.51.100.7:4711", "198.51.100.7"),
        ("[2001:db8::1]:80", "2001:db8::1"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("", "127.0.0.1"),
        ("127.0.0.7", "127.0.0.7"),
    ] {
        let app = site().rules("contact", CONTACT).trusting().start().await;
        app.hooks.reply(&json!({}));
        let ask = app.post("/contact").form("a=b");
        ask.header("x-forwarded-for", said).send().await;
        assert_eq!(app.hooks.only().json()["meta_info"]["ip"], ip, "{said:?}");
    }
}

#[tokio::test]
async fn of_several_hosts_and_protocols_the_nearest_proxys_is_believed() {
    let rules = format!("{CONTACT}\n").replace("[form]", "[form]\nhosts = [\"forms.example.org\"]");
    let host = |lines: &[&'static str]| {
        let lines = lines.iter();
        lines
            .map(|line| ("x-forwarded-host", *line))
            .collect::<Vec<_>>()
    };
    for (said, status, host) in [
        (host(&["other.example.org, forms.example.org"]), 422, None),
        (host(&["other.example.org", "forms.example.org"]), 422, None),
        (host(&["other.example.org,,"]), 422, None),
        (
            host(&["forms.example.org, other.example.org"]),
            200,
            Some("other.example.org"),
        ),
        (host(&["a/b"]), 422, None),
        (Vec::new(), 422, None),
    ] {
        let app = site()
            .rules("contact", &rules)
            .configure(|config| config.hosts = vec!["other.example.org".to_owned()])
            .trusting()
            .start()
            .await;
        app.hooks
            .reply(&json!({"msg": "No.", "msg_type": "error", "focus_on": "a"}));
        let mut ask = app.post("/contact").form("a=b");
        for (name, value) in &said {
            ask = ask.header(name, value);
        }
        assert_eq!(ask.send().await.status, status, "{said:?}");
        if let Some(host) = host {
            let sent = app.backend.only();
            assert_eq!(sent.headers_of("x-forwarded-host"), [host], "{said:?}");
        }
    }
}

#[tokio::test]
async fn the_backend_is_told_one_protocol() {
    let app = site().trusting().start().await;
    for (said, told) in [
        ("https, http", "http"),
        ("http,HTTPS", "HTTPS"),
        ("a b", "http"),
    ] {
        let ask = app.get("/a").header("x-forwarded-proto", said);
        assert_eq!(ask.send().await.status, 200);
        let sent = app.backend.received().pop().expect("a request");
        assert_eq!(sent.headers_of("x-forwarded-proto"), [told], "{said}");
    }
}
