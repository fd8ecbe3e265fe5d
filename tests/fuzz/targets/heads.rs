//! What comes before a body: heads as hyper reads them, paths as backends read them, headers of people.

use std::convert::Infallible;
use std::path::Path;
use std::sync::LazyLock;
use std::sync::Mutex;
use std::time::Duration;

use formgate::flow::person::Cookies;
use formgate::flow::wants::Wants;
use formgate::gateway::head::HeadLimits;
use formgate::gateway::head::Reader;
use formgate::gateway::preface::spoken;
use formgate::rules::book::Book;
use formgate::rules::book::Written;
use formgate::rules::path;
use formgate::rules::recognise::Asked;
use formgate::rules::recognise::Recognised;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http_body_util::BodyExt;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::service::service_fn;
use percent_encoding::percent_decode_str;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::runtime::Builder;
use tokio::runtime::Runtime;
use url::Url;

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
}

const LIMITS: HeadLimits = HeadLimits {
    size: 2000,
    lines: 30,
};

/// How many heads end in these bytes, and whether nothing is left open; or the fault.
fn read<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> Result<(usize, bool), String> {
    let mut reader = Reader::new(LIMITS);
    let (mut ended, mut in_head, mut is_blank) = (0, false, true);
    for piece in pieces {
        reader
            .read(piece)
            .map_err(|(_, fault)| format!("{fault:?}"))?;
        // Empty lines before a request are none.
        if in_head && !reader.is_in_head() {
            ended += usize::from(!is_blank);
            is_blank = true;
        }
        in_head = reader.is_in_head();
        is_blank &= !in_head || piece.iter().all(u8::is_ascii_whitespace);
    }
    Ok((ended, !in_head && !reader.is_in_body() && !reader.is_raw()))
}

/// How many requests hyper sees whole in these bytes, and how it ended.
async fn hypers(bytes: &[u8]) -> (usize, bool) {
    let (mut near, far) = tokio::io::duplex(1 << 18);
    let seen = Mutex::new(0);
    let service = service_fn(|request: http::Request<Incoming>| async {
        let body = request.into_body().collect().await;
        *seen.lock().expect("no panic") += usize::from(body.is_ok());
        Ok::<_, Infallible>(http::Response::new(Empty::<bytes::Bytes>::new()))
    });
    near.write_all(bytes).await.expect("room for it");
    near.shutdown().await.expect("an open pipe");
    let served = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .serve_connection(hyper_util::rt::TokioIo::new(far), service)
        .await;
    let mut said = String::new();
    let _ = near.read_to_string(&mut said).await;
    let seen = seen.into_inner().expect("no panic");
    (seen, served.is_ok() && !said.contains("HTTP/1.1 4"))
}

pub(super) fn head(input: &[u8]) -> String {
    let whole = read(std::iter::once(input)).map(|(_, ends)| ends);
    let bytewise = read(input.chunks(1));
    assert_eq!(whole, bytewise.clone().map(|(_, ends)| ends));
    let (ended, ends) = match bytewise {
        Err(fault) => return fault,
        Ok(read) => read,
    };
    if !ends {
        return "left open".to_owned();
    }
    // A connection ends where its client says so; hyper looks no further.
    let lower = String::from_utf8_lossy(input).to_ascii_lowercase();
    if lower.contains("close")
        || lower.contains("http/1.0")
        || lower.contains("expect")
        || lower.contains("upgrade")
    {
        return "may end early".to_owned();
    }
    let (seen, well) = runtime().block_on(hypers(input));
    // What hyper refuses besides (a target it cannot parse) ends the connection, so nothing after it is a request.
    assert!(
        seen == ended || (!well && seen < ended),
        "{ended} heads here, {seen} requests there"
    );
    format!("{} requests", "x".repeat(ended))
}

pub(super) fn preface(input: &[u8]) -> String {
    let mut stream = input;
    let spoken = runtime().block_on(spoken(&mut stream, Duration::from_secs(5)));
    let is_http2 = input.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(spoken.is_some(), !input.is_empty());
    let Some(spoken) = spoken else {
        return "nothing".to_owned();
    };
    assert_eq!(spoken.http2, is_http2);
    assert_eq!(
        [&spoken.ahead[..], stream].concat(),
        input,
        "bytes are lost"
    );
    format!("{is_http2}")
}

const FORMS: &str =
    "[form]\nsubmit = [\"POST /contact\", \"POST /a/{b}/send\"]\nload = \"GET /contact\"\n";

static BOOK: LazyLock<Book> = LazyLock::new(|| {
    let file = Written {
        name: "rules/contact.toml".to_owned(),
        stem: "contact".to_owned(),
        text: FORMS.to_owned(),
    };
    Book::compile(vec![file], Path::new("."), &[])
        .expect("good rules")
        .book
});

/// Segments without empty ones, parameters and dots, as many a backend makes them.
fn segments(path: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for segment in path.split('/') {
        let segment = segment.split(';').next().unwrap_or_default();
        match segment {
            "" | "." => {}
            ".." => drop(out.pop()),
            other => out.push(other.to_owned()),
        }
    }
    out
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// How backends may read a path, each by an implementation of its own.
fn readings(target: &str) -> Vec<Vec<String>> {
    let path = target.split('?').next().unwrap_or_default();
    let decode_first = segments(&decoded(path));
    let decode_last = segments(path)
        .iter()
        .map(|segment| decoded(segment))
        .collect();
    let backslashes = segments(&decoded(path).replace('\\', "/"));
    let mut all = vec![decode_first, decode_last, backslashes];
    if let Ok(url) = Url::parse("http://a").expect("a URL").join(path)
        && !path.starts_with("//")
    {
        all.push(segments(&decoded(url.path())));
    }
    all
}

pub(super) fn path(input: &[u8]) -> String {
    let Ok(uri) = http::Uri::try_from(input) else {
        return "no target".to_owned();
    };
    let written = uri.path();
    let once = path::canonical(written).into_owned();
    if path::ambiguity(written).is_none() {
        assert_eq!(path::canonical(&once), once);
    }
    if !written.starts_with('/') {
        return "another kind of target".to_owned();
    }
    let headers = HeaderMap::new();
    let asked = Asked {
        method: "POST",
        path: written,
        query: uri.query().unwrap_or_default(),
        host: "a",
        headers: &headers,
        has_body: true,
    };
    let recognised = BOOK.recognise(asked);
    let is_passed = matches!(recognised, Recognised::Nothing | Recognised::Beside(_));
    let is_form =
        |reading: &Vec<String>| match reading.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["contact"] => true,
            ["a", b, "send"] => !b.contains('/'),
            _ => false,
        };
    if let Some(reading) = readings(written).iter().find(|reading| is_form(reading)) {
        assert!(
            !is_passed,
            "{written} passes, and a backend may read {reading:?}"
        );
    }
    let debug = format!("{recognised:?}");
    let word: String = debug.chars().take_while(|c| c.is_alphanumeric()).collect();
    format!("{word} {:?}", path::ambiguity(written))
}

pub(super) fn headers(input: &[u8]) -> String {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(&line[colon + 1..]);
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let wants = format!("{:?}", Wants::of(&headers));
    let session = Cookies::of(&headers)
        .get("sid")
        .map(|value| value.len().min(1));
    format!("{wants} {session:?}")
}
