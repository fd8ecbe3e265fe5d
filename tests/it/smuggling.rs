//! Requests that two servers could read differently: refused with the connection closed, backend and hooks untouched;
//! and legal but odd ones, which must pass.

use crate::support::App;
use crate::support::app;
use crate::support::client::find;
use crate::support::peer::Script;
use crate::support::site;

const CONTACT: &str = r#"
[form]
submit = "POST /contact"

[[hook]]
on = "preprocess"
url = "HOOK/check"
"#;

/// Sends bytes on a connection of their own and reads to its end: everything the gateway said.
async fn all_said(app: &App, bytes: &[u8]) -> String {
    let mut wire = app.connect().await;
    wire.write(bytes).await;
    String::from_utf8_lossy(&wire.rest().await).into_owned()
}

/// Each of these is answered once, with this status, and nobody else hears of it.
async fn refused(app: &App, shapes: &[(&[u8], u16)]) {
    for (bytes, status) in shapes {
        let shape = String::from_utf8_lossy(bytes).into_owned();
        let shape = &shape[..shape.floor_char_boundary(300)];
        let said = all_said(app, bytes).await;
        assert!(
            said.starts_with(&format!("HTTP/1.1 {status} ")),
            "{shape:?} should be {status}: {said:?}"
        );
        let answers = said.matches("HTTP/1.").count();
        assert_eq!(answers, 1, "{shape:?}: {said}");
        assert_eq!(app.backend.count(), 0, "{shape:?} came to the backend");
        assert_eq!(app.hooks.count(), 0, "{shape:?} came to a hook");
    }
}

/// Puts each text in the place of `@` in a request.
fn filled(request: &str, texts: &[&str]) -> Vec<Vec<u8>> {
    texts
        .iter()
        .map(|text| request.replace('@', text).into_bytes())
        .collect()
}

fn all(shapes: &[Vec<u8>], status: u16) -> Vec<(&[u8], u16)> {
    shapes
        .iter()
        .map(|shape| (shape.as_slice(), status))
        .collect()
}

#[tokio::test]
async fn first_lines_that_are_no_request() {
    let app = app(CONTACT).await;
    let lines = filled(
        "@\r\nHost: a\r\n\r\n",
        &[
            "GET /",
            "GET",
            "/ HTTP/1.1",
            "GET  / HTTP/1.1",
            "GET /  HTTP/1.1",
            "GET / HTTP/1.1 ",
            " GET / HTTP/1.1",
            "\tGET / HTTP/1.1",
            "GET\t/\tHTTP/1.1",
            "GET /a b HTTP/1.1",
            "GET / HTTP/1.1 x",
            "GET / HTTP/1.2",
            "GET / HTTP/1.10",
            "GET / HTTP/01.1",
            "GET / HTTP/2.0",
            "GET / HTTP/2",
            "GET / HTTP/0.9",
            "GET / http/1.1",
            "GET / HTTP/1",
            "GET / HTTPS/1.1",
            "GET / ICY/1.1",
            "GET /HTTP/1.1",
            "G\u{1}T / HTTP/1.1",
            "G(T / HTTP/1.1",
            "GÉT / HTTP/1.1",
            "GET: / HTTP/1.1",
            "CONNECT a:443 HTTP/1.1",
            "CONNECT / HTTP/1.1",
            "PRI * HTTP/2.0",
            "GET * HTTP/1.1",
            "POST * HTTP/1.1",
            "GET a HTTP/1.1",
            "GET a:80 HTTP/1.1",
            "GET \\contact HTTP/1.1",
            "GET ?a HTTP/1.1",
            "GET ftp://a/ HTTP/1.1",
            "GET file:///etc/passwd HTTP/1.1",
            "GET javascript:x HTTP/1.1",
            "GET /a#b HTTP/1.1",
            "GET http://a/#b HTTP/1.1",
            "GET http:///b HTTP/1.1",
            "GET http:// HTTP/1.1",
            "GET http://u@a/ HTTP/1.1",
            "GET http://u:p@a/ HTTP/1.1",
            "GET http://b/ HTTP/1.1",
            "GET http://a:81/ HTTP/1.1",
            "GET http://a.b/ HTTP/1.1",
            "GET /\r HTTP/1.1",
            "GET /a\rb HTTP/1.1",
            "GET /\n HTTP/1.1",
            "GET /\0 HTTP/1.1",
            "GET /\u{7f} HTTP/1.1",
            "GET /\u{b} HTTP/1.1",
            "\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1",
            "\nGET / HTTP/1.1",
            "\rGET / HTTP/1.1",
        ],
    );
    assert_eq!(lines.len(), 56);
    refused(&app, &all(&lines, 400)).await;
    refused(&app, &[(b"GET / HTTP/1.1\nHost: a\n\n", 400)]).await;
    refused(&app, &[(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 400)]).await;
}

#[tokio::test]
async fn hosts_that_are_missing_or_odd() {
    let app = app(CONTACT).await;
    let lines = filled(
        "GET / HTTP/1.1\r\n@\r\n\r\n",
        &[
            "X: y",
            "Host: a\r\nHost: a",
            "Host: a\r\nhost: b",
            "Host: a b",
            "Host: a,b",
            "Host: a/b",
            "Host: a\\b",
            "Host: a?b",
            "Host: a#b",
            "Host: u@a",
            "Host: u:p@a",
            "Host: a:b",
            "Host: a:80:80",
            "Host: a:123456",
            "Host: :80",
            "Host: [::1",
            "Host: [::1]x",
            "Host: [a]",
            "Host: a%00",
            "Host: é",
            "Host: \"a\"",
            "Host: a\u{7f}",
            "Host: a\0",
            "Host : a",
            " Host: a",
            "Host\t: a",
            "Host: a\r\n\tb",
        ],
    );
    refused(&app, &all(&lines, 400)).await;
    // RFC 9112, section 3.2.2: a URL in the first line does not replace the header.
    refused(&app, &[(b"GET http://a/ HTTP/1.1\r\n\r\n", 400)]).await;
}

#[tokio::test]
async fn header_lines_that_are_not_well_formed() {
    let app = app(CONTACT).await;
    let lines = filled(
        "GET / HTTP/1.1\r\nHost: a\r\n@\r\n\r\n",
        &[
            "X",
            ": y",
            "X : y",
            "X\t: y",
            "X Y: z",
            "X\0: y",
            "X\u{7f}: y",
            "X\u{1}: y",
            "X(: y",
            "\"X\": y",
            "é: y",
            "X: y\0z",
            "X: y\u{1}z",
            "X: y\u{1b}[0m",
            "X: y\u{7f}",
            "X: y\u{b}",
            "X: y\rz",
            "X: y\r",
            "X: y\r\r",
            "X: y\nZ: a",
            "X: y\r\n z",
            "X: y\r\n\tz",
            "X: y\r\n ",
            " X: y",
        ],
    );
    refused(&app, &all(&lines, 400)).await;
    let folded = b"GET / HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n";
    refused(&app, &[(folded, 400)]).await;
}

#[tokio::test]
async fn lengths_that_could_be_read_in_two_ways() {
    let app = app(CONTACT).await;
    let hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    let heads = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 0",
        "Content-Length: 0\r\ncontent-length: 5",
        "Content-Length: 5, 5",
        "Content-Length: 5,",
        "Content-Length: ,5",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: 5\t5",
        "Content-Length: 5.0",
        "Content-Length: 5;a",
        "Content-Length: 5_0",
        "Content-Length: \"5\"",
        "Content-Length: ５",
        "Content-Length:",
        "Content-Length: a",
        "Content-Length: 18446744073709551616",
        "Content-Length: 99999999999999999999999999",
        "Content-Length : 5",
        "Content-Length\0: 5",
        "Content-Length: 5\u{b}",
        "Content-Length:\r\n 5",
        "X: y\nContent-Length: 5",
        "X: y\rContent-Length: 5",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: x,chunked",
        "Transfer-Encoding: chunkedx",
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: 'chunked'",
        "Transfer-Encoding: chun ked",
        "Transfer-Encoding:",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding: chunked\u{b}",
        "Transfer-Encoding: chunked\0",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        "Transfer-Encoding:\r\n chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "X: y\nTransfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\nX: y",
    ];
    for target in ["/contact", "/other"] {
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n@\r\n\r\n0\r\n\r\n{hidden}"
        );
        refused(&app, &all(&filled(&request, &heads), 400)).await;
    }
    let old =
        format!("POST /contact HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}");
    refused(&app, &[(old.as_bytes(), 400)]).await;
}

#[tokio::test]
async fn chunks_that_are_none() {
    let app = app(CONTACT).await;
    let long = format!("5;{}\r\na=b&c\r\n0\r\n\r\n", "x".repeat(2000));
    let bodies = [
        "5\na=b&c\r\n0\r\n\r\n",
        "5\ra=b&c\r\n0\r\n\r\n",
        "5\r\na=b&c\n0\r\n\r\n",
        "5\r\na=b&c0\r\n\r\n",
        "5\r\na=b\r\n0\r\n\r\n",
        "3\r\na=b&c\r\n0\r\n\r\n",
        "5\r\na=b&c\r\n0\n\r\n",
        "5\r\na=b&c\r\n0\r\n\n",
        " 5\r\na=b&c\r\n0\r\n\r\n",
        "5 \r\na=b&c\r\n0\r\n\r\n",
        "5\t\r\na=b&c\r\n0\r\n\r\n",
        "0x5\r\na=b&c\r\n0\r\n\r\n",
        "+5\r\na=b&c\r\n0\r\n\r\n",
        "-5\r\na=b&c\r\n0\r\n\r\n",
        "5_\r\na=b&c\r\n0\r\n\r\n",
        "g\r\na=b&c\r\n0\r\n\r\n",
        "\r\n5\r\na=b&c\r\n0\r\n\r\n",
        ";a\r\na=b&c\r\n0\r\n\r\n",
        "5;a\rb\r\na=b&c\r\n0\r\n\r\n",
        "5;a\nb\r\na=b&c\r\n0\r\n\r\n",
        "5;a\u{1}\r\na=b&c\r\n0\r\n\r\n",
        "10000000000000005\r\na=b&c\r\n0\r\n\r\n",
        "ffffffffffffffff\r\na=b&c\r\n0\r\n\r\n",
        "0000000000000000000005\r\na=b&c\r\n0\r\n\r\n",
        &long,
        "5\r\na=b&c\r\n0\r\nX\r\n\r\n",
        "5\r\na=b&c\r\n0\r\n: y\r\n\r\n",
        "5\r\na=b&c\r\n0\r\nX : y\r\n\r\n",
        "5\r\na=b&c\r\n0\r\n X: y\r\n\r\n",
        "5\r\na=b&c\r\n0\r\nX: y\r\n z\r\n\r\n",
        "5\r\na=b&c\r\n0\r\nX: y\rz\r\n\r\n",
        "5\r\na=b&c\r\n0\r\nX: y\nz: a\r\n\r\n",
        "5\r\na=b&c\r\n0\r\nX: \0\r\n\r\n",
    ];
    for target in ["/contact", "/other"] {
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Transfer-Encoding: chunked\r\n\r\n@GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        refused(&app, &all(&filled(&request, &bodies), 400)).await;
    }
}

#[tokio::test]
async fn a_bad_trailer_that_comes_late_does_not_leave_the_request_waiting() {
    let app = app(CONTACT).await;
    for target in ["/contact", "/other"] {
        let mut wire = app.connect().await;
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
        );
        wire.write(head.as_bytes()).await;
        wire.until("100 Continue\r\n\r\n").await.expect("to go on");
        wire.write(b"5\r\na=b&c\r\n0\r\n").await;
        wire.write(b"X : y\r\n\r\n").await;
        assert_eq!(wire.answer().await.status, 400, "{target}");
        assert!(wire.rest().await.is_empty(), "and closed");
    }
    assert_eq!((app.backend.count(), app.hooks.count()), (0, 0));
}

#[tokio::test]
async fn heads_over_the_limits_are_named() {
    let site = site().rules("contact", CONTACT).configure(|config| {
        config.limits.header_size = 2000;
        config.limits.headers = 10;
    });
    let app = site.start().await;
    let large = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "y".repeat(3000)
    );
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(10));
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "y".repeat(3000));
    let endless = "y".repeat(3000);
    for (request, status, limit) in [
        (&large, 431, "limits.header_size"),
        (&many, 431, "limits.headers"),
        (&long, 414, "limits.header_size"),
        (&endless, 414, "limits.header_size"),
    ] {
        let answer = app.send(request).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.json()["limit"], limit);
        assert_eq!(answer.json()["outcome"], "rejected");
        assert_eq!(answer.json()["submitted"], false);
    }
    let most = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(9));
    assert_eq!(app.send(&most).await.status, 200);
    assert_eq!(app.backend.count(), 1);
}

#[tokio::test]
async fn what_is_wrong_is_said_in_words_before_the_end() {
    let app = app(CONTACT).await;
    let answer = app
        .send("POST /contact HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(
        answer.json()["detail"],
        "The request has both `content-length` and `transfer-encoding`."
    );
}

#[tokio::test]
async fn a_bad_second_request_does_not_spoil_the_answer_to_the_first() {
    let app = app(CONTACT).await;
    app.backend.always(Script::page(200, "first"));
    let good = "GET /first HTTP/1.1\r\nHost: a\r\n\r\n";
    for bad in [
        "GET /second HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        "GET /second HTTP/1.1\nHost: a\n\n",
        "\0",
    ] {
        let said = all_said(&app, [good, bad, "\r\n"].concat().as_bytes()).await;
        assert!(said.starts_with("HTTP/1.1 200 "), "{bad:?}: {said}");
        let at = find(said.as_bytes(), b"firstHTTP/1.1 400 ");
        assert!(at.is_some(), "{bad:?}: {said}");
        assert_eq!(said.matches("HTTP/1.1 ").count(), 2, "{bad:?}: {said}");
    }
    assert_eq!(app.backend.count(), 3, "only the good ones");
}

#[tokio::test]
async fn a_bad_second_request_is_answered_even_if_the_first_takes_its_time() {
    let app = app(CONTACT).await;
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let gone = std::sync::Arc::new(tokio::sync::Mutex::new(Some(gone)));
    app.backend.always(Script::custom(move |_, mut wire| {
        let gone = std::sync::Arc::clone(&gone);
        async move {
            if let Some(gone) = gone.lock().await.take() {
                let _ = gone.await;
            }
            wire.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst")
                .await;
        }
    }));
    let mut wire = app.connect().await;
    wire.write(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET /second HTTP/1.1\r\nX : y\r\n\r\n")
        .await;
    app.backend.wait_for(1).await;
    let _ = go.send(());
    assert_eq!(wire.answer().await.text(), "first");
    assert_eq!(wire.answer().await.status, 400);
    assert!(wire.rest().await.is_empty());
}

#[tokio::test]
async fn a_request_hidden_in_a_body_stays_a_body() {
    let app = app(CONTACT).await;
    app.hooks.always(Script::answer(204, "", ""));
    let hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    let chunked = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    for (frame, body) in [
        (format!("Content-Length: {}", hidden.len()), hidden),
        ("Transfer-Encoding: chunked".to_owned(), chunked.as_str()),
    ] {
        for (target, kind) in [("/contact", "text/plain"), ("/other", "message/http")] {
            let request = format!(
                "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nConnection: close\r\n{frame}\r\n\r\n{body}"
            );
            let said = all_said(&app, request.as_bytes()).await;
            assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{request}: {said}");
        }
    }
    let received = app.backend.received();
    assert!(received.iter().all(|one| one.path() != "/hidden"));
    let others = received.iter().filter(|one| one.path() == "/other");
    assert!(others.clone().count() == 2 && others.clone().all(|one| one.text() == hidden));
}

#[tokio::test]
async fn legal_but_odd_requests_pass() {
    let app = app(CONTACT).await;
    let chunked = "POST /odd HTTP/1.1\r\nHost: a\r\n";
    let hundred = format!(
        "GET /odd HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "X: y\r\n".repeat(99)
    );
    let shapes: [(&[u8], &str); 37] = [
        (b"GET /odd HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        (b"\r\nGET /odd HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        (b"\r\n\r\nGET /odd HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        (b"GET /odd HTTP/1.0\r\n\r\n", ""),
        (b"GET /odd HTTP/1.0\r\nHost: a\r\n\r\n", ""),
        (b"GET http://a/odd HTTP/1.0\r\n\r\n", ""),
        (b"GET http://a/odd HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        (b"GET HTTP://A/odd HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        (b"GET https://a/odd HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        (b"PROPFIND /odd HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        (b"get /odd HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        (b"M!#$%&'*+-.^_`|~9 /odd HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        (b"GET //odd//b?a=b&c=%00&d=%zz HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        (b"GET /odd/../%2e%2e/;a=b/{c}|d HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        (b"GET /odd? HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        (b"GET /odd HTTP/1.1\r\nHost:a\r\n\r\n", ""),
        (b"GET /odd HTTP/1.1\r\nHost: \t a \t\r\n\r\n", ""),
        (b"GET /odd HTTP/1.1\r\nHost:\r\n\r\n", ""),
        (b"GET /odd HTTP/1.1\r\nHost: a:8080\r\n\r\n", ""),
        (b"GET /odd HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", ""),
        (b"GET /odd HTTP/1.1\r\nHost: a_b.internal.\r\n\r\n", ""),
        (b"GET /odd HTTP/1.1\r\nHost: a\r\nX:\r\nY: \r\n\r\n", ""),
        (b"GET /odd HTTP/1.1\r\nHost: a\r\nX: a\tb\xe9\xff\r\n\r\n", ""),
        (b"GET /odd HTTP/1.1\r\nHost: a\r\nX: a: b: c\r\n\r\n", ""),
        (b"GET /odd HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", ""),
        (b"GET /odd HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody", "body"),
        (b"DELETE /odd HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody", "body"),
        (b"GET /odd HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", "body"),
        (b"POST /odd HTTP/1.1\r\nHost: a\r\nContent-Length: 0004\r\n\r\nbody", "body"),
        (b"POST /odd HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody", "body"),
        (b"@Transfer-Encoding: CHUNKED\r\n\r\n4\r\nbody\r\n0\r\n\r\n", "body"),
        (b"@Transfer-Encoding: \t chunked \t \r\n\r\n0004\r\nbody\r\n00\r\n\r\n", "body"),
        (b"@Transfer-Encoding: chunked\r\n\r\n4;a=b;c=\"d\"\r\nbody\r\n0;e\r\n\r\n", "body"),
        (b"@Transfer-Encoding: chunked\r\n\r\n1\r\nb\r\n1\r\no\r\n2\r\ndy\r\n0\r\nX: y\r\nY:\r\n\r\n", "body"),
        (b"@Expect: something-else\r\nContent-Length: 4\r\n\r\nbody", "body"),
        (hundred.as_bytes(), ""),
    ];
    for (number, (bytes, body)) in shapes.iter().enumerate() {
        let shape = String::from_utf8_lossy(bytes).into_owned();
        let bytes = match bytes.strip_prefix(b"@") {
            Some(rest) => [chunked.as_bytes(), rest].concat(),
            None => bytes.to_vec(),
        };
        let answer = app.send(&bytes).await;
        assert_eq!(answer.status, 200, "{shape:?}: {}", answer.text());
        let received = app.backend.received();
        assert_eq!(received.len(), number + 1, "{shape:?}");
        assert_eq!(received[number].text(), *body, "{shape:?}");
    }
}
