//! Everything that is not a form request passes through as a stream, untouched.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::support::App;
use crate::support::app;
use crate::support::client::Wire;
use crate::support::peer::Peer;
use crate::support::peer::Script;
use crate::support::peer::receive;
use crate::support::site;
use crate::support::within;

const NO_FORM: &str = "[form]\nsubmit = \"POST /contact\"\n";

/// A few pieces of a backend's script, released one by one by the test.
struct Release {
    pieces: mpsc::UnboundedSender<Vec<u8>>,
}

impl Release {
    /// A script that writes whatever is released, and closes when this is dropped.
    fn script() -> (Self, Script) {
        let (pieces, come) = mpsc::unbounded_channel::<Vec<u8>>();
        let come = Arc::new(tokio::sync::Mutex::new(come));
        let script = Script::custom(move |_, mut wire| {
            let come = Arc::clone(&come);
            async move {
                let mut come = come.lock().await;
                while let Some(piece) = come.recv().await {
                    wire.write(&piece).await;
                }
            }
        });
        (Self { pieces }, script)
    }

    fn write(&self, piece: impl AsRef<[u8]>) {
        self.pieces
            .send(piece.as_ref().to_vec())
            .expect("a backend that listens");
    }
}

#[tokio::test]
async fn a_request_arrives_as_it_was_sent() {
    let app = app(NO_FORM).await;
    let request = "PROPFIND /a//b;c=d/%2e?x=%zz&y=a+b HTTP/1.1\r\nHost: Forms.example.org:8080\r\n\
                   X-One: 1\r\nAccept: a\r\nX-Two:  two  words \r\nAccept: b\r\nX-Empty:\r\nCookie: a=b; c=d\r\n\
                   Range: bytes=0-3\r\nIf-None-Match: \"x\"\r\nAuthorization: Basic eA==\r\n\
                   Content-Type: weird/type\r\nContent-Length: 7\r\n\r\n";
    let bytes = [request.as_bytes(), b"\0\r\n\xff\xfe\n\x01"].concat();
    app.send(&bytes).await;
    let got = app.backend.only();
    assert!(
        got.head
            .starts_with("PROPFIND /a//b;c=d/%2e?x=%zz&y=a+b HTTP/1.1\r\n"),
        "{}",
        got.head
    );
    assert_eq!(got.body, b"\0\r\n\xff\xfe\n\x01");
    assert_eq!(got.headers_of("accept"), ["a", "b"]);
    for (name, value) in [
        ("host", "Forms.example.org:8080"),
        ("x-one", "1"),
        ("x-two", "two  words"),
        ("x-empty", ""),
        ("cookie", "a=b; c=d"),
        ("range", "bytes=0-3"),
        ("if-none-match", "\"x\""),
        ("authorization", "Basic eA=="),
        ("content-type", "weird/type"),
        ("content-length", "7"),
    ] {
        assert_eq!(got.headers_of(name), [value], "{name}");
    }
    for name in ["connection", "transfer-encoding", "expect", "x-request-id"] {
        assert_eq!(got.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn an_answer_arrives_as_it_was_sent() {
    let app = app(NO_FORM).await;
    let answer = b"HTTP/1.1 299 Quite All Right\r\nLocation: ../elsewhere?a=b#c\r\nSet-Cookie: a=b; Path=/\r\n\
                   X-Odd_Name: kept\r\nSet-Cookie: c=d; HttpOnly\r\nServer: mine\r\nDate: once upon a time\r\n\
                   Content-Type: text/plain\r\nContent-Length: 6\r\n\r\n\0\xff\r\n\r\n";
    app.backend.always(Script::Bytes(answer.to_vec()));
    let got = app.get("/a").send().await;
    assert!(
        got.head.starts_with("HTTP/1.1 299 Quite All Right\r\n"),
        "{}",
        got.head
    );
    assert_eq!(
        got.headers_of("set-cookie"),
        ["a=b; Path=/", "c=d; HttpOnly"]
    );
    assert_eq!(got.header("location"), Some("../elsewhere?a=b#c"));
    assert_eq!(got.header("x-odd_name"), Some("kept"));
    assert_eq!(got.header("server"), Some("mine"));
    assert_eq!(got.headers_of("date"), ["once upon a time"]);
    assert_eq!(got.header("formgate-reply"), None);
    assert_eq!(got.body, b"\0\xff\r\n\r\n");
}

#[tokio::test]
async fn answers_without_a_body_keep_their_headers() {
    let app = app(NO_FORM).await;
    let mut wire = app.connect().await;
    for (method, answer, status, length) in [
        (
            "HEAD",
            "200 OK\r\ncontent-length: 12345",
            200,
            Some("12345"),
        ),
        ("HEAD", "200 OK\r\ntransfer-encoding: chunked", 200, None),
        ("GET", "304 Not Modified\r\netag: \"x\"", 304, None),
        // A server may leave it out here, and hyper does.
        ("GET", "304 Not Modified\r\ncontent-length: 7", 304, None),
        ("GET", "204 No Content\r\nx: y", 204, None),
        ("DELETE", "204 No Content\r\nx: y", 204, None),
        ("GET", "200 OK\r\ncontent-length: 0", 200, Some("0")),
    ] {
        app.backend.next(Script::Bytes(
            format!("HTTP/1.1 {answer}\r\n\r\n").into_bytes(),
        ));
        let request = format!("{method} /a HTTP/1.1\r\nHost: a\r\n\r\n");
        wire.write(request.as_bytes()).await;
        let got = wire.answer_to(method).await;
        assert_eq!(got.status, status, "{answer}");
        assert_eq!(got.header("content-length"), length, "{answer}");
        assert!(got.body.is_empty() && wire.ahead.is_empty(), "{answer}");
    }
    assert_eq!(app.backend.connections(), 1, "all over one connection");
}

#[tokio::test]
async fn a_part_of_a_file_is_a_part_of_a_file() {
    let app = app(NO_FORM).await;
    app.backend.always(Script::Bytes(
        b"HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 2-4/10\r\ncontent-length: 3\r\n\r\ncde".to_vec(),
    ));
    let got = app.get("/file").header("range", "bytes=2-4").send().await;
    assert_eq!((got.status, got.text().as_str()), (206, "cde"));
    assert_eq!(got.header("content-range"), Some("bytes 2-4/10"));
    assert_eq!(app.backend.only().header("range"), Some("bytes=2-4"));
}

#[tokio::test]
async fn hop_by_hop_headers_end_at_the_gateway() {
    let app = app(NO_FORM).await;
    app.backend.always(Script::answer(
        200,
        "connection: keep-alive, x-mine\r\nx-mine: secret\r\nkeep-alive: timeout=5\r\nproxy-authenticate: x\r\n\
         upgrade: h2c\r\nx-stays: yes\r\n",
        "ok",
    ));
    let got = app
        .get("/a")
        .header("connection", "X-Private, keep-alive, content-type, host")
        .header("x-private", "1")
        .header("content-type", "text/plain")
        .header("keep-alive", "300")
        .header("proxy-connection", "keep-alive")
        .header("proxy-authorization", "Basic x")
        .header("te", "trailers, deflate")
        .header("upgrade", "h2c")
        .header("trailer", "x-t")
        .header("x_underscored", "no")
        .header("x.dotted", "no")
        .header("x-forwarded_for", "no")
        .header("x-stays", "yes")
        .send()
        .await;
    let sent = app.backend.only();
    for gone in [
        "x-private",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "upgrade",
        "x_underscored",
        "x.dotted",
        "x-forwarded_for",
    ] {
        assert_eq!(sent.header(gone), None, "{gone}");
    }
    assert_eq!(sent.header("x-stays"), Some("yes"));
    assert_eq!(
        sent.header("content-type"),
        Some("text/plain"),
        "not a header of one hop"
    );
    assert_eq!(sent.header("host"), Some("forms.example.org"));
    // The gateway's own, for its own hop.
    assert_eq!(sent.header("te"), Some("trailers"));
    assert_eq!(sent.header("connection"), Some("te"));
    for gone in ["x-mine", "keep-alive", "proxy-authenticate", "upgrade"] {
        assert_eq!(got.header(gone), None, "{gone}");
    }
    assert_eq!(got.header("x-stays"), Some("yes"));
}

#[tokio::test]
async fn a_persons_connection_close_does_not_close_the_backends() {
    let app = app(NO_FORM).await;
    for _ in 0..5 {
        let got = app.get("/a").header("connection", "close").send().await;
        assert_eq!(got.header("connection"), Some("close"));
    }
    assert_eq!(app.backend.count(), 5);
    assert_eq!(app.backend.connections(), 1);
}

#[tokio::test]
async fn many_requests_share_a_connection_in_turn() {
    let app = app(NO_FORM).await;
    let mut wire = app.connect().await;
    for number in 0..10 {
        app.backend
            .next(Script::page(200, &format!("answer {number}")));
    }
    let all: String = (0..10)
        .map(|number| format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n"))
        .collect();
    wire.write(all.as_bytes()).await;
    for number in 0..10 {
        assert_eq!(wire.answer().await.text(), format!("answer {number}"));
    }
    let targets: Vec<String> = app
        .backend
        .received()
        .into_iter()
        .map(|one| one.target)
        .collect();
    let expected: Vec<String> = (0..10).map(|number| format!("/{number}")).collect();
    assert_eq!(targets, expected);
}

#[tokio::test]
async fn a_request_in_advance_does_not_end_the_connection() {
    let app = app(NO_FORM).await;
    for second in [
        "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx",
        "POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx",
        "GET /b HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: y\r\n\r\n",
    ] {
        let mut wire = app.connect().await;
        let first = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
        wire.write([first, second].concat().as_bytes()).await;
        let answer = wire.answer().await;
        assert_eq!(
            (answer.status, answer.header("connection")),
            (200, None),
            "{second}"
        );
        if second.contains("chunked") {
            wire.write(b"\r\n1\r\ny\r\n0\r\n\r\n").await;
        } else if second.contains("Length") {
            wire.write(b"y").await;
        }
        assert_eq!(wire.answer().await.status, 200, "{second}");
    }
    assert_eq!(app.backend.count(), 6);
}

#[tokio::test]
async fn old_clients_get_old_answers() {
    let app = app(NO_FORM).await;
    let chunked =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    for (connection, keeps) in [("", false), ("Connection: keep-alive\r\n", true)] {
        let mut wire = app.connect().await;
        let request = format!("GET /a HTTP/1.0\r\n{connection}\r\n");
        wire.write(request.as_bytes()).await;
        let got = wire.answer().await;
        assert!(got.head.starts_with("HTTP/1.0 200 "), "{}", got.head);
        assert_eq!(got.text(), "ok");
        assert_eq!(got.header("connection"), keeps.then_some("keep-alive"));
        if keeps {
            wire.write(request.as_bytes()).await;
            assert_eq!(wire.answer().await.text(), "ok");
        } else {
            assert!(wire.rest().await.is_empty(), "closed");
        }
        // A length that is not known ends with the connection: there are no chunks in HTTP/1.0.
        app.backend.next(Script::Bytes(chunked.as_bytes().to_vec()));
        let mut wire = app.connect().await;
        wire.write(request.as_bytes()).await;
        let got = wire.answer().await;
        assert_eq!(got.header("transfer-encoding"), None);
        assert_eq!(got.text(), "abcde");
        assert!(wire.rest().await.is_empty(), "closed");
    }
    let first = &app.backend.received()[0];
    assert!(
        first.head.starts_with("GET /a HTTP/1.1\r\n"),
        "{}",
        first.head
    );
    assert_eq!(first.header("host"), Some(""));
    assert_eq!(first.header("via"), Some("1.0 formgate"));
}

#[tokio::test]
async fn an_old_backends_answer_ends_with_its_connection() {
    let app = app(NO_FORM).await;
    for head in [
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n",
    ] {
        app.backend
            .next(Script::Last([head, "until the end"].concat().into_bytes()));
        let mut wire = app.connect().await;
        wire.write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let got = wire.answer().await;
        assert!(got.head.starts_with("HTTP/1.1 200 "), "{}", got.head);
        assert_eq!(got.text(), "until the end");
        assert!(got.whole);
        // The person's connection goes on.
        wire.write(b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(wire.answer().await.text(), "ok");
    }
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let app = app(NO_FORM).await;
    app.backend.always(Script::Bytes(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 17\r\n\r\n".to_vec(),
    ));
    let request = "POST /a HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: X-Check, Content-Length\r\n\
                   Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-Check: 99\r\nContent-Length: 3\r\n\r\n";
    let got = app.send(request).await;
    let trailers = |all: &[(String, String)]| -> Vec<String> {
        all.iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect()
    };
    assert_eq!(trailers(&got.trailers), ["x-sum: 17"]);
    let sent = app.backend.only();
    assert_eq!(sent.text(), "body");
    assert_eq!(
        trailers(&sent.trailers),
        ["x-check: 99"],
        "none that frames the message"
    );
    // Who does not take trailers gets none.
    let got = app.get("/a").send().await;
    assert_eq!((got.text().as_str(), got.trailers.len()), ("ok", 0));
}

#[tokio::test]
async fn events_come_as_they_are_sent() {
    let app = app(NO_FORM).await;
    let (release, script) = Release::script();
    app.backend.always(script);
    let mut wire = app.connect().await;
    wire.write(b"GET /events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n")
        .await;
    release.write(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    let head = wire
        .until("\r\n\r\n")
        .await
        .expect("the head, before any event");
    assert!(String::from_utf8_lossy(&head).contains("text/event-stream"));
    for number in 0..5 {
        let event = format!("data: {number}\n\n");
        release.write(format!("{:x}\r\n{event}\r\n", event.len()));
        // The next one is written only when this one has come.
        wire.until(&event).await.expect("the event");
    }
    drop(release);
    while wire.more().await {}
    let left = String::from_utf8_lossy(&wire.ahead).into_owned();
    assert!(
        !left.contains("0\r\n\r\n"),
        "half an answer must not look whole: {left:?}"
    );
}

#[tokio::test]
async fn an_upload_streams_while_it_is_answered() {
    // The backend answers each piece before the next one is sent: nothing is gathered on the way.
    let backend = Peer::raw(|mut wire| async move {
        wire.until("\r\n\r\n").await.expect("a head");
        wire.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        for _ in 0..5 {
            let line = wire.until("\r\n").await.expect("a chunk");
            let piece = wire.until("\r\n").await.expect("a chunk");
            wire.write(&[line, piece].concat()).await;
        }
        wire.write(b"0\r\n\r\n").await;
        while wire.more().await {}
    })
    .await;
    let app = site().start_with(backend, Peer::start().await).await;
    let mut wire = app.connect().await;
    wire.write(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    wire.until("\r\n\r\n")
        .await
        .expect("an answer before the body is complete");
    for number in 0..5 {
        let piece = format!("piece {number}");
        wire.write(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes())
            .await;
        wire.until(&piece).await.expect("its echo");
    }
    wire.write(b"0\r\n\r\n").await;
    wire.until("0\r\n\r\n").await.expect("the end");
}

/// Writes until nothing more is taken for a while; how much was.
async fn write_until_stuck(wire: &mut Wire, most: usize) -> usize {
    let block = vec![b'x'; 64 << 10];
    let mut written = 0;
    while written < most {
        match tokio::time::timeout(Duration::from_millis(500), wire.stream.write(&block)).await {
            Ok(Ok(more)) => written += more,
            Ok(Err(error)) => panic!("the connection ended: {error}"),
            Err(_) => break,
        }
    }
    written
}

/// What sockets, their buffers and the gateway may hold between two ends; far less than what is sent.
const HELD: usize = 24 << 20;
const SENT: usize = 200 << 20;

#[tokio::test]
async fn a_backend_that_does_not_read_stops_the_upload() {
    let (go, gone) = tokio::sync::watch::channel(false);
    let backend = Peer::raw(move |mut wire| {
        let mut gone = gone.clone();
        async move {
            wire.until("\r\n\r\n").await.expect("a head");
            let _ = gone.wait_for(|go| *go).await;
            let mut read = wire.ahead.len();
            let mut buffer = vec![0; 256 << 10];
            while read < SENT {
                match wire.stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => return,
                    Ok(more) => read += more,
                }
            }
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{read}",
                read.to_string().len()
            );
            wire.write(answer.as_bytes()).await;
            while wire.more().await {}
        }
    })
    .await;
    let app = site().start_with(backend, Peer::start().await).await;
    let mut wire = app.connect().await;
    let head = format!("PUT /large HTTP/1.1\r\nHost: a\r\nContent-Length: {SENT}\r\n\r\n");
    wire.write(head.as_bytes()).await;
    let written = write_until_stuck(&mut wire, SENT).await;
    assert!(written < HELD, "{written} bytes were taken from the person");
    go.send_replace(true);
    let block = vec![b'x'; 256 << 10];
    let mut left = SENT - written;
    while left > 0 {
        let next = left.min(block.len());
        wire.write(&block[..next]).await;
        left -= next;
    }
    assert_eq!(wire.answer().await.text(), SENT.to_string());
}

#[tokio::test]
async fn a_person_who_does_not_read_stops_the_download() {
    let written = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&written);
    let (stuck, mut is_stuck) = tokio::sync::watch::channel(false);
    let backend = Peer::raw(move |mut wire| {
        let (seen, stuck) = (Arc::clone(&seen), stuck.clone());
        async move {
            wire.until("\r\n\r\n").await.expect("a head");
            wire.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {SENT}\r\n\r\n").as_bytes())
                .await;
            let first = write_until_stuck(&mut wire, SENT).await;
            *seen.lock().expect("no panic") = first;
            stuck.send_replace(true);
            let block = vec![b'x'; 256 << 10];
            let mut left = SENT - first;
            while left > 0 {
                let next = left.min(block.len());
                wire.write(&block[..next]).await;
                left -= next;
            }
            while wire.more().await {}
        }
    })
    .await;
    let app = site().start_with(backend, Peer::start().await).await;
    let mut wire = app.connect().await;
    wire.write(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await;
    within(
        "the backend to get stuck",
        is_stuck.wait_for(|stuck| *stuck),
    )
    .await
    .expect("a backend");
    let held = *written.lock().expect("no panic");
    assert!(held < HELD, "{held} bytes were taken from the backend");
    wire.until("\r\n\r\n").await.expect("a head");
    let mut read = wire.ahead.len();
    let mut buffer = vec![0; 256 << 10];
    while read < SENT {
        let more = within("the rest", wire.stream.read(&mut buffer))
            .await
            .expect("more");
        assert!(more > 0, "half an answer");
        read += more;
    }
    assert_eq!(read, SENT);
}

#[tokio::test]
async fn connections_to_the_backend_are_used_again_after_errors() {
    let app = app(NO_FORM).await;
    let get = |app: &App| app.get("/a").send();
    assert_eq!(get(&app).await.status, 200);
    app.backend
        .next(Script::json(500, &serde_json::json!({"error": true})));
    assert_eq!(get(&app).await.status, 500);
    assert_eq!(get(&app).await.status, 200);
    assert_eq!(app.backend.connections(), 1, "an error answer is an answer");
    app.backend.next(Script::Reset);
    assert_eq!(get(&app).await.status, 502);
    assert_eq!(get(&app).await.status, 200);
    assert_eq!(app.backend.connections(), 2, "a broken one is replaced");
    assert_eq!(get(&app).await.status, 200);
    assert_eq!(app.backend.connections(), 2, "and the new one kept");
}

#[tokio::test]
async fn an_answer_that_was_not_read_to_its_end_is_not_mixed_with_the_next() {
    let app = app(NO_FORM).await;
    let long = "x".repeat(4 << 20);
    app.backend.next(Script::page(200, &long));
    let mut wire = app.connect().await;
    wire.write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
    wire.until("\r\n\r\n").await.expect("a head");
    drop(wire);
    for _ in 0..3 {
        assert_eq!(app.get("/b").send().await.text(), "ok");
    }
}

#[tokio::test]
async fn header_case_is_kept_where_it_is_asked_for() {
    let site = site().configure(|config| {
        config.limits.header_case = true;
        config.backend_pool.header_case = true;
    });
    let app = site.start().await;
    app.backend
        .always(Script::answer(200, "X-MiXed: b\r\n", "ok"));
    let got = app.get("/a").header("X-ODD-Case", "a").send().await;
    assert!(got.head.contains("\r\nX-MiXed: b\r\n"), "{}", got.head);
    let sent = app.backend.only();
    assert!(sent.head.contains("\r\nX-ODD-Case: a\r\n"), "{}", sent.head);
}

#[tokio::test]
async fn a_busy_connection_grows_old_so_that_a_backend_that_moved_is_found() {
    let site = site().configure(|config| {
        config.backend_pool.age = Duration::from_secs(60);
        config.backend_pool.idle = Duration::from_secs(600);
    });
    let app = site.start().await;
    for connections in [1, 1, 2] {
        assert_eq!(app.get("/a").send().await.status, 200);
        assert_eq!(app.backend.connections(), connections);
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(31)).await;
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_post_does_not_go_over_a_connection_that_the_backend_may_be_closing() {
    let app = app(NO_FORM).await;
    assert_eq!(app.get("/a").send().await.status, 200);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(2)).await;
    tokio::time::resume();
    assert_eq!(app.ask("POST", "/b").send().await.status, 200);
    assert_eq!(app.backend.connections(), 2, "a new one for the post");
    assert_eq!(app.ask("POST", "/b").send().await.status, 200);
    assert_eq!(app.backend.connections(), 2, "a fresh one is good enough");
    let received = app.backend.received();
    assert_eq!(
        (
            received.len(),
            received[1].connection,
            received[2].connection
        ),
        (3, 1, 1)
    );
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_closed_without_another_request() {
    let app = app(NO_FORM).await;
    assert_eq!(app.get("/a").send().await.status, 200);
    tokio::time::pause();
    for _ in 0..3 {
        tokio::time::advance(Duration::from_secs(8)).await;
    }
    tokio::time::resume();
    app.backend.wait_until_left().await;
}

#[tokio::test]
async fn a_connection_that_died_while_it_was_idle_is_noticed() {
    let backend = Peer::raw(|mut wire| async move {
        // One request for each connection, without saying so.
        if receive(&mut wire, 0).await.is_some() {
            wire.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await;
        }
    })
    .await;
    let app = site().start_with(backend, Peer::start().await).await;
    for number in 0..20 {
        let ask = if number % 2 == 0 {
            app.get("/a")
        } else {
            app.post("/b").form("a=b")
        };
        let got = ask.send().await;
        app.backend.wait_until_left().await;
        assert_eq!((got.status, got.text().as_str()), (200, "ok"));
    }
    assert_eq!(app.backend.connections(), 20);
}
