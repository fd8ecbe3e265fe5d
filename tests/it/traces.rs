//! Traces: the tree of spans that a collector is sent, which trace a request goes on with, what hooks and backends are
//! told of it, and that a collector which misbehaves changes nothing for people.

use std::collections::BTreeMap;
use std::time::Duration;

use formgate::account::spans::Believed;
use formgate::model::origin::Origin;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;

use crate::support::App;
use crate::support::Site;
use crate::support::collector::Collector;
use crate::support::collector::Told;
use crate::support::peer::Peer;
use crate::support::peer::Script;
use crate::support::site;
use crate::support::within;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

const RULES: &str = r#"
[form]
submit = "POST /contact"
hidden = ["card"]
[[hook]]
on = "preprocess"
name = "first"
url = "HOOK/first?key=planted-query"
[[hook]]
on = "preprocess"
name = "second"
url = "HOOK/second"
[[hook]]
on = "submit"
name = "after"
url = "HOOK/after"
"#;

/// A gateway with the form `contact` that sends traces there.
fn traced(to: &Peer) -> Site {
    let origin = Origin::parse(&to.url()).expect("a URL");
    site().rules("contact", RULES).configure(|config| {
        config.telemetry.otlp = Some((origin, "/v1/traces".to_owned()));
        config.telemetry.sampling.believed = Believed::Always;
    })
}

async fn start(to: &Peer) -> App {
    let app = traced(to).start().await;
    app.hooks.always(Script::answer(204, "", ""));
    app
}

fn lost_spans(app: &App) -> u64 {
    app.gate.metrics().telemetry.spans_lost.get()
}

fn by_name(spans: &[Told]) -> BTreeMap<&str, &Told> {
    spans
        .iter()
        .map(|span| (span.name.as_str(), span))
        .collect()
}

#[tokio::test]
async fn a_submission_is_a_tree_of_spans() {
    let collector = Collector::start().await;
    let app = start(&collector.0).await;
    app.hooks
        .reply_at("/second", &json!({"jdoc": {"city": "planted-city"}}));
    app.backend.always(Script::answer(201, "", "saved"));
    let answer = app
        .post("/contact?planted=query")
        .header("traceparent", PARENT)
        .header("tracestate", "vendor=planted")
        .form("name=planted-name&card=planted-card")
        .send()
        .await;
    assert_eq!(answer.status, 201);
    let spans = collector.spans(12).await;
    assert_eq!(spans.len(), 12, "{spans:#?}");
    let named = by_name(&spans);
    let root = named["POST contact"];
    assert_eq!(root.kind, SpanKind::Server);
    assert_eq!(root.parent, "b7ad6b7169203331", "the client's own span");
    assert!(
        spans
            .iter()
            .all(|span| span.trace == "0af7651916cd43dd8448eb211c80319c")
    );
    assert!(spans.iter().all(|span| span.state == "vendor=planted"));
    for (name, parent, kind) in [
        ("recognise", "POST contact", SpanKind::Internal),
        ("decode", "POST contact", SpanKind::Internal),
        (
            "consult form_preprocess",
            "POST contact",
            SpanKind::Internal,
        ),
        ("call first", "consult form_preprocess", SpanKind::Client),
        ("call second", "consult form_preprocess", SpanKind::Client),
        ("apply", "POST contact", SpanKind::Internal),
        ("forward", "POST contact", SpanKind::Client),
        ("consult form_submit", "POST contact", SpanKind::Internal),
        ("call after", "consult form_submit", SpanKind::Client),
    ] {
        let (span, parent) = (named[name], named[parent]);
        assert_eq!((&span.parent, span.kind), (&parent.id, kind), "{name}");
        let within = parent.times.0 <= span.times.0 && span.times.1 <= parent.times.1;
        assert!(within && span.times.0 <= span.times.1, "{name}: {spans:#?}");
    }
    // Whoever was asked was told of the span in which that was done.
    for call in app.hooks.received() {
        let span = named[format!("call {}", &call.path()[1..]).as_str()];
        assert_eq!(call.headers_of("traceparent"), [span.as_parent()]);
        assert_eq!(call.headers_of("tracestate"), ["vendor=planted"]);
    }
    let forwarded = app.backend.only();
    assert_eq!(
        forwarded.headers_of("traceparent"),
        [named["forward"].as_parent()]
    );
    assert_eq!(forwarded.headers_of("tracestate"), ["vendor=planted"]);
    for (span, attribute, value) in [
        ("POST contact", "http.request.method", "POST"),
        ("POST contact", "http.response.status_code", "201"),
        ("POST contact", "http.response.body.size", "5"),
        ("POST contact", "http.request.body.size", "35"),
        ("POST contact", "network.protocol.version", "1.1"),
        ("POST contact", "formgate.form", "contact"),
        ("POST contact", "formgate.event", "form_submit"),
        ("POST contact", "formgate.outcome", "accepted"),
        ("consult form_preprocess", "formgate.decision", "patched"),
        ("consult form_preprocess", "formgate.changed", "1"),
        ("call first", "formgate.outcome", "continued"),
        ("call first", "formgate.run", "1"),
        ("call first", "http.response.status_code", "204"),
        ("call second", "formgate.outcome", "patched"),
        ("apply", "formgate.changed", "1"),
        ("forward", "http.response.status_code", "201"),
    ] {
        assert_eq!(named[span].get(attribute), value, "{span} {attribute}");
    }
    assert_eq!(
        root.get("formgate.request_id"),
        forwarded.header("x-request-id").expect("an id")
    );
    let resource = collector.resource();
    assert_eq!(resource["service.name"], "formgate");
    let sent = collector.0.received().remove(0);
    assert_eq!(sent.path(), "/v1/traces");
    assert_eq!(sent.headers_of("content-type"), ["application/x-protobuf"]);
}

#[tokio::test]
async fn no_value_of_a_person_is_in_a_trace() {
    let collector = Collector::start().await;
    let app = start(&collector.0).await;
    app.hooks.reply_at(
        "/second",
        &json!({"msg": "planted-message", "msg_type": "error", "debug": "planted-debug"}),
    );
    let asks = [
        app.post("/contact?planted-query=1")
            .form("name=planted-name&card=planted-card"),
        app.get("/planted-path?planted-query=1"),
        app.ask("PLANTED-METHOD", "/x"),
        app.post("/contact").body("planted/type", "planted-body"),
    ];
    let count = asks.len();
    for ask in asks {
        ask.header("cookie", "planted-cookie=1")
            .header("authorization", "Bearer planted-token")
            .header("user-agent", "planted-agent")
            .header("tracestate", "no state; planted-state")
            .send()
            .await;
    }
    let roots = |spans: &[Told]| {
        spans
            .iter()
            .filter(|span| span.kind == SpanKind::Server)
            .count()
    };
    let mut spans = Vec::new();
    while roots(&spans) < count {
        spans = collector.spans(spans.len() + 1).await;
    }
    for sent in collector.0.received() {
        let bytes = String::from_utf8_lossy(&sent.body).to_lowercase();
        assert!(!bytes.contains("planted"), "{bytes}");
        assert!(!bytes.contains("127.0.0.1"), "an address: {bytes}");
    }
    assert!(spans.iter().any(|span| span.name == "_OTHER"));
}

#[tokio::test]
async fn the_parent_says_whether_a_trace_is_written_down() {
    let collector = Collector::start().await;
    let app = start(&collector.0).await;
    let ask = |parent| {
        app.post("/contact")
            .header("traceparent", parent)
            .form("a=1")
    };
    ask(UNSAMPLED).send().await;
    // Told all the same, so that the others do as the client wants, too.
    let told: Vec<String> = app
        .hooks
        .received()
        .iter()
        .chain(&app.backend.received())
        .map(|request| request.header("traceparent").expect("a trace").to_owned())
        .collect();
    assert_eq!(told.len(), 4);
    for parent in &told {
        assert!(
            parent.starts_with(&UNSAMPLED[..36]) && parent.ends_with("-00"),
            "{parent}"
        );
        assert_ne!(parent, UNSAMPLED, "the gateway's own span");
    }
    ask(PARENT).send().await;
    let spans = collector.spans(12).await;
    assert_eq!(
        spans.len(),
        12,
        "only those of the second request: {spans:#?}"
    );
}

#[tokio::test]
async fn a_share_of_nothing_is_nothing_and_yet_told() {
    let collector = Collector::start().await;
    let site = traced(&collector.0).configure(|config| config.telemetry.sampling.share = 0.0);
    let app = site.start().await;
    app.get("/x").send().await;
    let parent = app.backend.only();
    let parent = parent.header("traceparent").expect("a trace");
    assert!(parent.ends_with("-00"), "{parent}");
    app.get("/x").header("traceparent", PARENT).send().await;
    let spans = collector.spans(4).await;
    assert_eq!(
        spans.len(),
        4,
        "recognise, forward, respond and the request: {spans:#?}"
    );
}

#[tokio::test]
async fn only_those_are_gone_on_with_who_are_believed() {
    let collector = Collector::start().await;
    for (believed, trusted, goes_on) in [
        (Believed::Trusted, false, false),
        (Believed::Trusted, true, true),
        (Believed::Always, false, true),
        (Believed::Never, true, false),
    ] {
        let mut site =
            traced(&collector.0).configure(|config| config.telemetry.sampling.believed = believed);
        if trusted {
            site = site.trusting();
        }
        let app = site.start().await;
        app.get("/x")
            .header("traceparent", PARENT)
            .header("tracestate", "vendor=1")
            .send()
            .await;
        let passed = app.backend.only();
        let parents = passed.headers_of("traceparent");
        assert_eq!(parents.len(), 1);
        assert_eq!(
            (
                parents[0].starts_with(&PARENT[..36]),
                passed.headers_of("tracestate").len()
            ),
            (goes_on, usize::from(goes_on)),
            "{believed:?}, trusted: {trusted}"
        );
    }
}

#[tokio::test]
async fn what_is_no_trace_is_not_gone_on_with() {
    let collector = Collector::start().await;
    let app = start(&collector.0).await;
    for (parents, begins) in [
        (
            vec!["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x"],
            false,
        ),
        (
            vec!["00-00000000000000000000000000000000-b7ad6b7169203331-01"],
            false,
        ),
        (vec![PARENT, PARENT], false),
        (
            vec!["01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"],
            true,
        ),
    ] {
        let before = app.backend.count();
        let mut ask = app.get("/x");
        for parent in &parents {
            ask = ask.header("traceparent", parent);
        }
        ask.send().await;
        let passed = app.backend.received().remove(before);
        let told = passed.headers_of("traceparent");
        assert_eq!(told.len(), 1, "{parents:?}");
        assert_eq!(told[0].starts_with(&PARENT[..36]), begins, "{parents:?}");
    }
}

#[tokio::test]
async fn without_a_collector_traces_pass_through() {
    let app = site().rules("contact", RULES).start().await;
    assert!(app.accounts.is_none(), "there is no account");
    app.hooks.always(Script::answer(204, "", ""));
    for ask in [app.post("/contact").form("a=1"), app.get("/x")] {
        ask.header("traceparent", PARENT)
            .header("tracestate", "vendor=1, b=2")
            .send()
            .await;
    }
    for passed in app.backend.received() {
        assert_eq!(passed.headers_of("traceparent"), [PARENT]);
        assert_eq!(passed.headers_of("tracestate"), ["vendor=1, b=2"]);
    }
    for call in app.hooks.received() {
        let parent = call.header("traceparent").expect("a trace");
        assert!(
            parent.starts_with(&PARENT[..36]) && parent != PARENT,
            "{parent}"
        );
        assert_eq!(call.headers_of("tracestate"), ["vendor=1,b=2"]);
    }
}

#[tokio::test]
async fn a_hook_that_fails_and_one_in_shadow_have_their_spans() {
    let collector = Collector::start().await;
    let origin = Origin::parse(&collector.0.url()).expect("a URL");
    let rules = r#"
[form]
submit = "POST /contact"
[[hook]]
on = "preprocess"
name = "shade"
url = "HOOK/shade"
mode = "shadow"
[[hook]]
on = "preprocess"
name = "broken"
url = "HOOK/broken"
"#;
    let app = site().rules("contact", rules).configure(|config| {
        config.telemetry.otlp = Some((origin, "/v1/traces".to_owned()));
    });
    let app = app.start().await;
    app.hooks.at("/shade", Script::answer(204, "", ""));
    app.hooks.at("/broken", Script::answer(500, "", ""));
    assert_eq!(app.post("/contact").form("a=1").send().await.status, 503);
    let mut spans = Vec::new();
    while !by_name(&spans).contains_key("call shade")
        || !by_name(&spans).contains_key("POST contact")
    {
        spans = collector.spans(spans.len() + 1).await;
    }
    let named = by_name(&spans);
    let (broken, shade) = (named["call broken"], named["call shade"]);
    assert!(broken.failed && broken.get("formgate.outcome") == "failed");
    assert!(
        named["POST contact"].failed,
        "a 503 is the gateway's failure"
    );
    assert_eq!(
        (shade.get("formgate.outcome"), shade.get("formgate.would")),
        ("shadow", "continued")
    );
    assert_eq!(shade.parent, named["consult form_preprocess"].id);
    let told = app.hooks.wait_for(2).await;
    let told = told.iter().find(|call| call.path() == "/shade");
    let told = told
        .expect("a call")
        .header("traceparent")
        .expect("a trace");
    assert_eq!(told, shade.as_parent());
}

#[tokio::test]
async fn a_dead_collector_changes_nothing() {
    let dead = Peer::start().await;
    dead.close();
    let app = start(&dead).await;
    for _ in 0..3 {
        assert_eq!(app.post("/contact").form("a=1").send().await.status, 200);
    }
    let accounts = app.accounts.clone().expect("traces");
    within("the end of telling", accounts.end()).await;
    // All of them were tried and are counted.
    let mut lost = 0;
    while lost < 36 {
        within("spans that are counted", accounts.end()).await;
        lost = lost_spans(&app);
    }
    let warnings = app.log.of("formgate::telemetry");
    assert_eq!(warnings.len(), 1, "said once: {warnings:?}");
    assert!(app.end().await);
}

#[tokio::test]
async fn failing_is_said_once_and_so_is_working_again() {
    let collector = Collector::start().await;
    collector
        .0
        .next(Script::answer(503, "retry-after: 0\r\n", ""));
    collector.0.next(Script::answer(
        400,
        "",
        "planted: what a collector says is not ours to log",
    ));
    let app = start(&collector.0).await;
    app.get("/x").send().await;
    // The first message is sent again after a 503, and given up after a 400.
    let sent = collector.0.wait_for(2).await;
    assert_eq!(sent[0].body, sent[1].body);
    app.get("/x").send().await;
    collector.0.wait_for(3).await;
    let accounts = app.accounts.clone().expect("traces");
    within("the end of telling", accounts.end()).await;
    let lost = lost_spans(&app);
    assert_eq!(lost, 4);
    let said = app.log.of("formgate::telemetry");
    let said: Vec<&str> = said
        .iter()
        .map(|entry| entry["message"].as_str().expect("text"))
        .collect();
    assert_eq!(
        said,
        [
            "traces cannot be delivered: it answered with status 503",
            "traces are delivered again",
        ]
    );
}

#[tokio::test]
async fn a_collector_that_hangs_holds_up_nobody() {
    let collector = Peer::start().await;
    collector.always(Script::Hang);
    let site = traced(&collector).configure(|config| {
        config.telemetry.otlp_timeout = Duration::from_secs(3600);
    });
    let app = site.start().await;
    app.hooks.always(Script::answer(204, "", ""));
    app.get("/x").send().await;
    collector.wait_for(1).await;
    // More than the queue holds.
    let mut wire = app.connect().await;
    let mut asked = 0;
    while lost_spans(&app) == 0 {
        wire.write(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(wire.answer_to("GET").await.status, 200);
        asked += 1;
        assert!(asked < 10_000, "the queue has an end");
    }
    assert!(asked > 1000, "and it is not short: {asked}");
    app.get("/x").send().await;
    let said = app.log.of("formgate::telemetry");
    let said: Vec<_> = said.iter().map(|entry| &entry["message"]).collect();
    assert_eq!(said, ["spans are lost, since too many wait"], "said once");
    assert!(app.end().await);
}

#[tokio::test]
async fn a_collector_is_told_who_speaks() {
    let collector = Collector::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("token"), "Bearer planted-token\n").expect("written");
    let file = folder.path().join("formgate.toml");
    let text = format!(
        "[telemetry]\notlp = '{}/otlp'\nservice = 'front'\nsample = 0.5\n\
         otlp_headers = ['authorization=file:token', 'X-Scope=a b']\nresource = ['deployment.environment.name=test']\n",
        collector.0.url()
    );
    std::fs::write(&file, text).expect("written");
    let configured = formgate::config::Config::load(Some(&file), &Vec::new());
    let configured = configured.expect("good").config;
    let shown = format!("{:?} {configured:?}", configured.shown());
    assert!(!shown.contains("planted"), "{shown}");
    let telemetry = configured.telemetry;
    assert!((telemetry.sampling.share - 0.5).abs() < f64::EPSILON);
    let app = site()
        .configure(|config| config.telemetry = telemetry)
        .trusting();
    let app = app.start().await;
    app.get("/x").header("traceparent", PARENT).send().await;
    collector.spans(4).await;
    let sent = collector.0.received().remove(0);
    assert_eq!(sent.path(), "/otlp/v1/traces");
    assert_eq!(sent.headers_of("authorization"), ["Bearer planted-token"]);
    assert_eq!(sent.headers_of("x-scope"), ["a b"]);
    let resource = collector.resource();
    assert_eq!(resource["service.name"], "front");
    assert_eq!(resource["deployment.environment.name"], "test");
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
}
