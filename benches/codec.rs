//! What reading a submission costs, and what changing one field of it costs, for each kind of body.
//!
//! `cargo bench --profile ci --bench codec`

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use formgate::codec;
use formgate::codec::Limits;
use formgate::codec::Settings;
use formgate::codec::multipart::Multipart;
use formgate::codec::multipart::Scanner;
use formgate::model::doc::Jdoc;
use formgate::model::hidden::Hidden;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

const BOUNDARY: &str = "----WebKitFormBoundary7MA4YWxkTrZu0gW";

fn with_settings<T>(work: impl FnOnce(Settings<'_>) -> T) -> T {
    let hidden = Arc::new(Hidden::new(["card_number"]));
    let limits = Limits::default();
    work(Settings {
        limits: &limits,
        hidden: &hidden,
        charset: None,
        nested: false,
        doc_path: &[],
    })
}

fn names() -> impl Iterator<Item = String> {
    (0..12).map(|number| format!("field_{number}"))
}

fn jdoc() -> Jdoc {
    Jdoc::from_iter([("field_7".to_owned(), json!("Bern"))])
}

fn urlencoded() -> Vec<u8> {
    let pairs: Vec<String> = names()
        .map(|name| format!("{name}=some+text+of+{name}%21"))
        .collect();
    pairs.join("&").into_bytes()
}

fn text() -> Vec<u8> {
    let lines: Vec<String> = names()
        .map(|name| format!("{name}=some text of {name}!\r\n"))
        .collect();
    lines.concat().into_bytes()
}

fn json_body() -> Bytes {
    let items: Vec<_> = (0..16)
        .map(|number| json!({"sku": format!("AB-{number}"), "qty": number, "note": "some text of some length"}))
        .collect();
    let mut value = json!({ "items": items });
    for name in names() {
        value[&name] = json!(format!("some text of {name}"));
    }
    value.to_string().into()
}

fn multipart(file: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for name in names() {
        let part = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\nsome text of {name}\r\n"
        );
        body.extend_from_slice(part.as_bytes());
    }
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"ana.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend((0..file).map(|at| u8::try_from(at * 31 % 251).unwrap_or_default()));
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body
}

fn scan(body: &[u8], settings: Settings<'_>) -> Multipart {
    let mut scanner = Scanner::new(BOUNDARY, None, settings);
    for frame in body.chunks(16 << 10) {
        scanner.push(frame).expect("good");
    }
    scanner.finish().expect("good")
}

#[divan::bench]
fn decode_urlencoded(bencher: Bencher<'_, '_>) {
    let body = urlencoded();
    with_settings(|settings| {
        bencher
            .counter(BytesCount::new(body.len()))
            .bench_local(|| codec::urlencoded::decode(black_box(&body), None, settings));
    });
}

#[divan::bench]
fn patch_urlencoded(bencher: Bencher<'_, '_>) {
    let (body, jdoc) = (urlencoded(), jdoc());
    bencher
        .counter(BytesCount::new(body.len()))
        .bench_local(|| codec::urlencoded::patch(black_box(&body), &jdoc, encoding_rs::UTF_8));
}

#[divan::bench]
fn decode_text(bencher: Bencher<'_, '_>) {
    let body = text();
    with_settings(|settings| {
        bencher
            .counter(BytesCount::new(body.len()))
            .bench_local(|| codec::text::decode(black_box(&body), None, settings));
    });
}

#[divan::bench]
fn decode_json(bencher: Bencher<'_, '_>) {
    let body = json_body();
    with_settings(|settings| {
        bencher
            .counter(BytesCount::new(body.len()))
            .bench_local(|| codec::json::decode(black_box(&body), settings));
    });
}

#[divan::bench]
fn patch_json(bencher: Bencher<'_, '_>) {
    let (body, jdoc) = (json_body(), jdoc());
    bencher
        .counter(BytesCount::new(body.len()))
        .bench_local(|| codec::json::patch(black_box(&body), &jdoc, &[]));
}

#[divan::bench(args = [0, 64 << 10, 4 << 20])]
fn decode_multipart(bencher: Bencher<'_, '_>, file: usize) {
    let body = multipart(file);
    with_settings(|settings| {
        bencher
            .counter(BytesCount::new(body.len()))
            .bench_local(|| scan(black_box(&body), settings));
    });
}

#[divan::bench]
fn patch_multipart(bencher: Bencher<'_, '_>) {
    let (body, jdoc) = (multipart(64 << 10), jdoc());
    with_settings(|settings| {
        let read = scan(&body, settings);
        bencher.bench_local(|| black_box(&read.layout).patch(&jdoc));
    });
}
