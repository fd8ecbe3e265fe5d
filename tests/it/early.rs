//! Early answers (1xx): `100 Continue` between the gateway and each side, hints passed on, nothing ever written into
//! a final answer.

use std::time::Duration;

use serde_json::json;

use crate::support::app;
use crate::support::client::Wire;
use crate::support::peer::Peer;
use crate::support::peer::Script;
use crate::support::site;

const CONTACT: &str = r#"
[form]
submit = "POST /contact"

[[hook]]
on = "preprocess"
url = "HOOK/check"
"#;

const HINT: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nconnection: x-hop\r\nx-hop: 1\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// The status of the next message, and its head.
async fn next_head(wire: &mut Wire) -> String {
    let head = wire.until("\r\n\r\n").await.expect("a head");
    String::from_utf8(head).expect("UTF-8")
}

#[tokio::test]
async fn who_waits_to_be_told_to_go_on_is_told() {
    let app = app(CONTACT).await;
    app.hooks.reply(&json!({}));
    for target in ["/contact", "/other"] {
        let mut wire = app.connect().await;
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        );
        wire.write(head.as_bytes()).await;
        assert_eq!(next_head(&mut wire).await, "HTTP/1.1 100 Continue\r\n\r\n");
        wire.write(b"a=b").await;
        assert_eq!(wire.answer().await.status, 200, "{target}");
    }
    for sent in app.backend.received() {
        assert_eq!(
            sent.header("expect"),
            None,
            "the backend is asked nothing of the kind"
        );
        assert_eq!(sent.text(), "a=b");
    }
}

#[tokio::test]
async fn who_is_refused_from_the_head_alone_is_not_told_to_go_on() {
    let site = site()
        .rules("contact", CONTACT)
        .configure(|config| config.intake.body = 1000);
    let app = site.start().await;
    for (header, status) in [
        (
            "Content-Length: 100000\r\nContent-Type: application/x-www-form-urlencoded",
            413,
        ),
        ("Content-Length: 10\r\nContent-Type: image/png", 415),
        ("Content-Length: 10", 415),
        (
            "Content-Length: 10\r\nContent-Type: multipart/form-data",
            400,
        ),
    ] {
        let mut wire = app.connect().await;
        let head = format!(
            "POST /contact HTTP/1.1\r\nHost: a\r\n{header}\r\nExpect: 100-continue\r\n\r\n"
        );
        wire.write(head.as_bytes()).await;
        let head = next_head(&mut wire).await;
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{header}: {head}"
        );
    }
    assert_eq!((app.backend.count(), app.hooks.count()), (0, 0));
}

#[tokio::test]
async fn a_backends_own_go_on_is_not_passed_on() {
    let app = app(CONTACT).await;
    app.backend.always(Script::Bytes(
        ["HTTP/1.1 100 Continue\r\n\r\n", ANSWER]
            .concat()
            .into_bytes(),
    ));
    let mut wire = app.connect().await;
    wire.write(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
        .await;
    assert!(next_head(&mut wire).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn hints_come_before_the_answer_is_there() {
    let (go, gone) = tokio::sync::watch::channel(false);
    let app = app(CONTACT).await;
    app.backend.always(Script::custom(move |_, mut wire| {
        let mut gone = gone.clone();
        async move {
            wire.write(HINT.as_bytes()).await;
            let _ = gone.wait_for(|go| *go).await;
            wire.write(ANSWER.as_bytes()).await;
            while wire.more().await {}
        }
    }));
    let mut wire = app.connect().await;
    wire.write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let hint = next_head(&mut wire).await;
    assert_eq!(
        hint,
        "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n"
    );
    go.send_replace(true);
    assert_eq!(wire.answer().await.text(), "ok");
}

#[tokio::test]
async fn hints_are_never_written_into_an_answer() {
    // Hint and answer come in one piece, over and over, with requests in advance: wherever a hint ends up, it is
    // between two answers, and before its own.
    let app = app(CONTACT).await;
    let body = "x".repeat(100_000);
    for number in 0..20 {
        let hint = format!("HTTP/1.1 103 Early Hints\r\nx-number: {number}\r\n\r\n");
        let answer = format!(
            "HTTP/1.1 200 OK\r\nx-number: {number}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        app.backend.next(Script::Bytes(
            [hint.clone(), hint, answer].concat().into_bytes(),
        ));
    }
    let mut wire = app.connect().await;
    wire.write("GET /a HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20).as_bytes())
        .await;
    for number in 0..20 {
        let own = format!("x-number: {number}\r\n");
        for _ in 0..2 {
            let hint = next_head(&mut wire).await;
            assert!(
                hint.starts_with("HTTP/1.1 103 ") && hint.contains(&own),
                "{number}: {hint}"
            );
        }
        let answer = wire.answer().await;
        assert!(answer.head.contains(&own), "{number}: {}", answer.head);
        assert!(
            answer.text() == body,
            "{number}: the body is not as it was sent"
        );
    }
}

#[tokio::test]
async fn a_hint_that_comes_too_late_is_not_written_at_all() {
    let site = site().configure(|config| config.backend_pool.response = Duration::from_millis(200));
    let app = site.start().await;
    let (go, gone) = tokio::sync::watch::channel(false);
    app.backend.next(Script::custom(move |_, mut wire| {
        let mut gone = gone.clone();
        async move {
            let _ = gone.wait_for(|go| *go).await;
            wire.write(HINT.as_bytes()).await;
            while wire.more().await {}
        }
    }));
    let mut wire = app.connect().await;
    wire.write(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(wire.answer().await.status, 504);
    go.send_replace(true);
    wire.write(b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(next_head(&mut wire).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn old_clients_get_no_hints() {
    let app = app(CONTACT).await;
    app.backend
        .always(Script::Bytes([HINT, ANSWER].concat().into_bytes()));
    let mut wire = app.connect().await;
    wire.write(b"GET /a HTTP/1.0\r\n\r\n").await;
    assert!(next_head(&mut wire).await.starts_with("HTTP/1.0 200 "));
}

#[tokio::test]
async fn a_flood_of_hints_is_neither_kept_nor_endless() {
    let backend = Peer::raw(|mut wire| async move {
        wire.until("\r\n\r\n").await.expect("a head");
        let block = HINT.repeat(100);
        loop {
            use tokio::io::AsyncWriteExt;
            if wire.stream.write_all(block.as_bytes()).await.is_err() {
                return;
            }
        }
    })
    .await;
    let site = site().configure(|config| config.backend_pool.response = Duration::from_millis(500));
    let app = site.start_with(backend, Peer::start().await).await;
    let mut wire = app.connect().await;
    wire.write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut hints = 0;
    loop {
        let head = next_head(&mut wire).await;
        if !head.starts_with("HTTP/1.1 103 ") {
            assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
            break;
        }
        hints += 1;
    }
    assert!((1..2000).contains(&hints), "{hints} hints");
    app.backend.wait_until_left().await;
}
