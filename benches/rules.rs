//! Ten thousand rule files load in under two seconds – checked, not only measured – and do not make finding a form
//! slower.
//!
//! `cargo bench --profile ci --bench rules`
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use divan::Bencher;
use formgate::rules::book::Book;
use formgate::rules::book::Written;
use formgate::rules::recognise::Asked;
use formgate::rules::recognise::Recognised;
use http::HeaderMap;
use tokio::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many files there are, and how long loading them may take.
const MANY: usize = 10_000;
const AT_MOST: Duration = Duration::from_secs(2);

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    for number in 0..MANY {
        let path = folder.path().join(format!("form-{number}.toml"));
        fs::write(path, rule_file(number)).expect("writable");
    }
    let quickest = (0..3)
        .map(|_| timed(folder.path()))
        .min()
        .unwrap_or_default();
    println!("{MANY} rule files load in {quickest:?}; allowed are {AT_MOST:?}");
    assert!(cfg!(debug_assertions) || quickest < AT_MOST, "too slow");
    divan::main();
}

fn timed(folder: &Path) -> Duration {
    let began = Instant::now();
    let loaded = Book::load(folder, &[]).expect("good");
    let took = began.elapsed();
    assert_eq!(loaded.book.forms().len(), MANY);
    took
}

/// A rule file of the usual size.
fn rule_file(number: usize) -> String {
    format!(
        r#"
[form]
title = "Form {number}"
submit = "POST /site-{site}/{{camp}}/form-{number}"
load = "GET /site-{site}/{{camp}}/form-{number}"
hidden = ["card_number"]

[user_info]
email = "field:email"

[fields.email]
required = true
type = "email"
pattern = '[^@\s]+@[^@\s]+\.[a-z]{{2,}}'
normalize = ["trim", "lowercase"]

[fields.age]
type = "integer"
min = 5
max = 17

[[rule]]
on = "preprocess"
when = "@.doc.age < 16 && !@.doc.guardian"
reply = {{ msg = "Campers under 16 need a guardian.", msg_type = "error", focus_on = "guardian" }}

[[hook]]
on = "preprocess"
name = "crm"
url = "http://127.0.0.1:9000/hooks/{{form}}"
when = "@.user_info.email && @.doc.age >= 5"
"#,
        site = number % 100,
    )
}

fn book(files: usize) -> Book {
    let written = (0..files).map(|number| Written {
        name: format!("rules/form-{number}.toml"),
        stem: format!("form-{number}"),
        text: rule_file(number),
    });
    Book::compile(written.collect(), Path::new(""), &[])
        .expect("good")
        .book
}

#[divan::bench(args = [10, MANY])]
fn find_a_form(bencher: Bencher<'_, '_>, files: usize) {
    let book = book(files);
    let headers = HeaderMap::new();
    let asked = Asked {
        method: "POST",
        path: "/site-7/lake/form-7",
        query: "",
        host: "forms.example.org",
        headers: &headers,
        has_body: true,
    };
    assert!(matches!(book.recognise(asked), Recognised::Form(_)));
    bencher.bench_local(|| matches!(book.recognise(black_box(asked)), Recognised::Form(_)));
}

#[divan::bench(args = [10, MANY])]
fn find_none(bencher: Bencher<'_, '_>, files: usize) {
    let book = book(files);
    let headers = HeaderMap::new();
    let asked = Asked {
        method: "GET",
        path: "/assets/site.css",
        query: "v=3",
        host: "forms.example.org",
        headers: &headers,
        has_body: false,
    };
    bencher.bench_local(|| matches!(book.recognise(black_box(asked)), Recognised::Nothing));
}
