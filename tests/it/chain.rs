//! The chain of hooks of one event: order, parallel neighbours, shadow and off, the budget, the one safe second
//! attempt, the breaker, failures, and what several replies come to.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::support::App;
use crate::support::app;
use crate::support::client::Answer;
use crate::support::peer::Peer;
use crate::support::peer::Script;
use crate::support::site;
use crate::support::within;

/// Hooks at these paths, each with more keys.
fn form(keys: &str, hooks: &[(&str, &str)]) -> String {
    let mut rules = format!("[form]\nsubmit = \"POST /contact\"\n{keys}\n");
    for (name, more) in hooks {
        rules.push_str(&format!(
            "[[hook]]\non = \"preprocess\"\nname = \"{name}\"\nurl = \"HOOK/{name}\"\n{more}\n"
        ));
    }
    rules
}

async fn submit(app: &App, body: &str) -> Answer {
    app.post("/contact").form(body).send().await
}

fn paths(app: &App) -> Vec<String> {
    let calls = app.hooks.received();
    calls.iter().map(|call| call.path().to_owned()).collect()
}

fn outcomes(app: &App) -> Vec<String> {
    let jobs = app.log.jobs();
    let shown = jobs.iter().map(|job| {
        let text = |key: &str| job[key].as_str().unwrap_or_default().to_owned();
        format!("{} {}", text("hook"), text("outcome"))
    });
    shown.collect()
}

#[tokio::test]
async fn hooks_run_in_order_each_on_the_doc_as_changed_so_far() {
    let app = app(&form("", &[("one", ""), ("two", ""), ("three", "")])).await;
    app.hooks.reply_at(
        "/one",
        &json!({"jdoc": {"city": "Bern", "a": null}, "msg": "First."}),
    );
    app.hooks.reply_at(
        "/two",
        &json!({"jdoc": {"city": "Basel", "b": [1, "2"]}, "msg": "Look.", "msg_type": "warning"}),
    );
    app.hooks.reply_at(
        "/three",
        &json!({"msg": "Done.", "msg_type": "success", "focus_on": "city"}),
    );
    let answer = submit(&app, "a=1&city=x&c=3").await;
    let docs: Vec<Value> = app
        .hooks
        .received()
        .iter()
        .map(|call| call.json()["doc"].clone())
        .collect();
    assert_eq!(
        docs,
        [
            json!({"a": "1", "city": "x", "c": "3"}),
            json!({"city": "Bern", "c": "3"}),
            json!({"city": "Basel", "c": "3", "b": [1, "2"]}),
        ]
    );
    assert_eq!(app.backend.only().text(), "city=Basel&c=3&b=1&b=2");
    let said = answer.reply();
    assert_eq!(
        (&said["msg"], &said["msg_type"]),
        (&json!("Look."), &json!("warning"))
    );
    let messages: Vec<&Value> = said["messages"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|m| &m["msg"])
        .collect();
    assert_eq!(messages, ["First.", "Look.", "Done."]);
    assert_eq!(
        said["changed"],
        json!({"city": "Basel", "a": null, "b": [1, "2"]})
    );
    assert_eq!(said["focus_on"], "city");
    let decision = app.log.of("formgate::decision").pop().expect("a decision");
    assert_eq!(
        (&decision["decision"], &decision["overwritten"]),
        (&json!("patched"), &json!("city"))
    );
}

#[tokio::test]
async fn the_first_stop_ends_the_chain() {
    for (reply, status) in [
        (json!({"msg": "No.", "msg_type": "error"}), 422),
        (json!({"redirect": "/elsewhere"}), 200),
        (
            json!({"msg": "No.", "msg_type": "error", "redirect": "/elsewhere"}),
            422,
        ),
    ] {
        let app = app(&form("", &[("one", ""), ("two", ""), ("three", "")])).await;
        app.hooks.always(Script::answer(204, "", ""));
        app.hooks.reply_at("/two", &reply);
        assert_eq!(submit(&app, "a=1").await.status, status);
        assert_eq!(paths(&app), ["/one", "/two"]);
        assert_eq!(app.backend.count(), 0, "{reply}");
    }
}

#[tokio::test]
async fn a_redirect_with_changes_is_no_way_around_later_hooks() {
    let rules = form(
        "redirect_hosts = [\"pay.example.org\"]",
        &[("one", ""), ("two", "")],
    );
    let app = app(&rules).await;
    app.hooks.reply_at(
        "/one",
        &json!({"jdoc": {"paid": "no"}, "redirect": "https://pay.example.org/x"}),
    );
    app.hooks
        .reply_at("/two", &json!({"msg": "No.", "msg_type": "error"}));
    let answer = submit(&app, "a=1").await;
    assert_eq!((answer.status, app.backend.count()), (422, 0));
    assert_eq!(answer.json()["redirect"], Value::Null);
    // If nobody minds, the person is sent away once the backend has accepted.
    app.hooks.reply_at("/two", &json!({"msg": "Fine."}));
    app.backend.always(Script::answer(
        201,
        "set-cookie: a=1\r\nset-cookie: b=2; HttpOnly\r\n",
        "made",
    ));
    let answer = app.post("/contact").form("a=1").page().send().await;
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header("location"), Some("https://pay.example.org/x"));
    assert_eq!(
        answer.headers_of("set-cookie"),
        ["a=1", "b=2; HttpOnly"],
        "the backend's own are kept"
    );
    assert_eq!(app.backend.only().text(), "a=1&paid=no");
    // If the backend refuses, its answer is what the person needs.
    app.backend.always(Script::page(400, "no such camp"));
    let answer = app.post("/contact").form("a=1").page().send().await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (400, "no such camp")
    );
}

#[tokio::test]
async fn an_error_with_changes_is_settled_as_the_rule_file_says() {
    let reply =
        json!({"msg": "Odd.", "msg_type": "error", "jdoc": {"city": "Bern"}, "focus_on": "city"});
    for (on_conflict, status, sent, suggestions) in [
        ("continue", 200, "city=Bern", json!({})),
        ("stop", 422, "", json!({})),
        ("suggest", 422, "", json!({"city": "Bern"})),
    ] {
        let app = app(&form(
            &format!("on_conflict = \"{on_conflict}\""),
            &[("one", ""), ("two", "")],
        ))
        .await;
        app.hooks.always(Script::answer(204, "", ""));
        app.hooks.reply_at("/one", &reply);
        let answer = submit(&app, "city=bern").await;
        assert_eq!(answer.status, status, "{on_conflict}");
        let said = if status == 200 {
            answer.reply()
        } else {
            answer.json()
        };
        assert_eq!(said["suggestions"], suggestions);
        let kind = if status == 200 { "warning" } else { "error" };
        assert_eq!(
            (&said["msg"], &said["msg_type"]),
            (&json!("Odd."), &json!(kind))
        );
        let received: Vec<String> = app
            .backend
            .received()
            .iter()
            .map(|sent| sent.text())
            .collect();
        assert_eq!(received.join(""), sent, "{on_conflict}");
        assert_eq!(app.log.jobs()[0]["conflict"], true);
        assert_eq!(app.hooks.count(), if status == 200 { 2 } else { 1 });
    }
}

/// A responder that answers only once so many calls are there at the same time.
fn together(count: usize) -> impl Fn(Value) -> Script {
    let (arrived, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    move |reply: Value| {
        let (arrived, gate) = (Arc::clone(&arrived), Arc::clone(&gate));
        Script::custom(move |_, mut wire| {
            let (arrived, gate) = (Arc::clone(&arrived), Arc::clone(&gate));
            let reply = reply.to_string();
            async move {
                if arrived.fetch_add(1, Ordering::SeqCst) + 1 == count {
                    gate.add_permits(count);
                }
                gate.acquire().await.expect("open").forget();
                let length = reply.len();
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
                wire.write(format!("{head}content-length: {length}\r\n\r\n{reply}").as_bytes())
                    .await;
            }
        })
    }
}

#[tokio::test]
async fn parallel_neighbours_run_together_on_one_doc_and_fold_in_file_order() {
    let parallel = "parallel = true";
    let hooks = [
        ("one", ""),
        ("two", parallel),
        ("three", parallel),
        ("four", parallel),
        ("five", ""),
    ];
    let app = app(&form("", &hooks)).await;
    app.hooks.always(Script::answer(204, "", ""));
    app.hooks.reply_at("/one", &json!({"jdoc": {"a": "1"}}));
    let at_once = together(3);
    app.hooks
        .at("/two", at_once(json!({"jdoc": {"city": "two", "b": "2"}})));
    app.hooks
        .at("/three", at_once(json!({"jdoc": {"city": "three"}})));
    app.hooks.at("/four", at_once(json!({"msg": "Four."})));
    let answer = submit(&app, "city=x").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let calls = app.hooks.received();
    for call in &calls[1..4] {
        assert_eq!(
            call.json()["doc"],
            json!({"city": "x", "a": "1"}),
            "the same for all three"
        );
    }
    assert_eq!(
        calls[4].json()["doc"],
        json!({"city": "three", "a": "1", "b": "2"})
    );
    assert_eq!(app.backend.only().text(), "city=three&a=1&b=2");
}

#[tokio::test]
async fn a_parallel_stop_counts_in_file_order_and_every_call_leaves_a_job() {
    let parallel = "parallel = true";
    let app = app(&form(
        "",
        &[
            ("one", parallel),
            ("two", parallel),
            ("three", parallel),
            ("four", ""),
        ],
    ))
    .await;
    let at_once = together(3);
    app.hooks.at("/one", at_once(json!({"msg": "Fine."})));
    app.hooks
        .at("/two", at_once(json!({"errors": {"city": "Two."}})));
    app.hooks
        .at("/three", at_once(json!({"errors": {"city": "Three."}})));
    let answer = submit(&app, "city=x").await;
    assert_eq!(answer.json()["errors"], json!({"city": "Two."}));
    assert_eq!(
        outcomes(&app),
        ["one continued", "two stopped", "three stopped"]
    );
    assert_eq!((app.hooks.count(), app.backend.count()), (3, 0));
}

#[tokio::test]
async fn neighbours_of_two_files_do_not_run_together() {
    let hook = |path: &str| {
        format!("[[hook]]\non = \"preprocess\"\nurl = \"HOOK/{path}\"\nparallel = true\n")
    };
    let own = format!("[form]\nsubmit = \"POST /contact\"\n{}", hook("own"));
    let all = format!("[form]\n{}", hook("all"));
    let app = site()
        .rules("all-forms", &all)
        .rules("contact", &own)
        .start()
        .await;
    app.hooks.reply(&json!({"msg": "No.", "msg_type": "error"}));
    assert_eq!(submit(&app, "a=1").await.status, 422);
    assert_eq!(paths(&app), ["/all"]);
}

#[tokio::test]
async fn a_shadow_is_called_and_recorded_and_not_waited_for() {
    let app = app(&form(
        "",
        &[
            ("shadow", "mode = \"shadow\""),
            ("off", "mode = \"off\""),
            ("real", ""),
        ],
    ))
    .await;
    let release = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&release);
    app.hooks.at("/shadow", Script::custom(move |_, mut wire| {
        let held = Arc::clone(&held);
        async move {
            held.acquire().await.expect("open").forget();
            let body = r#"{"msg": "No.", "msg_type": "error", "jdoc": {"city": "x"}}"#;
            wire.write(format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await;
        }
    }));
    app.hooks
        .reply_at("/real", &json!({"jdoc": {"city": "Bern"}}));
    let answer = submit(&app, "city=a").await;
    assert_eq!(answer.status, 200);
    assert_eq!(app.backend.only().text(), "city=Bern");
    assert_eq!(outcomes(&app), ["real patched"], "nobody waited");
    release.add_permits(1);
    // Where the gateway ends, it waits for these.
    app.gate.tasks().close();
    within("the shadow", app.gate.tasks().wait()).await;
    let jobs = app.log.jobs();
    assert_eq!(
        (&jobs[1]["hook"], &jobs[1]["outcome"]),
        (&json!("shadow"), &json!("shadow"))
    );
    assert_eq!(jobs[1]["would"], "stopped");
}

#[tokio::test]
async fn shadows_are_bounded() {
    let app = app(&form(
        "",
        &[("shadow", "mode = \"shadow\"\ntimeout = \"20s\"")],
    ))
    .await;
    app.hooks.always(Script::Hang);
    for _ in 0..40 {
        assert_eq!(submit(&app, "a=1").await.status, 200);
    }
    let skipped = outcomes(&app);
    assert_eq!(skipped.len(), 8, "{skipped:?}");
    assert!(skipped.iter().all(|job| job == "shadow skipped"));
    assert_eq!(app.hooks.wait_for(32).await.len(), 32);
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_is_tried_once_more() {
    for (on_failure, status) in [("stop", 503), ("continue", 200)] {
        let hook = format!("on_failure = \"{on_failure}\"");
        let app = app(&form("", &[("one", &hook)])).await;
        app.hooks.close();
        assert_eq!(submit(&app, "a=1").await.status, status);
        let job = &app.log.jobs()[0];
        assert_eq!(
            (&job["run"], &job["outcome"]),
            (&json!(2), &json!("failed"))
        );
        assert_eq!(job["let_through"], on_failure == "continue");
        assert!(
            job["faults"]
                .as_str()
                .expect("faults")
                .starts_with("connection: ")
        );
        assert_eq!(app.backend.count(), usize::from(on_failure == "continue"));
    }
}

#[tokio::test]
async fn a_busy_responder_is_asked_once_more_if_there_is_time() {
    for (status, retry_after, calls) in [
        (503, "retry-after: 0\r\n", 2),
        (429, "retry-after: 0\r\n", 2),
        (503, "retry-after: 3600\r\n", 1),
        (503, "retry-after: 18446744073709551615\r\n", 1),
        (503, "retry-after: soon\r\n", 1),
        (503, "", 1),
        (500, "retry-after: 0\r\n", 1),
    ] {
        let app = app(&form("", &[("one", "")])).await;
        app.hooks.next(Script::answer(status, retry_after, ""));
        app.hooks.reply(&json!({"jdoc": {"a": "2"}}));
        let answer = submit(&app, "a=1").await;
        assert_eq!(
            answer.status,
            if calls == 2 { 200 } else { 503 },
            "{status} {retry_after}"
        );
        let received = app.hooks.received();
        assert_eq!(received.len(), calls);
        let runs: Vec<u64> = received
            .iter()
            .filter_map(|call| call.json()["meta_info"]["run"].as_u64())
            .collect();
        assert_eq!(runs, [1, 2][..calls]);
        assert!(
            received
                .iter()
                .all(|call| call.header("webhook-id") == received[0].header("webhook-id"))
        );
        assert_eq!(app.log.jobs()[0]["run"], calls);
        assert_eq!(app.log.jobs().len(), 1, "one call, one job");
    }
}

#[tokio::test]
async fn a_responder_that_may_have_acted_is_never_asked_again() {
    for script in [
        Script::Reset,
        Script::Last(Vec::new()),
        Script::Last(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec()),
    ] {
        let app = app(&form("", &[("one", "")])).await;
        app.hooks.next(script);
        app.hooks.always(Script::answer(204, "", ""));
        assert_eq!(submit(&app, "a=1").await.status, 503);
        assert_eq!((app.hooks.count(), app.backend.count()), (1, 0));
    }
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_no_failure() {
    let app = app(&form("", &[("one", "")])).await;
    for _ in 0..5 {
        app.hooks.next(Script::Last(
            b"HTTP/1.1 204 No Content\r\nconnection: keep-alive\r\n\r\n".to_vec(),
        ));
        assert_eq!(submit(&app, "a=1").await.status, 200);
        app.hooks.wait_until_left().await;
    }
}

#[tokio::test]
async fn the_budget_is_for_all_hooks_of_an_event() {
    let hooks = [
        ("one", "timeout = \"400ms\"\non_failure = \"continue\""),
        ("two", ""),
    ];
    let app = app(&form("budget = \"300ms\"", &hooks)).await;
    app.hooks.always(Script::answer(204, "", ""));
    app.hooks.at("/one", Script::Hang);
    let answer = submit(&app, "a=1").await;
    assert_eq!(answer.status, 503);
    let jobs = app.log.jobs();
    assert_eq!(
        (&jobs[0]["outcome"], &jobs[1]["outcome"]),
        (&json!("timed_out"), &json!("skipped"))
    );
    assert!(
        jobs[1]["faults"]
            .as_str()
            .expect("faults")
            .contains("budget")
    );
    assert_eq!(paths(&app), ["/one"], "`two` was not even called");
    let left: u64 = app
        .hooks
        .only()
        .header("formgate-timeout-ms")
        .expect("told")
        .parse()
        .expect("a number");
    assert!(left <= 300, "{left}");
}

#[tokio::test]
async fn a_hook_that_had_too_little_of_the_events_time_has_not_failed() {
    let breaker = "timeout = \"3s\"\nbreaker = { failures = 1, retry_after = \"1h\" }";
    let app = app(&form("budget = \"100ms\"", &[("one", breaker)])).await;
    app.hooks.next(Script::Hang);
    app.hooks.always(Script::answer(204, "", ""));
    assert_eq!(submit(&app, "name=Ana").await.status, 503);
    assert_eq!(submit(&app, "name=Ana").await.status, 200);
    assert_eq!(outcomes(&app), ["one timed_out", "one continued"]);
}

#[tokio::test]
async fn a_breaker_leaves_a_hook_alone_that_failed_too_often() {
    let breaker = "breaker = { failures = 2, retry_after = \"1h\" }";
    let app = app(&form("", &[("one", breaker)])).await;
    app.hooks.always(Script::page(500, "broken"));
    for _ in 0..4 {
        let answer = submit(&app, "a=1").await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("retry-after"), Some("3600"));
    }
    assert_eq!(app.hooks.count(), 2);
    let skipped = ["one failed", "one failed", "one skipped", "one skipped"];
    assert_eq!(outcomes(&app), skipped);
    let faults = app.log.jobs()[3]["faults"].clone();
    assert!(faults.as_str().expect("faults").contains("breaker"));
    assert_eq!(app.backend.count(), 0);
}

#[tokio::test]
async fn a_breaker_probes_from_time_to_time_and_closes() {
    let breaker = "breaker = { failures = 2, retry_after = \"200ms\" }";
    let app = app(&form("", &[("one", breaker)])).await;
    app.hooks.always(Script::page(500, "broken"));
    // Two failures, and a probe that fails as well.
    while app.hooks.count() < 3 {
        assert_eq!(submit(&app, "a=1").await.status, 503);
    }
    app.hooks.always(Script::answer(204, "", ""));
    while submit(&app, "a=1").await.status != 200 {}
    assert_eq!(
        app.hooks.count(),
        4,
        "the next probe, and nothing before it"
    );
    assert_eq!(submit(&app, "a=1").await.status, 200);
    assert_eq!((app.hooks.count(), app.backend.count()), (5, 2));
}

#[tokio::test]
async fn local_checks_come_first_and_say_everything_at_once() {
    let all = r#"
[form]
[fields.email]
required = true
type = "email"
[[rule]]
on = "preprocess"
when = "@.doc.country == 'xx'"
reply = { errors = { country = "Not there." } }
[[hook]]
on = "preprocess"
url = "HOOK/all"
"#;
    let own = r#"
[form]
submit = "POST /contact"
[fields.age]
type = "integer"
min = 5
normalize = ["trim"]
[fields.city]
normalize = ["collapse", "uppercase"]
[[rule]]
on = "preprocess"
when = "@.doc.age < 16 && !@.doc.guardian"
reply = { msg = "Campers under 16 need a guardian, {doc.name}.", msg_type = "error", focus_on = "guardian" }
[[rule]]
on = "preprocess"
when = "@.doc.city == 'BERN HILL'"
reply = { jdoc = { zip = "3000" }, msg = "Welcome, {doc.name}!", msg_type = "success" }
"#;
    let app = site()
        .rules("all-forms", all)
        .rules("contact", own)
        .start()
        .await;
    app.hooks.always(Script::answer(204, "", ""));
    let answer = submit(&app, "email=x&age=%2012&name=Ana&country=xx").await;
    let said = answer.json();
    assert_eq!(answer.status, 422);
    let messages: Vec<Value> = said["messages"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|message| message["field"].clone())
        .collect();
    // All of the one file, then all of the other.
    assert_eq!(messages, [json!("email"), json!("country"), Value::Null]);
    assert_eq!(said["focus_on"], "email");
    assert_eq!(
        (app.hooks.count(), app.backend.count()),
        (0, 0),
        "no hook is called if there are any"
    );
    let answer = submit(&app, "email=a%40b.c&age=%2017&name=Ana&city=%20bern++hill").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        app.backend.only().text(),
        "email=a%40b.c&age=17&name=Ana&city=BERN+HILL&zip=3000"
    );
    assert_eq!(
        app.hooks.only().json()["doc"],
        json!({"email": "a@b.c", "age": 17, "name": "Ana", "city": "BERN HILL", "zip": "3000"})
    );
    assert_eq!(answer.reply()["msg"], "Welcome, Ana!");
    // After the first that ends the chain, only errors are heard.
    let answer = submit(&app, "email=&age=20&city=bern+hill&name=Ana").await;
    assert_eq!(
        answer.json()["messages"].as_array().expect("a list").len(),
        1
    );
}

#[tokio::test]
async fn a_local_redirect_ends_the_chain_and_an_error_before_it_stays() {
    let rules = r#"
[form]
submit = "POST /contact"
[fields.age]
type = "integer"
[[rule]]
on = "preprocess"
when = "@.doc.full"
reply = { redirect = "/full/{doc.camp}" }
[[rule]]
on = "preprocess"
when = "@.doc.bad"
reply = { msg = "Bad.", msg_type = "error" }
[[hook]]
on = "preprocess"
url = "HOOK/check"
"#;
    let app = app(rules).await;
    let answer = app
        .post("/contact")
        .page()
        .form("full=1&bad=1&camp=a%2F..%2Fb%0D%0A")
        .send()
        .await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some("/full/a%2F..%2Fb%0D%0A"))
    );
    let answer = submit(&app, "age=x&full=1").await;
    assert_eq!(
        (answer.status, &answer.json()["redirect"]),
        (422, &Value::Null)
    );
    assert_eq!((app.hooks.count(), app.backend.count()), (0, 0));
}

#[tokio::test]
async fn one_responder_down_does_not_hide_another_behind_the_same_book() {
    // Two servers: the breaker of the one has nothing to do with the other.
    let other = Peer::start().await;
    other.always(Script::answer(204, "", ""));
    let hooks = form(
        "",
        &[(
            "one",
            "on_failure = \"continue\"\nbreaker = { failures = 1, retry_after = \"1h\" }",
        )],
    );
    let rules = format!(
        "{hooks}[[hook]]\non = \"preprocess\"\nurl = \"{}/two\"\n",
        other.url()
    );
    let app = app(&rules).await;
    app.hooks.always(Script::page(500, ""));
    for _ in 0..3 {
        assert_eq!(submit(&app, "a=1").await.status, 200);
    }
    assert_eq!(
        (app.hooks.count(), other.count(), app.backend.count()),
        (1, 3, 3)
    );
    assert!(
        app.log
            .jobs()
            .iter()
            .filter(|job| job["hook"] == "one")
            .all(|job| job["let_through"] == true)
    );
}

#[tokio::test]
async fn the_time_of_one_hook_is_bounded_by_its_own_timeout() {
    let app = app(&form("", &[("one", "timeout = \"100ms\"")])).await;
    app.hooks.always(Script::Hang);
    let began = tokio::time::Instant::now();
    assert_eq!(submit(&app, "a=1").await.status, 503);
    assert!(
        began.elapsed() >= Duration::from_millis(90) && began.elapsed() < Duration::from_secs(5)
    );
}
