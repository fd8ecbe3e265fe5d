//! Golden pages: each folder under `tests/pages` is a page, what is to be changed in it, and what came of it. Owns
//! reading, rewriting and comparing them, whole and cut at every byte.
//!
//! `page.html` begins with a comment that says what it shows. `change.json` may have `place` (`form`, `main`,
//! `start`), `notice` (`kind`, `texts`, `statement`, `changed`), `errors` (pairs), `focus`, one of `submitted` (pairs),
//! `json` and `prefill`, `files` (names of file fields), `hidden`, `lang`, `charset`, `held`, `shown_at`. A form with the action `/send`
//! is ours.
//!
//! `UPDATE=1 cargo test --test pages` writes `expected.html`; read it before it is committed.
#![allow(
    clippy::print_stderr,
    reason = "which page differs is said where tests say it"
)]

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use encoding_rs::Encoding;
use formgate::model::doc::File;
use formgate::model::flat::Flat;
use formgate::model::hidden::Hidden;
use formgate::model::json_doc::JsonDoc;
use formgate::model::lang::Lang;
use formgate::model::reply::MsgType;
use formgate::page::change::Change;
use formgate::page::change::Notice;
use formgate::page::change::Place;
use formgate::page::change::Values;
use formgate::page::rewrite::Limits;
use formgate::page::rewrite::Rewriter;
use serde_json::Map;
use serde_json::Value;
use url::Url;

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let list = value.as_array().into_iter().flatten();
    list.map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

fn names(value: &Value) -> impl Iterator<Item = String> {
    value.as_array().into_iter().flatten().map(text)
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn values(json: &Value, hidden: &Arc<Hidden>) -> Values {
    if json["prefill"].is_object() {
        return Values::Prefill(object(&json["prefill"]));
    }
    if json["json"].is_object() {
        let bytes = Bytes::from(json["json"].to_string());
        return Values::Submitted(JsonDoc::new(bytes, hidden, false).into());
    }
    if json["submitted"].is_null() {
        return Values::Keep;
    }
    let mut flat = Flat::new(hidden, 0);
    for (name, value) in pairs(&json["submitted"]) {
        flat.push_text(&name, &value);
    }
    for name in names(&json["files"]) {
        let file = File {
            filename: "ana.jpg".to_owned(),
            content_type: None,
            size: 1,
            sha256: String::new(),
        };
        flat.push_file(&name, file);
    }
    Values::Submitted(flat.into())
}

fn change(json: &Value) -> Change {
    let hidden = Arc::new(Hidden::new(names(&json["hidden"])));
    let notice = json["notice"].as_object().map(|notice| Notice {
        kind: MsgType::parse(&text(&notice["kind"])).expect("a kind"),
        texts: notice
            .get("texts")
            .map(|texts| names(texts).collect())
            .unwrap_or_default(),
        statement: notice.get("statement").map(text).unwrap_or_default(),
        changed: notice.get("changed").map(object).unwrap_or_default(),
    });
    Change {
        notice,
        frame: None,
        place: match json["place"].as_str() {
            Some("main") => Place::Main,
            Some("start") => Place::Start,
            _ => Place::Form,
        },
        errors: pairs(&json["errors"]),
        focus: json["focus"].as_str().map(str::to_owned),
        values: values(json, &hidden),
        page: Url::parse("https://example.org/forms/page").expect("a URL"),
        shown_at: json["shown_at"]
            .as_str()
            .map(|url| Url::parse(url).expect("a URL")),
        is_ours: Box::new(|form| form.action.path() == "/send"),
        hidden,
        lang: Lang::of(json["lang"].as_str()),
        words: Arc::default(),
    }
}

fn rewritten(json: &Value, page: &[u8], cuts: &[usize]) -> Vec<u8> {
    let charset = json["charset"].as_str().unwrap_or("utf-8");
    let charset = Encoding::for_label(charset.as_bytes()).expect("a charset");
    let mut limits = Limits::DEFAULT;
    if let Some(held) = json["held"].as_u64() {
        limits.held = usize::try_from(held).expect("small");
    }
    let mut rewriter = Rewriter::new(change(json), charset, limits);
    let mut out = Vec::new();
    let mut from = 0;
    for &cut in cuts.iter().chain([&page.len()]) {
        rewriter.write(&page[from..cut], &mut out);
        from = cut;
    }
    rewriter.end(&mut out);
    out
}

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pages");
    let entries = fs::read_dir(root).expect("a folder");
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.expect("readable").path())
        .collect();
    folders.sort();
    folders
}

#[test]
fn every_page_comes_out_as_written() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for folder in folders() {
        let name = folder.file_name().expect("a name").to_string_lossy();
        let page = fs::read(folder.join("page.html")).expect("a page");
        assert!(
            page.starts_with(b"<!-- "),
            "{name} does not say what it shows"
        );
        let json = fs::read(folder.join("change.json")).expect("a change");
        let json: Value = serde_json::from_slice(&json).expect("JSON");
        let came = rewritten(&json, &page, &[]);
        let expected = fs::read(folder.join("expected.html")).unwrap_or_default();
        if came != expected {
            if update {
                fs::write(folder.join("expected.html"), &came).expect("writable");
            } else {
                eprintln!("=== {name}\n{}", String::from_utf8_lossy(&came));
                wrong.push(name.clone().into_owned());
            }
        }
        for cut in 1..page.len() {
            assert_eq!(
                rewritten(&json, &page, &[cut]),
                came,
                "{name}, cut at {cut}"
            );
        }
        let every: Vec<usize> = (1..page.len()).collect();
        assert_eq!(
            rewritten(&json, &page, &every),
            came,
            "{name}, byte by byte"
        );
    }
    assert!(
        wrong.is_empty(),
        "{} differ: {}",
        wrong.len(),
        wrong.join(", ")
    );
}
