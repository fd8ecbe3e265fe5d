//! Backends that refuse, reset, hang, answer half or nonsense: the person is told what is known about the submission,
//! and nothing is delivered twice.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use formgate::config::Config;
use formgate::model::origin::Origin;
use formgate::wire::body::Outgoing;
use formgate::wire::pool;
use formgate::wire::pool::Pool;
use http::HeaderValue;
use http::Request;
use http::header;
use serde_json::Value;
use serde_json::json;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;

use crate::support::App;
use crate::support::PATIENCE;
use crate::support::Site;
use crate::support::client::Answer;
use crate::support::peer::Peer;
use crate::support::peer::Script;
use crate::support::peer::receive;
use crate::support::site;

const CONTACT: &str = r#"
[form]
submit = "POST /contact"

[[hook]]
on = "preprocess"
url = "HOOK/check"
"#;

const NOTHING: &str = "Nothing was submitted.";
const MAYBE: &str = "It is not known whether the form was submitted.";
const SAVED: &str = "The form was submitted.";

fn hasty() -> Site {
    site().rules("contact", CONTACT).configure(|config| {
        config.backend_pool.response = Duration::from_millis(300);
        config.backend_connect = Duration::from_millis(300);
    })
}

async fn start() -> App {
    let app = hasty().start().await;
    app.hooks.reply(&json!({}));
    app
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

/// What the person is told, as a script and on a page.
fn told(answer: &Answer, page: &Answer, status: u16, submitted: &Value, sentence: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    let json = answer.json();
    assert_eq!(json["outcome"], "backend_failed", "{json}");
    assert_eq!(&json["submitted"], submitted, "{json}");
    assert_eq!(page.status, status);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(page.text().contains(sentence), "{}", page.text());
    for text in [answer.text(), page.text()] {
        assert!(
            !text.contains("127.0.0.1"),
            "no address of the inside: {text}"
        );
    }
}

/// The name of the limit that was passed, if any, is in the answer and in all lines of the log.
fn limited(app: &App, answer: &Answer, limit: Option<&str>) {
    assert_eq!(answer.json()["limit"].as_str(), limit);
    let lines = app.log.of("formgate::flow");
    assert!(!lines.is_empty());
    for line in lines {
        assert_eq!(line.get("limit").and_then(Value::as_str), limit, "{line:?}");
    }
}

#[tokio::test]
async fn the_person_is_told_what_is_known() {
    let half = "HTTP/1.1 201 Created\r\ncontent-length: 10\r\n\r\nhalf";
    let refused = "HTTP/1.1 409 Conflict\r\ncontent-length: 10\r\n\r\nhalf";
    let failed = "HTTP/1.1 500 Oops\r\ncontent-length: 10\r\n\r\nhalf";
    let large = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(100_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(101));
    let unknown = Value::Null;
    for (script, status, submitted, sentence) in [
        (Script::Reset, 502, &unknown, MAYBE),
        (Script::Last(Vec::new()), 502, &unknown, MAYBE),
        (Script::Hang, 504, &unknown, MAYBE),
        (Script::Stall(bytes("HTTP/1.1 20")), 504, &unknown, MAYBE),
        (
            Script::Last(bytes("HTTP/1.1 200 OK\r\nx: y")),
            502,
            &unknown,
            MAYBE,
        ),
        (Script::Last(bytes("garbage\r\n\r\n")), 502, &unknown, MAYBE),
        (
            Script::Bytes(bytes("\0\u{1}\u{2}\r\n\r\n")),
            502,
            &unknown,
            MAYBE,
        ),
        (
            Script::Bytes(bytes("HTTP/2 200 OK\r\n\r\n")),
            502,
            &unknown,
            MAYBE,
        ),
        (
            Script::Bytes(bytes("HTTP/1.1 20 OK\r\n\r\n")),
            502,
            &unknown,
            MAYBE,
        ),
        (
            Script::Bytes(bytes("HTTP/1.1 200 OK\r\nx y\r\n\r\n")),
            502,
            &unknown,
            MAYBE,
        ),
        (
            Script::Bytes(bytes("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n")),
            502,
            &unknown,
            MAYBE,
        ),
        (
            Script::Bytes(bytes(
                "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
            )),
            502,
            &unknown,
            MAYBE,
        ),
        (Script::Bytes(bytes(&large)), 502, &unknown, MAYBE),
        (Script::Bytes(bytes(&many)), 502, &unknown, MAYBE),
        (
            Script::Bytes(bytes(
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
            )),
            502,
            &unknown,
            MAYBE,
        ),
        (Script::Last(bytes(half)), 502, &json!(true), SAVED),
        (Script::Stall(bytes(half)), 502, &json!(true), SAVED),
        (Script::Last(bytes(refused)), 502, &json!(false), NOTHING),
        (Script::Last(bytes(failed)), 502, &unknown, MAYBE),
    ] {
        let app = start().await;
        let hangs = matches!(script, Script::Hang | Script::Stall(_));
        let limit = hangs.then_some("backend_timeouts.response");
        app.backend.always(script);
        let answer = app.post("/contact").form("a=b").send().await;
        let page = app.post("/contact").form("a=b").page().send().await;
        told(&answer, &page, status, submitted, sentence);
        limited(&app, &answer, limit);
        assert_eq!(app.backend.count(), 2, "each was delivered at most once");
        assert_eq!(app.hooks.count(), 2);
    }
}

#[tokio::test]
async fn what_passes_through_is_answered_alike() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    for (script, status) in [
        (Script::Reset, 502),
        (Script::Hang, 504),
        (Script::Last(bytes(half)), 502),
        (Script::Bytes(bytes("garbage\r\n\r\n")), 502),
    ] {
        let app = start().await;
        let limit = matches!(script, Script::Hang).then_some("backend_timeouts.response");
        app.backend.always(script);
        let answer = app.get("/a").send().await;
        let page = app.get("/a").page().send().await;
        told(&answer, &page, status, &json!(false), NOTHING);
        limited(&app, &answer, limit);
        // What can change something is another matter.
        let answer = app.post("/a").form("a=b").send().await;
        let page = app.post("/a").form("a=b").page().send().await;
        told(&answer, &page, status, &Value::Null, MAYBE);
        assert_eq!(app.backend.count(), 4, "each was delivered once");
    }
}

#[tokio::test]
async fn a_backend_that_cannot_be_reached_has_saved_nothing() {
    let app = start().await;
    app.backend.close();
    let answer = app.post("/contact").form("a=b").send().await;
    let page = app.post("/contact").form("a=b").page().send().await;
    told(&answer, &page, 502, &json!(false), NOTHING);
    limited(&app, &answer, None);
}

#[tokio::test]
async fn a_backend_that_takes_no_connection_has_saved_nothing() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind(([127, 0, 0, 1], 0).into())
        .expect("a free port");
    let listener = socket.listen(0).expect("a listener");
    let address = listener.local_addr().expect("an address");
    // Fill its queue: the next one is neither taken nor refused.
    let mut waiting = Vec::new();
    while let Ok(Ok(one)) =
        tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await
    {
        waiting.push(one);
    }
    let form = format!("[form]\nbackend = \"http://{address}\"\n");
    let site = site().rules("contact", &CONTACT.replacen("[form]\n", &form, 1));
    let site = site.configure(|config| config.backend_connect = Duration::from_millis(300));
    let app = site.start().await;
    app.hooks.reply(&json!({}));
    let answer = app.post("/contact").form("a=b").send().await;
    let page = app.post("/contact").form("a=b").page().send().await;
    told(&answer, &page, 502, &json!(false), NOTHING);
    limited(&app, &answer, Some("backend_timeouts.connect"));
}

#[tokio::test]
async fn a_backend_that_closes_at_once_gets_the_submission_at_most_once() {
    let backend = Peer::raw(|_| async {}).await;
    let app = hasty().start_with(backend, Peer::start().await).await;
    app.hooks.reply(&json!({}));
    let answer = app.post("/contact").form("a=b").send().await;
    assert_eq!(answer.status, 502);
    assert_ne!(answer.json()["submitted"], true);
    assert_eq!(app.backend.connections(), 1, "no second attempt");
}

#[tokio::test]
async fn a_large_answer_that_breaks_off_does_not_look_whole() {
    let app = start().await;
    let part = "x".repeat(200_000);
    for head in [
        "content-length: 300000\r\n\r\n".to_owned(),
        format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n", 300_000),
    ] {
        app.backend.always(Script::Last(bytes(&format!(
            "HTTP/1.1 200 OK\r\n{head}{part}"
        ))));
        let answer = app.get("/a").send().await;
        assert_eq!(answer.status, 200);
        assert!(!answer.whole, "half an answer must not look whole");
        assert!(answer.body.len() <= part.len());
    }
}

#[tokio::test]
async fn a_large_answer_that_stops_coming_is_given_up() {
    let app = start().await;
    let part = "x".repeat(200_000);
    app.backend.always(Script::Stall(bytes(&format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\n{part}"
    ))));
    let answer = app.get("/a").send().await;
    assert!(!answer.whole);
    app.backend.wait_until_left().await;
}

#[tokio::test]
async fn an_answer_with_two_lengths_is_none() {
    let app = start().await;
    let mut wire = app.connect().await;
    for head in [
        "content-length: 3\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 3",
    ] {
        app.backend.next(Script::Bytes(bytes(&format!(
            "HTTP/1.1 200 OK\r\n{head}\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        ))));
        wire.write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(wire.answer().await.status, 502);
        wire.write(b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(wire.answer().await.text(), "ok");
    }
}

#[tokio::test]
async fn bytes_after_an_answer_are_no_answer_to_the_next_request() {
    let app = start().await;
    let poison = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
    for first in [
        format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok{poison}"),
        format!("HTTP/1.1 204 No Content\r\n\r\n{poison}"),
        format!("HTTP/1.1 304 Not Modified\r\n\r\n{poison}"),
        format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{poison}"
        ),
    ] {
        app.backend.next(Script::Bytes(bytes(&first)));
        let mut wire = app.connect().await;
        for target in ["/a", "/b", "/c"] {
            wire.write(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
                .await;
            let answer = wire.answer().await;
            assert_ne!(answer.text(), "poison", "{first:?}");
            assert!(
                matches!(answer.status, 200 | 204 | 304),
                "{first:?}: {}",
                answer.text()
            );
        }
    }
}

#[tokio::test]
async fn an_answer_without_waiting_for_the_upload_arrives() {
    // As servers do that refuse large uploads: an answer to the head, and the rest is not read.
    let backend = Peer::raw(|mut wire| async move {
        wire.until("\r\n\r\n").await.expect("a head");
        wire.write(
            b"HTTP/1.1 413 Too Large\r\ncontent-length: 9\r\nconnection: close\r\n\r\ntoo large",
        )
        .await;
        wire.finish().await;
        while wire.more().await {
            wire.ahead.clear();
        }
    })
    .await;
    let app = hasty().start_with(backend, Peer::start().await).await;
    for length in [1_000, 50_000_000] {
        let mut wire = app.connect().await;
        let head = format!("PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        wire.write(head.as_bytes()).await;
        wire.write(&vec![b'x'; length]).await;
        let answer = wire.answer().await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (413, "too large"),
            "{length}"
        );
    }
}

#[tokio::test]
async fn a_slow_person_is_not_taken_for_a_slow_backend() {
    // The backend has less time to answer than the person for a pause in an upload.
    let app = start().await;
    let mut slow = app.connect().await;
    slow.write(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx")
        .await;
    // Another request whose backend hangs takes exactly the backend's time; three of them, more than that.
    for _ in 0..3 {
        app.backend.at("/hang", Script::Hang);
        assert_eq!(app.get("/hang").send().await.status, 504);
    }
    slow.write(b"y").await;
    assert_eq!(slow.answer().await.status, 200);
    let received = app.backend.received();
    assert!(received.iter().any(|one| one.text() == "xy"));
}

#[tokio::test]
async fn a_connection_that_closes_at_the_worst_moment_loses_and_doubles_nothing() {
    // The backend closes a used connection just when the next request has come on it.
    let deliveries = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&deliveries);
    let backend = Peer::raw(move |mut wire| {
        let noted = Arc::clone(&noted);
        async move {
            for first in [true, false] {
                let Some(received) = receive(&mut wire, 0).await else {
                    return;
                };
                let delivery = format!("{} {}", received.method, received.text());
                noted.lock().expect("no panic").push(delivery);
                if first {
                    wire.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                        .await;
                }
            }
        }
    })
    .await;
    let app = site()
        .rules("contact", CONTACT)
        .start_with(backend, Peer::start().await)
        .await;
    app.hooks.reply(&json!({}));
    let later = async || {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(1)).await;
        tokio::time::resume();
    };
    let delivered = || std::mem::take(&mut *deliveries.lock().expect("no panic"));

    // A submission: it may have been taken, so it is not sent again, and the person is told so.
    assert_eq!(app.get("/a").send().await.status, 200);
    delivered();
    let answer = app.post("/contact").form("a=b").send().await;
    assert_eq!(
        (answer.status, &answer.json()["submitted"]),
        (502, &Value::Null)
    );
    assert_eq!(delivered(), ["POST a=b"]);

    // What may be repeated is, if the connection had not been used for a moment.
    for method in ["GET", "DELETE", "OPTIONS"] {
        assert_eq!(app.get("/a").send().await.status, 200);
        delivered();
        later().await;
        let answer = app.ask(method, "/b").send().await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "ok"),
            "{method}"
        );
        assert_eq!(delivered(), [format!("{method} "), format!("{method} ")]);
        // On a connection that is in use it is not just bad luck, so there is no second attempt; and after that there
        // is no open connection.
        while app.get("/c").send().await.status == 200 {}
    }

    // A body is used up by sending, so it is not.
    assert_eq!(app.get("/a").send().await.status, 200);
    delivered();
    later().await;
    let answer = app.ask("PUT", "/b").body("text/plain", "x").send().await;
    let times = delivered().len();
    assert!(times == 1, "{times} deliveries, answered {}", answer.status);
}

#[tokio::test]
async fn a_pool_that_keeps_no_connection_makes_one_for_each_request() {
    let peer = Peer::start().await;
    let reach = Config::default().settings().expect("good settings").reach;
    let settings = pool::Settings {
        idle_connections: 0,
        ..pool::Settings::default()
    };
    let origin = Origin::parse(&peer.url()).expect("a URL");
    let pool = Arc::new(Pool::new(origin, reach.to_backends, settings));
    for _ in 0..2 {
        let mut request = Request::new(Outgoing::Empty);
        let host = HeaderValue::from_static("forms.example.org");
        request.headers_mut().insert(header::HOST, host);
        let sent = pool.send(Box::new(request), PATIENCE).await;
        let exchange = sent.expect("an answer");
        assert!(exchange.connect.is_some(), "a new connection");
        exchange
            .response
            .into_body()
            .whole(1 << 20)
            .await
            .expect("a body");
    }
}
