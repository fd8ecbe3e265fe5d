//! Rules that change while requests are under way: each keeps the snapshot it began with, a bad book never replaces
//! a good one, and what the gateway has learned about responders is not forgotten.

use std::sync::Arc;

use formgate::rules::book::Written;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::support::app;
use crate::support::book;
use crate::support::peer::Peer;
use crate::support::peer::Script;

fn rules(hooks: &str) -> String {
    format!("[form]\nsubmit = \"POST /contact\"\n{hooks}")
}

fn hook(name: &str, more: &str) -> String {
    format!("[[hook]]\non = \"preprocess\"\nname = \"{name}\"\nurl = \"HOOK/{name}\"\n{more}\n")
}

#[tokio::test]
async fn a_request_keeps_the_rules_it_began_with() {
    let first = rules(&format!("{}{}", hook("one", ""), hook("two", "")));
    let app = app(&first).await;
    app.hooks.always(Script::answer(204, "", ""));
    let release = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&release);
    app.hooks.at(
        "/one",
        Script::custom(move |_, mut wire| {
            let held = Arc::clone(&held);
            async move {
                held.acquire().await.expect("open").forget();
                wire.write(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            }
        }),
    );
    let under_way = tokio::spawn(app.post("/contact").form("a=1").send());
    app.hooks.wait_for(1).await;
    app.reload(&rules(&hook("three", "")));
    assert_eq!(app.post("/contact").form("a=2").send().await.status, 200);
    release.add_permits(1);
    assert_eq!(under_way.await.expect("no panic").status, 200);
    let calls = app.hooks.received();
    let paths: Vec<&str> = calls.iter().map(|call| call.path()).collect();
    assert_eq!(paths, ["/one", "/three", "/two"]);
    // Routes come and go, too.
    app.reload("[form]\nsubmit = \"POST /other\"\n");
    assert_eq!(app.post("/contact").form("a=3").send().await.status, 200);
    assert_eq!(app.hooks.count(), 3, "it is nobody's form any more");
}

#[tokio::test]
async fn a_bad_book_is_no_book() {
    let backend = Peer::start().await;
    let hooks = Peer::start().await;
    let written = |text: &str| {
        vec![Written {
            name: "rules/contact.toml".to_owned(),
            stem: "contact".to_owned(),
            text: text.to_owned(),
        }]
    };
    for bad in [
        "[form]\nsubmit = \"POST /contact\"\non_failur = 1\n",
        "[form]\nsubmit = \"contact\"\n",
        "not toml at all",
        "[form]\nsubmit = \"POST /contact\"\n[[hook]]\non = \"preprocess\"\nurl = \"HOOK/x\"\nsecrets = [\"env:NO_SUCH_VARIABLE_HERE\"]\n",
    ] {
        // There is nothing to put in force: what is in force stays.
        assert!(book(written(bad), &[], &backend, &hooks).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn breakers_and_connections_survive() {
    let breaker = "on_failure = \"continue\"\nbreaker = { failures = 2, retry_after = \"1h\" }";
    let app = app(&rules(&hook("one", breaker))).await;
    app.hooks.always(Script::page(500, "broken"));
    for _ in 0..3 {
        app.post("/contact").form("a=1").send().await;
    }
    assert_eq!((app.hooks.count(), app.hooks.connections()), (2, 1));
    // The same hook, with another that is new: the one is left alone, the other is called, on the kept connection.
    app.reload(&rules(&format!(
        "{}{}",
        hook("two", "on_failure = \"continue\""),
        hook("one", breaker)
    )));
    app.post("/contact").form("a=1").send().await;
    let calls = app.hooks.received();
    assert_eq!((calls.len(), calls[2].path()), (3, "/two"));
    assert_eq!(app.hooks.connections(), 1);
    assert_eq!(app.backend.connections(), 1, "towards the backend as well");
    // A hook with another URL is another hook.
    app.reload(&rules(&hook("one", breaker).replace("/one", "/one/v2")));
    app.post("/contact").form("a=1").send().await;
    assert_eq!(
        app.hooks.received().pop().expect("a call").path(),
        "/one/v2"
    );
}

#[tokio::test]
async fn a_failure_of_a_call_that_began_before_counts_after() {
    let breaker = "on_failure = \"continue\"\nbreaker = { failures = 1, retry_after = \"1h\" }";
    let app = app(&rules(&hook("one", breaker))).await;
    let release = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&release);
    app.hooks.always(Script::custom(move |_, mut wire| {
        let held = Arc::clone(&held);
        async move {
            held.acquire().await.expect("open").forget();
            wire.write(b"HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n")
                .await;
        }
    }));
    let under_way = tokio::spawn(app.post("/contact").form("a=1").send());
    app.hooks.wait_for(1).await;
    app.reload(&rules(&hook("one", breaker)));
    release.add_permits(1);
    under_way.await.expect("no panic");
    app.post("/contact").form("a=1").send().await;
    assert_eq!(app.hooks.count(), 1, "the hook is left alone");
    assert_eq!(app.log.jobs()[1]["outcome"], json!("skipped"));
}
