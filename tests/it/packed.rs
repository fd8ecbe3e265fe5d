//! Packed pages that are changed: unpacked as browsers do it, and never lost to packing that is wrong.

use std::io::Write;

use serde_json::json;

use crate::support::App;
use crate::support::app;
use crate::support::client::Answer;
use crate::support::peer::Script;

const RULES: &str = r#"
[form]
submit = "POST /contact/send"
load = "GET /contact"
[[hook]]
on = "load"
url = "HOOK/load"
[[hook]]
on = "preprocess"
url = "HOOK/check"
"#;

const PAGE: &str = "<!doctype html><html><head><title>Contact</title></head><body><main><h1>Contact us</h1>\
    <form method=\"post\" action=\"/contact/send\"><input name=\"name\"></form></main><p>The end</p></body></html>";

const HEADERS: &str =
    "content-type: text/html; charset=utf-8\r\ncontent-encoding: gzip\r\nx-backend: 1\r\n";

fn gzip(text: &str) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(text.as_bytes()).expect("a Vec takes all");
    packer.finish().expect("a Vec takes all")
}

/// Packed data that is whole to a browser, though not by the letter.
fn whole() -> Vec<(&'static str, Vec<u8>)> {
    let packed = gzip(PAGE);
    let (begin, end) = PAGE.split_at(60);
    let mut wrong_sum = packed.clone();
    wrong_sum.truncate(packed.len() - 8);
    wrong_sum.extend([0; 8]);
    vec![
        ("as it should be", packed.clone()),
        ("with something behind it", [&packed, &b"junk"[..]].concat()),
        ("with zeros behind it", [&packed, &[0; 40][..]].concat()),
        ("in two members", [gzip(begin), gzip(end)].concat()),
        ("with a wrong sum", wrong_sum),
        ("without its sum", packed[..packed.len() - 8].to_vec()),
    ]
}

/// In one piece with its length, and byte by byte.
fn scripts(packed: &[u8]) -> [Script; 2] {
    let head = format!("HTTP/1.1 200 OK\r\n{HEADERS}transfer-encoding: chunked\r\n\r\n");
    let mut chunked = head.into_bytes();
    for byte in packed {
        chunked.extend_from_slice(&[b'1', b'\r', b'\n', *byte, b'\r', b'\n']);
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    [Script::answer(200, HEADERS, packed), Script::Bytes(chunked)]
}

async fn start(check: &serde_json::Value) -> App {
    let app = app(RULES).await;
    app.hooks
        .reply_at("/load", &json!({"msg": "Hello.", "msg_type": "warning"}));
    app.hooks.reply_at("/check", check);
    app
}

async fn send(app: &App) -> Answer {
    app.post("/contact/send")
        .page()
        .form("name=Ana")
        .send()
        .await
}

fn is_shown(answer: &Answer, status: u16, what: &str) {
    let html = answer.text();
    assert_eq!(answer.status, status, "{what}");
    assert!(answer.whole && html.contains("Hello."), "{what}: {html}");
    assert!(
        html.ends_with("The end</p></body></html>"),
        "{what}: {html}"
    );
    assert_eq!(answer.header("content-encoding"), None, "{what}");
}

#[tokio::test]
async fn pages_are_unpacked_as_browsers_do() {
    let hello = json!({"msg": "Hello.", "msg_type": "warning"});
    let stop = json!({"msg": "Hello.", "msg_type": "error"});
    let (accepted, stopped) = (start(&hello).await, start(&stop).await);
    for (what, packed) in whole() {
        for script in scripts(&packed) {
            accepted.backend.always(script.clone());
            is_shown(&send(&accepted).await, 200, what);
            let opened = accepted.get("/contact").page().send().await;
            is_shown(&opened, 200, what);
            stopped.backend.always(script);
            let again = send(&stopped).await;
            is_shown(&again, 422, what);
            assert!(again.text().contains("Contact us"), "{what}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_unpacked_goes_out_as_it_came() {
    let app = start(&json!({"msg": "Hello.", "msg_type": "warning"})).await;
    let mut spoilt = gzip(PAGE);
    spoilt[20] ^= 0xff;
    spoilt[21] ^= 0xff;
    for (what, body) in [
        ("not packed at all", PAGE.as_bytes().to_vec()),
        ("spoilt", spoilt),
        ("hardly begun", gzip(PAGE)[..9].to_vec()),
    ] {
        for script in scripts(&body) {
            app.backend.always(script);
            for answer in [send(&app).await, app.get("/contact").page().send().await] {
                assert_eq!((answer.status, answer.whole), (200, true), "{what}");
                assert_eq!(answer.body, body, "{what}");
                assert_eq!(answer.header("content-encoding"), Some("gzip"), "{what}");
                assert_eq!(answer.header("x-backend"), Some("1"), "{what}");
                assert_eq!(answer.reply()["msg"], "Hello.", "{what}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_spoilt_later_is_sent_up_to_there() {
    let app = start(&json!({"msg": "Hello.", "msg_type": "warning"})).await;
    // Numbers, so that it does not pack to nothing.
    let much: String = (0..90_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761)).to_string())
        .collect();
    let page = PAGE.replace("<p>The end", &format!("{much}<p>The end"));
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(page.as_bytes()).expect("a Vec takes all");
    packer.flush().expect("a Vec takes all");
    let mut packed = packer.get_ref().clone();
    // A block of a kind that there is not.
    packed.extend([0x07; 100]);
    for script in scripts(&packed) {
        app.backend.always(script);
        let answer = send(&app).await;
        assert_eq!((answer.status, answer.whole), (200, false));
        assert!(answer.text().contains("Hello.") && answer.body.len() > 500_000);
    }
}
