//! What it costs to decide without a network: fields, local rules, conditions, the fold of replies.
//!
//! `cargo bench --profile ci --bench decide`

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use divan::Bencher;
use formgate::account::leg::Leg;
use formgate::flow::asked::Asked;
use formgate::flow::asked::Trail;
use formgate::flow::local;
use formgate::flow::submission::Route;
use formgate::model::call::Occasion;
use formgate::model::decision::Decision;
use formgate::model::decision::OnConflict;
use formgate::model::decision::decide;
use formgate::model::doc::Doc;
use formgate::model::event::Event;
use formgate::model::flat::Flat;
use formgate::model::hidden::Hidden;
use formgate::model::lang::Lang;
use formgate::model::redirect::Allowed;
use formgate::model::reply::MsgType;
use formgate::model::reply::Reply;
use formgate::model::trace::Trace;
use formgate::rules::book::Book;
use formgate::rules::book::Written;
use formgate::rules::condition::Condition;
use formgate::rules::form::Form;
use formgate::rules::pattern;
use formgate::rules::recognise::FormPart;
use serde_json::Value;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

/// Random text of two letters, as much of it as each pattern is put to: the worst there is for repetitions that are
/// counted. What is exponential elsewhere, what is usual, and what is slow here.
#[divan::bench(args = [r"(a+)+c", r"(.*)*x", r"(a?){300}a{300}c", r"[^@\s]+@[^@\s]+\.[a-z]{2,}", r"a.{100}c", r"[ab]*a[ab]{100}c", r"[ab]*a[ab]{500}c", r"[ab]*a[ab]{1000}c", r"[ab]*a[ab]{2500}c"], sample_count = 3, sample_size = 1)]
fn pattern_on_hostile_text(bencher: Bencher<'_, '_>, pattern: &str) {
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if state >> 40 & 1 == 1 { 'a' } else { 'b' }
    };
    let pattern = pattern::anywhere(pattern).expect("a good pattern");
    let longest = pattern.longest(pattern::MATCHED);
    let text: String = (0..longest).map(|_| random()).collect();
    bencher.bench_local(|| {
        let mut room = pattern::Room::new(pattern::MATCHED);
        black_box(&pattern).is_match(black_box(&text), &mut room)
    });
}

const ENROLLMENT: &str = r#"
[form]
submit = "POST /enroll"

[fields.first_name]
required = true
maxlength = 60

[fields.email]
required = true
type = "email"
pattern = '[^@\s]+@[^@\s]+\.[a-z]{2,}'
normalize = ["trim", "lowercase"]

[fields.age]
type = "integer"
min = 5
max = 17

[[rule]]
on = "preprocess"
when = "@.doc.age < 16 && !@.doc.guardian"
reply = { msg = "{doc.first_name} needs a guardian.", msg_type = "error", focus_on = "guardian" }

[[rule]]
on = "preprocess"
matches = { "$.doc.email" = '@example\.org$' }
reply = { msg = "Welcome back.", msg_type = "information" }
"#;

fn form() -> Arc<Form> {
    let file = Written {
        name: "rules/enrollment.toml".to_owned(),
        stem: "enrollment".to_owned(),
        text: ENROLLMENT.to_owned(),
    };
    let loaded = Book::compile(vec![file], Path::new(""), &[]).expect("good");
    Arc::clone(loaded.book.form("enrollment").expect("the form"))
}

fn doc() -> Doc {
    let mut flat = Flat::new(&Arc::new(Hidden::default()), 512);
    for (name, value) in [
        ("first_name", "Ana"),
        ("last_name", "Keller"),
        ("email", "ana@example.org"),
        ("age", "12"),
        ("guardian", "Eva"),
        ("zip", "3011"),
        ("city", "Bern"),
        ("interests", "sail"),
        ("interests", "swim"),
        ("message", "See you at the lake."),
    ] {
        flat.push_text(name, value);
    }
    Doc::from(flat)
}

fn nowhere() -> Allowed<'static> {
    Allowed {
        own: None,
        hosts: &[],
    }
}

#[divan::bench]
fn fields_and_rules(bencher: Bencher<'_, '_>) {
    let route = Route {
        form: form(),
        id: "enrollment".to_owned(),
        part: FormPart::Submission,
        is_get: false,
        params: Vec::new(),
    };
    let occasion = Occasion::default();
    let trace = Trace::begin(1);
    let asked = Asked {
        event: Event::Preprocess,
        route: &route,
        occasion: &occasion,
        allowed: nowhere(),
        here: "",
        lang: Lang::default(),
        trace: &trace,
        leg: &Leg::none(),
        matched: pattern::MATCHED,
        remark: None,
    };
    bencher.with_inputs(doc).bench_local_values(|mut doc| {
        let mut decision = Decision::new(Event::Preprocess);
        local::check(&asked, &mut doc, &mut decision, &mut Trail::default());
        (doc, decision)
    });
}

fn call() -> Value {
    let items: Vec<Value> = (0..20)
        .map(|number| json!({"sku": format!("AB-{number}"), "qty": number}))
        .collect();
    json!({
        "event": "form_preprocess_order", "user_info": {"id": "u-17"}, "meta_info": {"locale": "en-GB"},
        "doc": {"age": 12, "email": "ana@example.org", "items": items},
    })
}

#[divan::bench(args = [
    "@.doc.age < 16 && !@.doc.guardian",
    "search(@.doc.email, '@example[.]org$')",
    "count(@.doc.items[?@.qty > 3]) > 5",
    "@.doc..sku",
])]
fn condition(bencher: Bencher<'_, '_>, expression: &str) {
    let condition = Condition::compile(expression).expect("good");
    let call = call();
    bencher.bench_local(|| {
        condition.holds(black_box(&call), &[], pattern::Room::new(pattern::MATCHED))
    });
}

#[divan::bench(args = [1, 10])]
fn fold(bencher: Bencher<'_, '_>, replies: usize) {
    let given = || -> Vec<(Reply, OnConflict)> {
        (0..replies)
            .map(|number| {
                let reply = Reply::go_on()
                    .say(MsgType::Information, "by the way")
                    .change(format!("field_{number}"), json!("Bern"));
                (reply, OnConflict::Continue)
            })
            .collect()
    };
    bencher
        .with_inputs(given)
        .bench_local_values(|given| decide(Event::Preprocess, given));
}
