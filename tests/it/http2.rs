//! HTTP/2: everything that holds for HTTP/1 holds here, and what only HTTP/2 can do wrong is refused.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::net::TcpStream;

use crate::support::App;
use crate::support::Site;
use crate::support::app;
use crate::support::client::Wire;
use crate::support::h2c;
use crate::support::h2c::DATA;
use crate::support::h2c::END_HEADERS;
use crate::support::h2c::END_STREAM;
use crate::support::h2c::GOAWAY;
use crate::support::h2c::HEADERS;
use crate::support::h2c::PREFACE;
use crate::support::h2c::RESET;
use crate::support::h2c::SETTINGS;
use crate::support::h2c::frame;
use crate::support::h2c::got;
use crate::support::h2c::literal;
use crate::support::h2c::next_frame;
use crate::support::h2c::request;
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

fn hasty() -> Site {
    site().rules("contact", CONTACT).configure(|config| {
        config.limits.header_timeout = SHORT;
        config.limits.idle = SHORT;
        config.limits.body_pause = SHORT;
    })
}

fn form(path: &str) -> http::request::Builder {
    request("POST", path).header("content-type", "application/x-www-form-urlencoded")
}

#[tokio::test]
async fn requests_pass_and_forms_are_asked_about() {
    let app = app(CONTACT).await;
    app.hooks.reply(&json!({"jdoc": {"city": "Bern"}}));
    let mut client = h2c::connect(app.address).await;
    app.backend.next(Script::answer(
        201,
        "set-cookie: a=b\r\nset-cookie: c=d\r\nconnection: x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\n",
        "made",
    ));
    let got = client
        .ask(
            request("GET", "/a?b=c")
                .header("x-odd", "1")
                .header("x_odd", "2")
                .header("te", "trailers"),
        )
        .await;
    assert_eq!((got.status, got.text().as_str()), (201, "made"));
    assert_eq!(got.headers.get_all("set-cookie").iter().count(), 2);
    assert!(!got.headers.contains_key("x-hop") && !got.headers.contains_key("keep-alive"));
    let got = client
        .ask_with(form("/contact"), "name=Ana&city=bern")
        .await;
    assert_eq!(got.status, 200);
    let received = app.backend.received();
    assert!(
        received[0].head.starts_with("GET /a?b=c HTTP/1.1\r\n"),
        "{}",
        received[0].head
    );
    assert_eq!(received[0].header("host"), Some("forms.example.org"));
    assert_eq!(received[0].header("via"), Some("2.0 formgate"));
    assert_eq!(received[0].header("x-odd"), Some("1"));
    assert_eq!(received[0].header("x_odd"), None);
    assert_eq!(received[1].text(), "name=Ana&city=Bern");
    assert_eq!(app.hooks.count(), 1);
}

#[tokio::test]
async fn a_cookie_that_came_in_pieces_is_one_again() {
    let app = app(CONTACT).await;
    let mut client = h2c::connect(app.address).await;
    let ask = request("GET", "/a")
        .header("cookie", "a=b")
        .header("cookie", "c=d")
        .header("cookie", "e=f");
    client.ask(ask).await;
    assert_eq!(app.backend.only().headers_of("cookie"), ["a=b; c=d; e=f"]);
}

#[tokio::test]
async fn heads_and_empty_answers_are_answered() {
    let app = app(CONTACT).await;
    let mut client = h2c::connect(app.address).await;
    app.backend.next(Script::Bytes(
        b"HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n".to_vec(),
    ));
    let got = client.ask(request("HEAD", "/a")).await;
    assert!(got.body.is_empty());
    assert_eq!(got.headers["content-length"], "1234");
    for own in ["/_formgate/formgate.css", "/contact"] {
        let got = client.ask(request("HEAD", own)).await;
        assert!(got.body.is_empty(), "{own}: {}", got.text());
    }
    for answer in [
        "204 No Content\r\n\r\n",
        "304 Not Modified\r\netag: \"x\"\r\n\r\n",
    ] {
        app.backend
            .next(Script::Bytes(format!("HTTP/1.1 {answer}").into_bytes()));
        let got = client.ask(request("GET", "/a")).await;
        assert_eq!(got.status.to_string(), answer[..3]);
        assert!(got.body.is_empty());
    }
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let app = app(CONTACT).await;
    app.backend.always(Script::Bytes(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 17\r\n\r\n"
            .to_vec(),
    ));
    let mut client = h2c::connect(app.address).await;
    let ask = request("POST", "/a")
        .header("te", "trailers")
        .header("trailer", "x-check");
    let (answer, mut upload) = client.begin(ask, false).await;
    upload
        .send_data(Bytes::from_static(b"body"), false)
        .expect("a stream");
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-check", http::HeaderValue::from_static("99"));
    upload.send_trailers(trailers).expect("a stream");
    let got = got(answer).await.expect("an answer");
    assert_eq!(got.text(), "ok");
    assert_eq!(got.trailers.expect("trailers")["x-sum"], "17");
    let sent = app.backend.only();
    assert_eq!(sent.text(), "body");
    assert_eq!(sent.trailers, [("x-check".to_owned(), "99".to_owned())]);
}

#[tokio::test]
async fn many_requests_share_a_connection_at_once() {
    let app = app(CONTACT).await;
    app.hooks.reply(&json!({}));
    let mut client = h2c::connect(app.address).await;
    let mut answers = Vec::new();
    for number in 0..100 {
        let (answer, mut upload) = client.begin(form("/contact"), false).await;
        upload
            .send_data(Bytes::from(format!("n={number}")), true)
            .expect("a stream");
        answers.push(answer);
    }
    for answer in answers {
        assert_eq!(got(answer).await.expect("an answer").status, 200);
    }
    let mut bodies: Vec<String> = app
        .backend
        .received()
        .iter()
        .map(|one| one.text())
        .collect();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 100);
}

#[tokio::test]
async fn limits_are_named() {
    let site = site().rules("contact", CONTACT).configure(|config| {
        config.limits.headers = 10;
        config.limits.header_size = 4000;
        config.intake.body = 1000;
    });
    let app = site.start().await;
    let mut client = h2c::connect(app.address).await;
    let many = |count| (0..count).fold(request("GET", "/a"), |ask, _| ask.header("x-y", "z"));
    let got = client.ask(many(11)).await;
    assert_eq!(got.status, 431);
    assert_eq!(got.json()["limit"], "limits.headers");
    assert_eq!(app.backend.count(), 0);
    assert_eq!(client.ask(many(9)).await.status, 200);
    let got = client
        .ask(request("GET", "/a").header("x", "y".repeat(6000)))
        .await;
    assert_eq!(got.status, 431);
    // Announced, and found out while it comes.
    let got = client
        .ask_with(
            form("/contact").header("content-length", "2000"),
            "a".repeat(2000),
        )
        .await;
    assert_eq!(
        (got.status, got.json()["limit"].as_str()),
        (413, Some("limits.body"))
    );
    let got = client.ask_with(form("/contact"), "a".repeat(2000)).await;
    assert_eq!(
        (got.status, got.json()["limit"].as_str()),
        (413, Some("limits.body"))
    );
    assert_eq!((app.backend.count(), app.hooks.count()), (1, 0));
}

#[tokio::test]
async fn refused_uploads_do_not_use_up_the_connection() {
    let site = site()
        .rules("contact", CONTACT)
        .configure(|config| config.intake.body = 1000);
    let app = site.start().await;
    app.hooks.reply(&json!({}));
    let mut client = h2c::connect(app.address).await;
    // Far more than what may be on its way at once.
    let large = Bytes::from(vec![b'x'; 4 << 20]);
    for _ in 0..5 {
        let (answer, mut upload) = client.begin(form("/contact"), false).await;
        upload.send_data(large.clone(), true).expect("a stream");
        let got = got(answer)
            .await
            .expect("an answer, although not all was taken");
        assert_eq!(got.status, 413);
    }
    assert_eq!(client.ask_with(form("/contact"), "a=b").await.status, 200);
    let got = client
        .ask_with(request("PUT", "/other"), large.clone())
        .await;
    assert_eq!(got.status, 200);
    assert!(app.backend.received()[1].body == large);
    assert_eq!(app.hooks.count(), 1);
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// An answer; 200 and 400 are told apart from all others, which are 0.
    Answer(u16),
    /// The stream was reset.
    Reset,
    /// The connection was ended.
    Ended,
}

/// Sends bare frames on a connection of their own.
async fn fate(app: &App, frames: &[Vec<u8>]) -> Fate {
    let mut wire = app.connect().await;
    let begin = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    wire.write(&[begin, frames.concat()].concat()).await;
    loop {
        match next_frame(&mut wire).await {
            None | Some((GOAWAY, ..)) => return Fate::Ended,
            Some((RESET, ..)) => return Fate::Reset,
            Some((HEADERS, _, _, payload)) => {
                return Fate::Answer(match payload.first() {
                    Some(0x88) => 200,
                    Some(0x8c) => 400,
                    _ => 0,
                });
            }
            Some(_) => {}
        }
    }
}

const GET: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/a"),
    (":authority", "a"),
];

#[tokio::test]
async fn legal_but_odd_heads_pass() {
    let app = app(CONTACT).await;
    let whole = END_STREAM | END_HEADERS;
    let unnamed = [(":method", "GET"), (":scheme", "http"), (":path", "/a")];
    let asterisk = [
        (":method", "OPTIONS"),
        (":scheme", "http"),
        (":path", "*"),
        (":authority", "a"),
    ];
    let heads: Vec<Vec<(&str, &str)>> = vec![
        GET.to_vec(),
        [&unnamed[..], &[("host", "a")]].concat(),
        [&GET[..], &[("host", "A")]].concat(),
        [&GET[..], &[("te", "trailers")]].concat(),
        [&GET[..], &[("content-length", "0")]].concat(),
        [&GET[..], &[("x", ""), ("x", "y\tz"), ("x-9", "\u{e9}")]].concat(),
        asterisk.to_vec(),
    ];
    for (number, head) in heads.iter().enumerate() {
        let fate = fate(&app, &[frame(HEADERS, whole, 1, &literal(head))]).await;
        assert_eq!(fate, Fate::Answer(200), "{head:?}");
        let received = app.backend.received();
        assert_eq!(received.len(), number + 1, "{head:?}");
        let host = received[number].header("host").map(str::to_ascii_lowercase);
        assert_eq!(host.as_deref(), Some("a"), "{head:?}");
    }
}

/// Heads that are malformed only over HTTP/2, or are refused over HTTP/1 as well.
fn malformed_heads() -> Vec<Vec<(&'static str, &'static str)>> {
    let mut shapes: Vec<Vec<(&str, &str)>> = Vec::new();
    for without in 0..3 {
        let mut head = GET.to_vec();
        head.remove(without);
        shapes.push(head);
    }
    for again in GET {
        shapes.push([GET.as_slice(), &[again]].concat());
    }
    for (name, value) in [
        (":path", ""),
        (":path", "a"),
        (":path", "*"),
        (":path", "http://a/"),
        (":path", "/a b"),
        (":path", "/a\r\nX: y"),
        (":path", "/\0"),
        (":path", "?a"),
        (":method", ""),
        (":method", "G T"),
        (":method", "GET / HTTP/1.1\r\nX:"),
        (":method", "CONNECT"),
        (":scheme", "ftp"),
        (":scheme", ""),
        (":scheme", "http://b/?"),
        (":authority", "u@a"),
        (":authority", "a/b"),
        (":authority", "a b"),
        (":authority", "a\r\nX: y"),
        (":authority", "a:b"),
        (":authority", "a,b"),
    ] {
        let mut head = GET.to_vec();
        for one in &mut head {
            if one.0 == name {
                one.1 = value;
            }
        }
        shapes.push(head);
    }
    for more in [
        ("host", "b"),
        (":status", "200"),
        (":protocol", "websocket"),
        (":odd", "x"),
        ("connection", "close"),
        ("connection", "x-private"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
        ("X-Upper", "y"),
        ("Host", "a"),
        ("x y", "z"),
        ("x:y", "z"),
        ("x\r\ny", "z"),
        ("", "z"),
        ("x", "y\r\nz: 1"),
        ("x", "y\nz"),
        ("x", "y\rz"),
        ("x", "y\0z"),
        ("content-length", "5"),
        ("content-length", "-1"),
        ("content-length", "a"),
        ("content-length", "0, 0"),
        ("content-length", "+0"),
    ] {
        shapes.push([GET.as_slice(), &[more]].concat());
    }
    shapes.push([GET.as_slice(), &[("x", "y"), (":path", "/b")]].concat());
    shapes.push([&[("x", "y")], GET.as_slice()].concat());
    shapes.push([GET.as_slice(), &[("host", "a"), ("host", "a")]].concat());
    shapes.push(
        [
            GET.as_slice(),
            &[("content-length", "0"), ("content-length", "5")],
        ]
        .concat(),
    );
    shapes.push(vec![(":method", "CONNECT"), (":authority", "a:443")]);
    shapes.push(vec![
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/a"),
    ]);
    shapes
}

#[tokio::test]
async fn heads_that_only_http2_can_get_wrong_are_refused() {
    let app = app(CONTACT).await;
    let whole = END_STREAM | END_HEADERS;
    assert_eq!(
        fate(&app, &[frame(HEADERS, whole, 1, &literal(&GET))]).await,
        Fate::Answer(200)
    );
    assert_eq!(app.backend.count(), 1);
    for head in &malformed_heads() {
        let fate = fate(&app, &[frame(HEADERS, whole, 1, &literal(head))]).await;
        assert!(
            matches!(fate, Fate::Answer(400) | Fate::Reset | Fate::Ended),
            "{head:?}: {fate:?}"
        );
        assert_eq!(app.backend.count(), 1, "{head:?} came to the backend");
    }
    assert_eq!(app.hooks.count(), 0);
}

#[tokio::test]
async fn bodies_that_are_not_as_long_as_announced_go_nowhere() {
    let app = app(CONTACT).await;
    for path in ["/contact", "/other"] {
        for (lengths, pieces) in [
            (&["5"][..], &["a=b"][..]),
            (&["5"], &["a=", "b"]),
            (&["5"], &[""]),
            (&["2"], &["a=b"]),
            (&["2"], &["a=", "b"]),
            (&["0"], &["a=b"]),
            (&["3", "5"], &["a=b"]),
            (&["5", "3"], &["a=b"]),
            (&["3", "3"], &["a=b"]),
            (&["3, 3"], &["a=b"]),
            (&["+3"], &["a=b"]),
            (&["x"], &["a=b"]),
        ] {
            let mut head = vec![
                (":method", "POST"),
                (":scheme", "http"),
                (":path", path),
                (":authority", "a"),
                ("content-type", "application/x-www-form-urlencoded"),
            ];
            head.extend(lengths.iter().map(|length| ("content-length", *length)));
            let mut frames = vec![frame(HEADERS, END_HEADERS, 1, &literal(&head))];
            for (number, piece) in pieces.iter().enumerate() {
                let last = number + 1 == pieces.len();
                frames.push(frame(DATA, u8::from(last), 1, piece.as_bytes()));
            }
            let fate = fate(&app, &frames).await;
            assert!(
                matches!(fate, Fate::Answer(400) | Fate::Reset | Fate::Ended),
                "{path} {lengths:?} {pieces:?}: {fate:?}"
            );
        }
    }
    // A good one arrives, and nothing before it.
    app.hooks.reply(&json!({}));
    let mut client = h2c::connect(app.address).await;
    assert_eq!(
        client
            .ask_with(form("/contact").header("content-length", "3"), "a=b")
            .await
            .status,
        200
    );
    assert_eq!((app.backend.count(), app.hooks.count()), (1, 1));
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_closed() {
    let app = hasty().start().await;
    let settings = frame(SETTINGS, 0, 0, &[]);
    let open = frame(HEADERS, 0, 1, &literal(&GET)); // and no end of it
    for begun in [
        PREFACE.to_vec(),
        [PREFACE, &settings].concat(),
        [PREFACE, &settings, &open].concat(),
        [PREFACE, &settings[..5]].concat(),
    ] {
        let mut wire = app.connect().await;
        wire.write(&begun).await;
        while next_frame(&mut wire).await.is_some() {}
    }
    assert_eq!(app.backend.count(), 0);
    // After a request, too.
    let mut client = h2c::connect(app.address).await;
    assert_eq!(client.ask(request("GET", "/a")).await.status, 200);
    client.until_closed().await;
}

#[tokio::test]
async fn a_body_that_stops_coming_is_answered_408() {
    let app = hasty().start().await;
    let mut client = h2c::connect(app.address).await;
    for path in ["/contact", "/other"] {
        let (answer, mut upload) = client
            .begin(form(path).header("content-length", "100"), false)
            .await;
        upload
            .send_data(Bytes::from_static(b"a=b"), false)
            .expect("a stream");
        let got = got(answer).await.expect("an answer");
        assert_eq!(got.status, 408, "{path}: {}", got.text());
        assert_eq!(got.json()["limit"], "limits.body_pause", "{path}");
    }
    assert_eq!((app.backend.count(), app.hooks.count()), (0, 0));
}

#[tokio::test]
async fn a_body_that_drips_is_answered_408() {
    let site = hasty().configure(|config| {
        config.limits.body_rate = 5000;
        // So that a busy machine makes no pause that is too long.
        config.limits.body_pause = 2 * SHORT;
    });
    let app = site.start().await;
    let mut client = h2c::connect(app.address).await;
    for path in ["/contact", "/other"] {
        let (answer, mut upload) = client.begin(form(path), false).await;
        let mut answer = std::pin::pin!(got(answer));
        let drip = async {
            loop {
                if let Ok(got) = tokio::time::timeout(SHORT / 30, answer.as_mut()).await {
                    return got;
                }
                // Once the stream is reset, nothing more can be sent, and an answer has come.
                let _ = upload.send_data(Bytes::from_static(b"b"), false);
            }
        };
        let got = within("an answer to a drip", drip).await;
        let got = got.expect("an answer");
        assert_eq!(got.status, 408, "{path}: {}", got.text());
        assert_eq!(got.json()["limit"], "limits.body_rate", "{path}");
    }
    // The others on the connection are not affected.
    assert_eq!(client.ask(request("GET", "/a")).await.status, 200);
    assert_eq!((app.backend.count(), app.hooks.count()), (1, 0));
}

/// A client that takes no byte of any body.
async fn unwilling(app: &App) -> h2c::Client {
    let stream = TcpStream::connect(app.address).await.expect("a connection");
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(0);
    h2c::speak(stream, &builder).await
}

#[tokio::test]
async fn answers_that_nobody_reads_do_not_hold_their_connections() {
    let app = hasty()
        .configure(|config| config.limits.connections = 1)
        .start()
        .await;
    for size in [10, 60_000, 8 << 20] {
        app.backend.always(Script::page(200, &"x".repeat(size)));
        let mut client = unwilling(&app).await;
        let mut answers = Vec::new();
        for _ in 0..3 {
            let (answer, _) = client.begin(request("GET", "/a"), true).await;
            answers.push(within("a head", answer).await.expect("an answer"));
        }
        // Its own pings are answered all the time, so the connection is alive; only nothing is read.
        within("the end of the connection", client.ended)
            .await
            .expect("no panic")
            .ok();
        drop(answers);
    }
    app.backend.always(Script::page(200, "ok"));
    assert_eq!(
        app.get("/a").send().await.status,
        200,
        "the place is free again"
    );
}

#[tokio::test]
async fn one_answer_that_nobody_reads_does_not_spoil_the_others() {
    let app = hasty().start().await;
    app.backend
        .at("/large", Script::page(200, &"x".repeat(8 << 20)));
    let (pieces, come) = tokio::sync::mpsc::unbounded_channel::<&'static str>();
    let come = std::sync::Arc::new(tokio::sync::Mutex::new(come));
    app.backend.at(
        "/events",
        Script::custom(move |_, mut wire| {
            let come = std::sync::Arc::clone(&come);
            async move {
                wire.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                    .await;
                while let Some(piece) = come.lock().await.recv().await {
                    wire.write(piece.as_bytes()).await;
                }
            }
        }),
    );
    let stream = TcpStream::connect(app.address).await.expect("a connection");
    let mut builder = h2::client::Builder::new();
    builder.initial_connection_window_size(32 << 20);
    let mut client = h2c::speak(stream, &builder).await;
    let (events, _) = client.begin(request("GET", "/events"), true).await;
    let mut events = within("a head", events)
        .await
        .expect("an answer")
        .into_body();
    let (unread, _) = client.begin(request("GET", "/large"), true).await;
    let unread = within("a head", unread).await.expect("an answer");
    // The events go on, each one faster than the limit, for longer than the limit.
    for _ in 0..10 {
        pieces.send("2\r\n!\n\r\n").expect("a backend");
        let data = within("an event", events.data())
            .await
            .expect("an event")
            .expect("a stream");
        assert_eq!(&data[..], b"!\n");
        tokio::time::sleep(SHORT / 5).await;
    }
    pieces.send("0\r\n\r\n").expect("a backend");
    let (rest, _) = h2c::read(events).await.expect("the end of the events");
    assert!(rest.is_empty());
    drop(unread);
    client.until_closed().await;
}

#[tokio::test]
async fn a_person_who_does_not_read_stops_the_download() {
    let site = site().rules("contact", CONTACT);
    let app = site.start().await;
    const SENT: usize = 100 << 20;
    let (written, mut seen) = tokio::sync::watch::channel(0);
    app.backend.always(Script::custom(move |_, mut wire| {
        use tokio::io::AsyncWriteExt;
        let written = written.clone();
        async move {
            wire.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {SENT}\r\n\r\n").as_bytes())
                .await;
            let block = vec![b'x'; 64 << 10];
            let mut count = 0;
            while count < SENT {
                let write = wire.stream.write(&block);
                match tokio::time::timeout(Duration::from_millis(500), write).await {
                    Ok(Ok(more)) => count += more,
                    _ => break,
                }
            }
            written.send_replace(count);
        }
    }));
    let mut client = unwilling(&app).await;
    let (answer, _) = client.begin(request("GET", "/large"), true).await;
    let _answer = within("a head", answer).await.expect("an answer");
    let count = *within(
        "the backend to get stuck",
        seen.wait_for(|count| *count > 0),
    )
    .await
    .expect("a backend");
    assert!(
        count < 24 << 20,
        "{count} bytes were taken from the backend"
    );
}

#[tokio::test]
async fn requests_that_are_given_up_one_after_the_other_end_the_connection() {
    let app = app(CONTACT).await;
    app.backend.always(Script::Hang);
    let mut wire = app.connect().await;
    wire.write(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat())
        .await;
    let mut sent = 0;
    // Each is taken, passed on and given up; the gateway must not go along with it for ever.
    let flood = async {
        for number in 0..20_000_u32 {
            let stream = 2 * number + 1;
            let head = frame(HEADERS, END_STREAM | END_HEADERS, stream, &literal(&GET));
            let reset = frame(RESET, 0, stream, &8_u32.to_be_bytes());
            use tokio::io::AsyncWriteExt;
            if wire.stream.write_all(&head).await.is_err() {
                return;
            }
            // So that it is really under way before it is given up.
            if number % 10 == 0 {
                tokio::task::yield_now().await;
            }
            if wire.stream.write_all(&reset).await.is_err() {
                return;
            }
            sent = number + 1;
        }
    };
    within("the end of the connection", flood).await;
    while next_frame(&mut wire).await.is_some() {}
    assert!(
        app.backend.count() < 500,
        "{} requests of {sent}",
        app.backend.count()
    );
    assert_eq!(
        h2c::connect(app.address)
            .await
            .ask(request("GET", "/_formgate/formgate.css"))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn people_who_leave_pages_are_no_flood() {
    let app = app(CONTACT).await;
    app.backend.at("/slow", Script::Hang);
    let mut client = h2c::connect(app.address).await;
    for number in 0..120 {
        let (answer, mut upload) = client.begin(request("GET", "/slow"), true).await;
        app.backend.wait_for(number + 1).await;
        drop(answer);
        upload.send_reset(h2::Reason::CANCEL);
    }
    assert_eq!(client.ask(request("GET", "/a")).await.status, 200);
}

#[tokio::test]
async fn a_submission_is_carried_to_its_end_when_its_stream_or_connection_goes() {
    for whole_connection in [false, true] {
        let app = app(CONTACT).await;
        let (go, gone) = tokio::sync::watch::channel(false);
        app.hooks.always(Script::custom(move |_, mut wire| {
            let mut gone = gone.clone();
            async move {
                let _ = gone.wait_for(|go| *go).await;
                wire.write(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            }
        }));
        let mut client = h2c::connect(app.address).await;
        let (answer, mut upload) = client.begin(form("/contact"), false).await;
        upload
            .send_data(Bytes::from_static(b"a=b"), true)
            .expect("a stream");
        app.hooks.wait_for(1).await;
        if whole_connection {
            client.ended.abort();
        } else {
            upload.send_reset(h2::Reason::CANCEL);
            // Answered after the reset has been read.
            assert_eq!(
                client
                    .ask(request("GET", "/_formgate/formgate.css"))
                    .await
                    .status,
                200
            );
        }
        drop(answer);
        go.send_replace(true);
        let received = app.backend.wait_for(1).await;
        assert_eq!(received[0].text(), "a=b");
        assert!(app.end().await);
    }
}

#[tokio::test]
async fn a_submission_that_broke_off_goes_nowhere() {
    let app = app(CONTACT).await;
    let mut client = h2c::connect(app.address).await;
    for path in ["/contact", "/other"] {
        let (answer, mut upload) = client.begin(form(path), false).await;
        upload
            .send_data(Bytes::from_static(b"a=b"), false)
            .expect("a stream");
        upload.send_reset(h2::Reason::CANCEL);
        assert!(got(answer).await.is_err());
    }
    app.hooks.reply(&json!({}));
    assert_eq!(client.ask_with(form("/contact"), "c=d").await.status, 200);
    assert_eq!(
        (app.backend.only().text().as_str(), app.hooks.count()),
        ("c=d", 1)
    );
}

#[tokio::test]
async fn streams_that_were_taken_are_answered_when_the_gateway_ends() {
    let app = app(CONTACT).await;
    let (go, gone) = tokio::sync::watch::channel(false);
    app.backend.always(Script::custom(move |_, mut wire| {
        let mut gone = gone.clone();
        async move {
            let _ = gone.wait_for(|go| *go).await;
            wire.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await;
        }
    }));
    let mut client = h2c::connect(app.address).await;
    let mut answers = Vec::new();
    for _ in 0..10 {
        answers.push(client.begin(request("GET", "/a"), true).await.0);
    }
    app.backend.wait_for(10).await;
    let mut second = Wire::connect(app.address).await;
    second
        .write(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat())
        .await;
    let (kind, ..) = next_frame(&mut second).await.expect("a greeting");
    assert_eq!(kind, SETTINGS);
    app.stop.now();
    loop {
        let (kind, ..) = next_frame(&mut second)
            .await
            .expect("a word before the end");
        if kind == GOAWAY {
            break;
        }
    }
    go.send_replace(true);
    for answer in answers {
        assert_eq!(got(answer).await.expect("an answer").text(), "ok");
    }
    client.until_closed().await;
    drop(second);
    assert!(app.end().await, "everything was finished");
}
