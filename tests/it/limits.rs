//! How long a peer may take and how much it may hold: silent ones, slow ones, ones that never read, and too many.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use crate::support::App;
use crate::support::Site;
use crate::support::client::Wire;
use crate::support::peer::Peer;
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

const SHORT: Duration = Duration::from_millis(300);
/// Enough for a limit of `SHORT` to pass, on a busy machine, too; far less than any other limit.
const SOON: Duration = Duration::from_secs(4);

fn hasty() -> Site {
    site().rules("contact", CONTACT).configure(|config| {
        config.limits.header_timeout = SHORT;
        config.limits.idle = SHORT;
        config.limits.body_pause = SHORT;
        config.intake.body = 10 << 20;
    })
}

async fn start() -> App {
    let app = hasty().start().await;
    app.hooks.reply(&json!({}));
    app
}

/// Waits until the gateway has closed the connection; what it said before, and how long it took.
async fn until_closed(wire: &mut Wire) -> (String, Duration) {
    let began = Instant::now();
    let said = wire.rest().await;
    (String::from_utf8_lossy(&said).into_owned(), began.elapsed())
}

#[tokio::test]
async fn who_says_nothing_is_closed_without_a_word() {
    let app = start().await;
    let mut wire = app.connect().await;
    let (said, took) = until_closed(&mut wire).await;
    assert_eq!(said, "");
    assert!(took >= SHORT && took < SOON, "{took:?}");
}

#[tokio::test]
async fn who_is_idle_after_an_answer_that_took_long_is_closed_too() {
    let app = start().await;
    // Longer than a head may take, and longer than anybody may be idle.
    app.backend.always(Script::custom(|_, mut wire| async move {
        tokio::time::sleep(4 * SHORT).await;
        wire.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate")
            .await;
        while wire.more().await {}
    }));
    let mut wire = app.connect().await;
    wire.write(b"GET /late HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(wire.answer().await.text(), "late");
    let (said, took) = until_closed(&mut wire).await;
    assert_eq!(said, "");
    assert!(took < SOON, "{took:?}");
}

#[tokio::test]
async fn a_head_that_does_not_end_is_not_waited_for() {
    let app = start().await;
    for begun in [
        "G",
        "PRI * HTTP/2.0\r\n",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n",
    ] {
        let mut wire = app.connect().await;
        wire.write(begun.as_bytes()).await;
        let (said, took) = until_closed(&mut wire).await;
        assert!(took < SOON, "{begun:?}: {took:?}");
        // What is not yet a request of HTTP/1 is not answered like one.
        if begun.ends_with('\n') && begun.starts_with("GET") {
            assert!(said.starts_with("HTTP/1.1 408 "), "{begun:?}: {said}");
            assert!(said.contains("limits.header_timeout"), "{said}");
        }
    }
    assert_eq!(app.backend.count(), 0);
}

#[tokio::test]
async fn a_head_that_drips_is_not_waited_for_either() {
    let app = start().await;
    for before in ["", "GET /first HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let mut wire = app.connect().await;
        if !before.is_empty() {
            wire.write(before.as_bytes()).await;
            assert_eq!(wire.answer().await.status, 200);
        }
        let began = Instant::now();
        let drip = async {
            wire.write(b"GET / HTTP/1.1\r\nX: ").await;
            loop {
                wire.write(b"y").await;
                let mut buffer = [0; 1000];
                let read = wire.stream.read(&mut buffer);
                if let Ok(read) = tokio::time::timeout(SHORT / 10, read).await {
                    let read = read.unwrap_or(0);
                    return String::from_utf8_lossy(&buffer[..read]).into_owned();
                }
            }
        };
        let said = within("the end of a dripping head", drip).await;
        assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
        let took = began.elapsed();
        assert!(took < SOON, "{took:?}");
    }
}

#[tokio::test]
async fn who_asks_no_more_is_closed_without_a_word() {
    let app = start().await;
    let mut wire = app.connect().await;
    for _ in 0..3 {
        wire.write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(wire.answer().await.status, 200);
    }
    // Line breaks after a request, as old clients send them, are not the beginning of another.
    wire.write(b"\r\n").await;
    let (said, took) = until_closed(&mut wire).await;
    assert_eq!(said, "");
    assert!(took < SOON, "{took:?}");
}

#[tokio::test]
async fn who_waits_for_an_answer_is_not_idle() {
    let app = start().await;
    let (go, gone) = tokio::sync::watch::channel(false);
    app.backend.always(Script::custom(move |_, mut wire| {
        let mut gone = gone.clone();
        async move {
            let _ = gone.wait_for(|go| *go).await;
            wire.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate")
                .await;
        }
    }));
    let mut wire = app.connect().await;
    wire.write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
    app.backend.wait_for(1).await;
    // As a clock: connections that are idle, one after the other, are closed meanwhile.
    for _ in 0..3 {
        let mut idle = app.connect().await;
        until_closed(&mut idle).await;
    }
    go.send_replace(true);
    assert_eq!(wire.answer().await.text(), "late");
}

#[tokio::test]
async fn a_body_that_stops_coming_is_answered_408() {
    let app = start().await;
    for (target, frame) in [
        ("/contact", "Content-Length: 100\r\n\r\na=b"),
        ("/contact", "Transfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n"),
        (
            "/contact",
            "Transfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\n",
        ),
        ("/other", "Content-Length: 100\r\n\r\na=b"),
        ("/other", "Transfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n"),
    ] {
        let mut wire = app.connect().await;
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n{frame}"
        );
        wire.write(request.as_bytes()).await;
        let began = Instant::now();
        let answer = wire.answer().await;
        assert_eq!(answer.status, 408, "{target} {frame:?}: {}", answer.text());
        assert_eq!(
            answer.json()["limit"],
            "limits.body_pause",
            "{target} {frame:?}"
        );
        assert_eq!(answer.json()["submitted"], false);
        assert_eq!(
            answer.header("connection"),
            Some("close"),
            "{target} {frame:?}"
        );
        assert!(began.elapsed() < SOON);
        assert!(wire.rest().await.is_empty(), "and closed");
    }
    assert_eq!((app.backend.count(), app.hooks.count()), (0, 0));
    app.backend.wait_until_left().await;
}

#[tokio::test]
async fn a_body_that_drips_is_answered_408() {
    let site = hasty().configure(|config| {
        config.limits.body_rate = 5000;
        // So that a busy machine makes no pause that is too long.
        config.limits.body_pause = 2 * SHORT;
    });
    let app = site.start().await;
    app.hooks.reply(&json!({}));
    for (target, frame, drop) in [
        ("/contact", "Content-Length: 10000\r\n\r\na=", "b"),
        (
            "/contact",
            "Transfer-Encoding: chunked\r\n\r\n",
            "1\r\nb\r\n",
        ),
        ("/other", "Content-Length: 10000\r\n\r\n", "b"),
        ("/other", "Transfer-Encoding: chunked\r\n\r\n", "1\r\nb\r\n"),
    ] {
        let mut wire = app.connect().await;
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n{frame}"
        );
        wire.write(request.as_bytes()).await;
        let began = Instant::now();
        let drip = async {
            // Never a pause that is too long.
            while tokio::time::timeout(SHORT / 30, wire.more()).await.is_err() {
                wire.write(drop.as_bytes()).await;
            }
        };
        within("an answer to a drip", drip).await;
        let answer = wire.answer().await;
        assert_eq!(answer.status, 408, "{target} {frame:?}: {}", answer.text());
        assert_eq!(answer.json()["limit"], "limits.body_rate");
        assert_eq!(answer.json()["submitted"], false);
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    }
    assert_eq!((app.backend.count(), app.hooks.count()), (0, 0));
    app.backend.wait_until_left().await;
}

#[tokio::test]
async fn a_body_may_drip_where_the_configuration_says_so() {
    let site = hasty().configure(|config| config.limits.body_rate = 0);
    let app = site.start().await;
    app.hooks.reply(&json!({}));
    for target in ["/contact", "/other"] {
        let mut wire = app.connect().await;
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 22\r\n\r\na="
        );
        wire.write(head.as_bytes()).await;
        for _ in 0..20 {
            tokio::time::sleep(SHORT / 10).await;
            wire.write(b"b").await;
        }
        assert_eq!(wire.answer().await.status, 200, "{target}");
    }
}

#[tokio::test]
async fn a_body_that_keeps_coming_may_take_its_time() {
    let app = start().await;
    for target in ["/contact", "/other"] {
        let mut wire = app.connect().await;
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 2002\r\n\r\na="
        );
        wire.write(head.as_bytes()).await;
        let began = Instant::now();
        for _ in 0..20 {
            tokio::time::sleep(SHORT / 10).await;
            wire.write(&[b'b'; 100]).await;
        }
        assert!(began.elapsed() > SHORT, "longer than a pause may be");
        assert_eq!(wire.answer().await.status, 200, "{target}");
    }
    let received = app.backend.received();
    assert!(
        received
            .iter()
            .all(|one| one.text() == format!("a={}", "b".repeat(2000)))
    );
}

#[tokio::test]
async fn an_answer_that_nobody_reads_does_not_hold_its_connections() {
    let site = hasty().configure(|config| config.limits.connections = 1);
    let app = site.start().await;
    let large = "x".repeat(64 << 20);
    app.backend.next(Script::page(200, &large));
    let mut wire = app.connect().await;
    wire.write(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await;
    wire.until("\r\n\r\n").await.expect("a head");
    let began = Instant::now();
    app.backend.wait_until_left().await;
    // Its place is free again.
    assert_eq!(app.get("/b").send().await.status, 200);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    drop(wire);
}

#[tokio::test]
async fn an_answer_that_is_read_slowly_comes_whole() {
    // A socket's buffers take in and give back in bursts, so the limit is not as short as elsewhere.
    let pause = 5 * SHORT;
    let app = hasty()
        .configure(|config| config.limits.body_pause = pause)
        .start()
        .await;
    let large = "x".repeat(16 << 20);
    app.backend.next(Script::page(200, &large));
    let mut wire = app.connect().await;
    wire.write(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await;
    wire.until("\r\n\r\n").await.expect("a head");
    let mut read = wire.ahead.len();
    let mut buffer = vec![0; 1 << 20];
    let mut pauses = 0;
    while read < large.len() {
        if pauses < 7 {
            tokio::time::sleep(pause / 6).await;
            pauses += 1;
        }
        let more = within("the rest", wire.stream.read(&mut buffer))
            .await
            .expect("more");
        assert!(more > 0, "half an answer after {read} bytes");
        read += more;
    }
    assert_eq!(read, large.len());
}

#[tokio::test]
async fn there_are_only_so_many_connections_at_a_time() {
    let site = hasty().configure(|config| {
        config.limits.connections = 2;
        config.limits.header_timeout = Duration::from_secs(60);
        config.limits.idle = Duration::from_secs(60);
    });
    let app = site.start().await;
    let mut first = app.connect().await;
    let mut second = app.connect().await;
    for wire in [&mut first, &mut second] {
        wire.write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(wire.answer().await.status, 200);
    }
    let mut third = app.connect().await;
    third.write(b"GET /third HTTP/1.1\r\nHost: a\r\n\r\n").await;
    // It waits outside as long as the others are there.
    for wire in [&mut first, &mut second] {
        wire.write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(wire.answer().await.status, 200);
    }
    assert_eq!(app.backend.count(), 4);
    drop(first);
    assert_eq!(third.answer().await.status, 200);
}

#[tokio::test]
async fn work_for_people_who_are_gone_counts_as_a_connection() {
    let site = hasty().configure(|config| {
        config.limits.connections = 1;
        config.limits.header_timeout = Duration::from_secs(60);
    });
    let app = site.start().await;
    let (go, gone) = tokio::sync::watch::channel(false);
    app.hooks.next(Script::custom(move |_, mut wire| {
        let mut gone = gone.clone();
        async move {
            let _ = gone.wait_for(|go| *go).await;
            wire.write(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        }
    }));
    let mut wire = app.connect().await;
    wire.write(&app.post("/contact").form("a=b").bytes()).await;
    app.hooks.wait_for(1).await;
    drop(wire);
    let mut next = app.connect().await;
    next.write(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut buffer = [0; 1];
    let early = tokio::time::timeout(SHORT, next.stream.read(&mut buffer)).await;
    assert!(early.is_err(), "the place is not free yet");
    assert_eq!(app.backend.count(), 0);
    go.send_replace(true);
    assert_eq!(next.answer().await.status, 200);
    let targets: Vec<String> = app
        .backend
        .received()
        .into_iter()
        .map(|one| one.target)
        .collect();
    assert_eq!(
        targets,
        ["/contact", "/next"],
        "and the submission was carried to its end"
    );
}

#[tokio::test]
async fn who_sends_too_much_can_read_that_it_was_too_much() {
    // Clients that write all of it before they read: the answer must still be there then.
    let app = start().await;
    let length = 60 << 20;
    let body = vec![b'x'; length];
    for frame in ["Content-Length", "Transfer-Encoding"] {
        let mut wire = app.connect().await;
        let value = if frame == "Content-Length" {
            length.to_string()
        } else {
            "chunked".to_owned()
        };
        let head = format!(
            "POST /contact HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n{frame}: {value}\r\n\r\n"
        );
        wire.write(head.as_bytes()).await;
        if frame == "Transfer-Encoding" {
            wire.write(format!("{length:x}\r\n").as_bytes()).await;
        }
        within("writing all of it", wire.stream.write_all(&body))
            .await
            .expect("a connection that is not reset");
        let answer = wire.answer().await;
        assert_eq!(answer.status, 413, "{frame}");
        assert_eq!(answer.header("connection"), Some("close"), "{frame}");
        assert_eq!(answer.json()["submitted"], false);
        assert!(
            answer.json()["limit"]
                .as_str()
                .is_some_and(|limit| limit.starts_with("limits."))
        );
        assert!(wire.rest().await.is_empty(), "and closed");
    }
    assert_eq!((app.backend.count(), app.hooks.count()), (0, 0));
}

#[tokio::test]
async fn the_last_answer_is_not_lost_to_what_is_still_on_its_way() {
    let app = start().await;
    for _ in 0..20 {
        let mut wire = app.connect().await;
        wire.write(b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await;
        wire.write(&vec![b'x'; 1 << 20]).await;
        assert_eq!(wire.answer().await.text(), "ok");
    }
}

#[tokio::test]
async fn a_tunnel_whose_peer_reads_nothing_is_given_up() {
    let backend = Peer::raw(|mut wire| async move {
        wire.until("\r\n\r\n").await.expect("a head");
        wire.write(
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        )
        .await;
        let block = vec![b'x'; 1 << 20];
        while wire.stream.write_all(&block).await.is_ok() {}
    })
    .await;
    let app = hasty().start_with(backend, Peer::start().await).await;
    let mut wire = app.connect().await;
    wire.write(b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        .await;
    wire.until("\r\n\r\n").await.expect("a head");
    app.backend.wait_until_left().await;
}
