//! The admin listener: probes and numbers, on a socket of their own.

use formgate::metrics::word::Reloaded;

use crate::support::app;
use crate::support::client::Ask;
use crate::support::client::Wire;
use crate::support::peer::Script;
use crate::support::site;

const CONTACT: &str = r#"
[form]
submit = "POST /contact"
"#;

#[tokio::test]
async fn probes_are_answered_beside_the_gateway_and_never_through_it() {
    let app = app(CONTACT).await;
    app.backend.always(Script::answer(404, "", "the backend's"));
    app.gate.metrics().reload(Reloaded::Rules).begin();
    let admin = app.admin().await;
    for (path, status, text) in [
        ("/livez", 200, "alive\n"),
        ("/readyz", 200, "ready\n"),
        ("/metrics", 200, "# HELP formgate_requests_total "),
        ("/", 404, "nothing is here"),
        ("/contact", 404, "nothing is here"),
    ] {
        let answer = Ask::new(admin, "GET", path).send().await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.text().starts_with(text), "{path}: {}", answer.text());
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    }
    assert_eq!(Ask::new(admin, "POST", "/livez").send().await.status, 405);
    assert_eq!(Ask::new(admin, "HEAD", "/livez").send().await.status, 200);
    assert_eq!(app.backend.count(), 0, "nothing went through");
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(app.get(path).send().await.text(), "the backend's");
    }
}

#[tokio::test]
async fn readiness_says_why_not() {
    let app = app(CONTACT).await;
    let admin = app.admin().await;
    let plain = || Ask::new(admin, "GET", "/readyz").send();
    let starting = plain().await;
    assert_eq!(starting.status, 503);
    assert_eq!(starting.text(), "not ready: starting\n");
    let metrics = app.gate.metrics();
    metrics.reload(Reloaded::Rules).begin();
    assert_eq!(plain().await.status, 200);
    metrics.reload(Reloaded::Rules).note(false);
    assert_eq!(
        plain().await.status,
        200,
        "the last good rules are in force"
    );
    let verbose = Ask::new(admin, "GET", "/readyz?verbose").send().await;
    assert_eq!(verbose.header("content-type"), Some("application/json"));
    let report = verbose.json();
    assert_eq!(report["ready"], true);
    assert_eq!(report["reloads"]["rules"]["good"], false);
    metrics.draining.set(true);
    let draining = Ask::new(admin, "GET", "/readyz").header("accept", "application/json");
    let draining = draining.send().await;
    assert_eq!(draining.status, 503);
    assert_eq!(draining.json()["reasons"], serde_json::json!(["draining"]));
    assert_eq!(Ask::new(admin, "GET", "/livez").send().await.status, 200);
}

#[tokio::test]
async fn a_full_gateway_is_not_ready_and_says_so_beside_it() {
    let app = site()
        .configure(|config| config.limits.connections = 1)
        .start()
        .await;
    app.gate.metrics().reload(Reloaded::Rules).begin();
    let admin = app.admin().await;
    let mut only = app.connect().await;
    only.write(b"GET /_formgate/formgate.css HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    assert_eq!(only.answer().await.status, 200);
    // Whoever accepts looks for the next place as soon as the only one is taken.
    let full = Ask::new(admin, "GET", "/readyz").send().await;
    assert_eq!(
        (full.status, full.text().as_str()),
        (503, "not ready: full\n")
    );
    let numbers = app.numbers().await;
    assert_eq!(numbers.count("formgate_connections_full"), 1);
    assert_eq!(numbers.count("formgate_connections_open"), 1);
    only.finish().await;
    only.rest().await;
    let mut next = app.connect().await;
    next.write(b"GET /_formgate/formgate.css HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await;
    assert_eq!(next.answer().await.status, 200);
    assert_eq!(app.numbers().await.count("formgate_connections_total"), 2);
}

#[tokio::test]
async fn numbers_come_in_the_format_that_is_asked_for() {
    let app = app(CONTACT).await;
    let admin = app.admin().await;
    // What Prometheus 3 sends.
    let accept = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                  text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.2";
    let ask = Ask::new(admin, "GET", "/metrics").header("accept", accept);
    let open = ask.send().await;
    assert_eq!(
        open.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(open.text().ends_with("# EOF\n"));
    let plain = Ask::new(admin, "GET", "/metrics").send().await;
    assert_eq!(
        plain.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    assert!(!plain.text().contains("# EOF"));
}

#[tokio::test]
async fn who_dawdles_or_sends_too_much_is_not_waited_for() {
    let app = app(CONTACT).await;
    let admin = app.admin().await;
    let mut large = Wire::connect(admin).await;
    let head = format!(
        "GET /livez HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "y".repeat(64 << 10)
    );
    large.write(head.as_bytes()).await;
    let answer = String::from_utf8(large.rest().await).expect("text");
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    assert_eq!(Ask::new(admin, "GET", "/livez").send().await.status, 200);
}
