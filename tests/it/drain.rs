//! The end of the gateway: what is under way is finished, nothing new is taken, and it does not take for ever.

use std::time::Duration;

use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::app;
use crate::support::client::Wire;
use crate::support::peer::Script;
use crate::support::site;
use crate::support::within;

const CONTACT: &str = r#"
[form]
submit = "POST /contact"

[[hook]]
on = "preprocess"
url = "HOOK/check"
"#;

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate";

/// A script that answers when it is told to.
fn when_told(answer: &'static str) -> (tokio::sync::watch::Sender<bool>, Script) {
    let (go, gone) = tokio::sync::watch::channel(false);
    let script = Script::custom(move |_, mut wire| {
        let mut gone = gone.clone();
        async move {
            let _ = gone.wait_for(|go| *go).await;
            wire.write(answer.as_bytes()).await;
        }
    });
    (go, script)
}

#[tokio::test]
async fn what_is_under_way_is_finished_and_nothing_new_is_taken() {
    let app = app(CONTACT).await;
    let (go, script) = when_told(ANSWER);
    app.backend.always(script);
    app.hooks.reply(&json!({}));
    let mut passing = app.connect().await;
    passing.write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut submitting = app.connect().await;
    submitting
        .write(&app.post("/contact").form("a=b").bytes())
        .await;
    app.backend.wait_for(2).await;
    let mut idle = app.connect().await;
    idle.write(b"GET /_formgate/formgate.css HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert_eq!(idle.answer().await.status, 200);
    let mut silent = app.connect().await;

    app.stop.now();
    assert!(
        idle.rest().await.is_empty(),
        "an idle connection is closed soon"
    );
    assert!(
        silent.rest().await.is_empty(),
        "and one that has not yet said anything"
    );
    let refused = async {
        while TcpStream::connect(app.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    within("new connections to be refused", refused).await;
    // A second request on a connection that is busy is not taken any more.
    passing.write(b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n").await;
    go.send_replace(true);
    for wire in [&mut passing, &mut submitting] {
        let answer = wire.answer().await;
        assert_eq!(answer.text(), "late");
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(wire.rest().await.is_empty());
    }
    assert_eq!(app.backend.count(), 2);
    assert!(app.end().await, "everything was finished");
}

#[tokio::test]
async fn what_is_on_its_way_is_answered_and_told_to_be_the_last() {
    let app = app(CONTACT).await;
    app.hooks.reply(&json!({}));
    let mut kept = app.connect().await;
    kept.write(&app.post("/contact").form("a=1").bytes()).await;
    let answer = kept.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (200, None));
    let mut silent = app.connect().await;
    let mut half = app.connect().await;
    half.write(b"GET /half HTTP/1.1\r\nHo").await;
    // Whoever has not been let in when the end begins: the system has.
    let waiting: Vec<_> = (0..20)
        .map(|_| std::net::TcpStream::connect(app.address).expect("the system lets it in"))
        .collect();
    app.stop.now();
    half.write(b"st: a\r\n\r\n").await;
    let mut wires = vec![half];
    for wire in [&mut kept, &mut silent] {
        wire.write(&app.post("/contact").form("a=2").bytes()).await;
    }
    wires.extend([kept, silent]);
    for stream in waiting {
        stream.set_nonblocking(true).expect("a socket");
        let stream = TcpStream::from_std(stream).expect("a socket");
        let mut wire = Wire {
            stream,
            ahead: Vec::new(),
        };
        wire.write(b"GET /waiting HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
        wires.push(wire);
    }
    for wire in &mut wires {
        let answer = wire.answer().await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(wire.rest().await.is_empty());
    }
    assert_eq!(app.backend.count(), 1 + wires.len());
    assert!(app.end().await, "everything was finished");
}

#[tokio::test]
async fn an_upload_that_has_begun_may_go_on() {
    let app = app(CONTACT).await;
    app.hooks.reply(&json!({}));
    let mut wires = Vec::new();
    for target in ["/contact", "/other"] {
        let mut wire = app.connect().await;
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        );
        wire.write(head.as_bytes()).await;
        wire.until("100 Continue\r\n\r\n").await.expect("to go on");
        wires.push(wire);
    }
    app.stop.now();
    for mut wire in wires {
        wire.write(b"a=b").await;
        assert_eq!(wire.answer().await.status, 200);
    }
    assert_eq!(app.backend.count(), 2);
    assert!(app.end().await);
}

#[tokio::test]
async fn a_download_that_has_begun_may_go_on() {
    let app = app(CONTACT).await;
    let large = "x".repeat(32 << 20);
    app.backend.always(Script::page(200, &large));
    let mut wire = app.connect().await;
    wire.write(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await;
    wire.until("\r\n\r\n").await.expect("a head");
    app.stop.now();
    let mut read = wire.ahead.len();
    while read < large.len() {
        wire.ahead.clear();
        assert!(wire.more().await, "half an answer");
        read += wire.ahead.len();
    }
    assert!(app.end().await);
}

#[tokio::test]
async fn the_end_is_bounded() {
    let drain = Duration::from_millis(500);
    let site = site().rules("contact", CONTACT);
    let app = site
        .configure(|config| config.limits.drain = drain)
        .start()
        .await;
    app.backend.always(Script::Hang);
    let mut wire = app.connect().await;
    wire.write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
    app.backend.wait_for(1).await;
    let began = Instant::now();
    app.stop.now();
    let all = within("the end", app.serving).await.expect("no panic");
    assert!(!all, "not everything was finished");
    let took = began.elapsed();
    assert!(
        took >= drain && took < drain + Duration::from_secs(3),
        "{took:?}"
    );
}

#[tokio::test]
async fn a_tunnel_goes_on_until_its_time_is_up() {
    let drain = Duration::from_millis(500);
    let site = site().rules("contact", CONTACT);
    let app = site
        .configure(|config| config.limits.drain = drain)
        .start()
        .await;
    app.backend.always(Script::custom(|_, mut wire| async move {
        wire.write(
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        )
        .await;
        while wire.more().await {
            let come = std::mem::take(&mut wire.ahead);
            wire.write(&come).await;
        }
    }));
    let mut wire = app.connect().await;
    wire.write(b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        .await;
    wire.until("\r\n\r\n").await.expect("a head");
    app.stop.now();
    wire.write(b"still there?").await;
    wire.until("still there?").await.expect("an echo");
    let all = within("the end", app.serving).await.expect("no panic");
    assert!(!all, "a tunnel never finishes by itself");
}

#[tokio::test]
async fn an_end_with_nothing_under_way_is_quick() {
    let app = app(CONTACT).await;
    let wire = app.connect().await;
    let began = Instant::now();
    drop(wire);
    assert!(app.end().await);
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
}
