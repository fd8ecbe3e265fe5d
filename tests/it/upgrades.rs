//! WebSocket and other upgrades: after `101` the bytes go both ways, whatever they are; and nothing else is a tunnel.

use crate::support::app;
use crate::support::client::Wire;
use crate::support::peer::Peer;
use crate::support::peer::Script;
use crate::support::site;

const NO_FORM: &str = "[form]\nsubmit = \"POST /contact\"\n";

const ASK: &str = "GET /socket HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Key: x\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: y\r\n\r\n";

/// A backend that switches, says `hello`, and then gives back everything twice.
fn doubling() -> Script {
    Script::custom(|received, mut wire| async move {
        assert_eq!(received.header("upgrade"), Some("websocket"));
        assert_eq!(received.header("connection"), Some("upgrade"));
        assert_eq!(received.header("sec-websocket-key"), Some("x"));
        wire.write([SWITCH, "hello"].concat().as_bytes()).await;
        loop {
            let come = std::mem::take(&mut wire.ahead);
            if !come.is_empty() {
                wire.write(&[come.as_slice(), &come].concat()).await;
            } else if !wire.more().await {
                return;
            }
        }
    })
}

async fn talk(wire: &mut Wire) {
    let head = wire.until("\r\n\r\n").await.expect("a head");
    let head = String::from_utf8_lossy(&head).into_owned();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(
        head.to_ascii_lowercase().contains("upgrade: websocket"),
        "{head}"
    );
    assert!(head.contains("sec-websocket-accept: y"), "{head}");
    wire.until("hello")
        .await
        .expect("what came with the switch");
}

#[tokio::test]
async fn after_the_switch_bytes_go_both_ways() {
    let app = app(NO_FORM).await;
    app.backend.always(doubling());
    let mut wire = app.connect().await;
    wire.write(ASK.as_bytes()).await;
    talk(&mut wire).await;
    // Nothing that is read along as HTTP would let this through.
    for odd in [
        "\0\u{1}\r\r\n\n",
        "GET /contact HTTP/1.1\r\nX : y\r\n\r\n",
        "5\n",
    ] {
        wire.write(odd.as_bytes()).await;
        wire.until(&odd.repeat(2)).await.expect("twice");
    }
    let large = "x".repeat(1 << 20);
    wire.write(large.as_bytes()).await;
    wire.write(b"!").await;
    while wire.ahead.len() < (2 << 20) + 2 {
        assert!(wire.more().await, "all of it");
    }
    assert_eq!(app.backend.count(), 1);
    wire.finish().await;
    app.backend.wait_until_left().await;
    assert!(!wire.more().await, "and ends with the backend");
}

#[tokio::test]
async fn what_is_sent_before_the_switch_arrives_after_it() {
    let app = app(NO_FORM).await;
    app.backend.always(doubling());
    let mut wire = app.connect().await;
    wire.write([ASK, "early\n"].concat().as_bytes()).await;
    talk(&mut wire).await;
    wire.until("early\nearly\n").await.expect("twice");
}

#[tokio::test]
async fn an_upgrade_that_is_refused_is_an_answer_and_the_last_one() {
    let app = app(NO_FORM).await;
    for status in [200, 400, 426] {
        app.backend.always(Script::answer(status, "", "no"));
        let mut wire = app.connect().await;
        // What follows was not read along, so it must not be read as a request.
        wire.write(
            [ASK, "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"]
                .concat()
                .as_bytes(),
        )
        .await;
        let answer = wire.answer().await;
        assert_eq!((answer.status, answer.text().as_str()), (status, "no"));
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(wire.rest().await.is_empty());
    }
    assert!(
        app.backend
            .received()
            .iter()
            .all(|one| one.path() == "/socket")
    );
}

#[tokio::test]
async fn another_http_is_not_upgraded_to() {
    let app = app(NO_FORM).await;
    for headers in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
        "Connection: Upgrade\r\nUpgrade: H2C",
        "Connection: Upgrade\r\nUpgrade: h2c, websocket",
        "Connection: Upgrade\r\nUpgrade: websocket, h2c",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c",
        "Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket",
        "Connection: Upgrade\r\nUpgrade: HTTP/2.0",
        "Connection: Upgrade\r\nUpgrade: TLS/1.3, HTTP/1.1",
        "Upgrade: websocket",
        "Connection: close\r\nUpgrade: websocket",
    ] {
        let mut wire = app.connect().await;
        wire.write(format!("GET /a HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n").as_bytes())
            .await;
        assert_eq!(wire.answer().await.status, 200, "{headers}");
        let sent = app.backend.received();
        let sent = sent.last().expect("a request");
        for name in ["upgrade", "connection"] {
            assert_eq!(sent.header(name), None, "{headers}");
        }
    }
    // Nor by an old client, nor with a body, whose end would be in doubt.
    for request in [
        "GET /a HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n\r\nx",
    ] {
        assert_eq!(app.send(request).await.status, 200);
        let sent = app.backend.received();
        assert_eq!(sent.last().expect("a request").header("upgrade"), None);
    }
}

#[tokio::test]
async fn a_switch_that_nobody_asked_for_is_a_failure() {
    let app = app(NO_FORM).await;
    app.backend
        .always(Script::Bytes(SWITCH.as_bytes().to_vec()));
    let answer = app.get("/a").send().await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.json()["outcome"], "backend_failed");
}

#[tokio::test]
async fn a_form_is_a_form_even_if_an_upgrade_is_asked_for() {
    let rules =
        "[form]\nsubmit = \"POST /contact\"\n[[hook]]\non = \"preprocess\"\nurl = \"HOOK/check\"\n";
    let app = app(rules).await;
    app.hooks
        .reply(&serde_json::json!({"msg": "no", "msg_type": "error"}));
    let answer = app
        .post("/contact")
        .form("a=b")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .send()
        .await;
    assert_eq!(answer.status, 422);
    assert_eq!((app.hooks.count(), app.backend.count()), (1, 0));
}

#[tokio::test]
async fn a_tunnel_ends_when_either_side_goes_away() {
    let app = app(NO_FORM).await;
    app.backend.always(doubling());
    let mut wire = app.connect().await;
    wire.write(ASK.as_bytes()).await;
    talk(&mut wire).await;
    wire.stream.set_zero_linger().expect("a socket");
    drop(wire);
    app.backend.wait_until_left().await;

    let backend = Peer::raw(|mut wire| async move {
        wire.until("\r\n\r\n").await.expect("a head");
        wire.write([SWITCH, "hello"].concat().as_bytes()).await;
    })
    .await;
    let app = site().start_with(backend, Peer::start().await).await;
    let mut wire = app.connect().await;
    wire.write(ASK.as_bytes()).await;
    talk(&mut wire).await;
    assert!(!wire.more().await, "the end");
}
