//! More at a time than there is room for: what is too much is turned away at once and truthfully, what is under way
//! finishes, and whoever comes after it finds a place again.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::Semaphore;
use tokio::sync::watch;

use crate::support::App;
use crate::support::Site;
use crate::support::app;
use crate::support::client::Wire;
use crate::support::peer::Script;
use crate::support::site;
use crate::support::within;

const CONTACT: &str = r#"
[form]
submit = "POST /contact"
load = "GET /contact"
at_once = 2

[[hook]]
on = "preprocess"
url = "HOOK/check"
"#;

const OTHER: &str = r#"
[form]
submit = "POST /other"

[[hook]]
on = "preprocess"
url = "HOOK/check"
"#;

/// A script that answers 204 when it is told to.
fn when_told() -> (watch::Sender<bool>, Script) {
    let (go, gone) = watch::channel(false);
    let script = Script::custom(move |_, mut wire| {
        let mut gone = gone.clone();
        async move {
            let _ = gone.wait_for(|go| *go).await;
            wire.write(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        }
    });
    (go, script)
}

/// Sends so many submissions whose hook has not answered yet.
async fn under_way(app: &App, target: &str, many: usize) -> Vec<Wire> {
    let before = app.hooks.count();
    let mut wires = Vec::new();
    for number in 0..many {
        let mut wire = app.connect().await;
        let body = format!("number={number}");
        wire.write(&app.post(target).form(&body).bytes()).await;
        wires.push(wire);
    }
    app.hooks.wait_for(before + many).await;
    wires
}

async fn finish(wires: Vec<Wire>) {
    for mut wire in wires {
        assert_eq!(
            wire.answer().await.status,
            200,
            "what is under way finishes"
        );
    }
}

#[tokio::test]
async fn a_submission_too_many_is_turned_away_and_nobody_hears_of_it() {
    let site = site().rules("contact", CONTACT).rules("other", OTHER);
    let app = site
        .configure(|config| config.submissions = 1)
        .start()
        .await;
    let (go, script) = when_told();
    app.hooks.always(script);
    let first = under_way(&app, "/contact", 2).await;
    // Another form has places of its own: as many as the configuration says.
    let other = under_way(&app, "/other", 1).await;

    for (target, limit) in [("/contact", "at_once"), ("/other", "limits.submissions")] {
        let answer = app.post(target).form("name=Ana").send().await;
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (503, Some("5"))
        );
        let json = answer.json();
        assert_eq!(json["outcome"], "unavailable");
        assert_eq!(
            (&json["submitted"], &json["limit"]),
            (&json!(false), &json!(limit))
        );
        // What the person typed is not lost.
        let page = app
            .post(target)
            .page()
            .form("name=Ana+%3Cb%3E")
            .send()
            .await;
        assert_eq!((page.status, page.header("retry-after")), (503, Some("5")));
        let text = page.text();
        for part in [
            "Nothing was submitted.",
            "Ana &#60;b&#62;",
            "Please try again",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
    assert_eq!((app.hooks.count(), app.backend.count()), (3, 0));
    let limits: Vec<_> = app
        .log
        .of("formgate::flow")
        .iter()
        .map(|said| said["limit"].clone())
        .collect();
    assert_eq!(
        limits,
        [
            "at_once",
            "at_once",
            "limits.submissions",
            "limits.submissions"
        ]
    );

    // What only passes through is not a submission.
    assert_eq!(app.get("/contact").send().await.status, 200);
    go.send_replace(true);
    finish(first).await;
    finish(other).await;
    for target in ["/contact", "/other"] {
        let answer = app.post(target).form("name=Ana").send().await;
        assert_eq!(answer.status, 200, "there is a place again");
    }
}

#[tokio::test]
async fn a_reload_makes_no_places() {
    let app = app(CONTACT).await;
    let (go, script) = when_told();
    app.hooks.always(script);
    let mut wires = under_way(&app, "/contact", 2).await;
    app.reload(CONTACT);
    let answer = app.post("/contact").form("name=Ana").send().await;
    assert_eq!(answer.status, 503);
    // Another number counts from the next submission on.
    app.reload(&CONTACT.replace("at_once = 2", "at_once = 3"));
    wires.append(&mut under_way(&app, "/contact", 1).await);
    let answer = app.post("/contact").form("name=Ana").send().await;
    assert_eq!(answer.status, 503);
    go.send_replace(true);
    finish(wires).await;
}

#[tokio::test]
async fn who_is_slow_takes_no_place_and_who_has_gone_keeps_it_to_the_end() {
    let app = app(CONTACT).await;
    let (go, script) = when_told();
    app.hooks.always(script);
    let whole = app.post("/contact").form("number=9").bytes();
    let mut slow = app.connect().await;
    slow.write(&whole[..whole.len() - 1]).await;
    let mut wires = under_way(&app, "/contact", 2).await;
    // One goes away; the submission has arrived and is carried to its end.
    drop(wires.pop());
    let answer = app.post("/contact").form("name=Ana").send().await;
    assert_eq!(answer.status, 503);
    // The slow one has arrived only now, when there is no place left.
    slow.write(&whole[whole.len() - 1..]).await;
    assert_eq!(slow.answer().await.status, 503);
    go.send_replace(true);
    finish(wires).await;
    assert_eq!(app.backend.wait_for(2).await.len(), 2);
}

/// A form whose hook takes one call at a time; it says more.
fn one_at_a_time(more: &str) -> String {
    format!(
        "[form]\nsubmit = \"POST /contact\"\nbudget = \"30s\"\n[[hook]]\non = \"preprocess\"\nurl = \"HOOK/check\"\nat_once = 1\n{more}\n"
    )
}

/// A script that answers one call each time it is told to.
fn one_by_one() -> (Arc<Semaphore>, Script) {
    let told = Arc::new(Semaphore::new(0));
    let listening = Arc::clone(&told);
    let script = Script::custom(move |_, mut wire| {
        let told = Arc::clone(&listening);
        async move {
            told.acquire().await.expect("open").forget();
            wire.write(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        }
    });
    (told, script)
}

#[tokio::test]
async fn calls_of_a_hook_wait_for_their_turn() {
    let app = app(&one_at_a_time("timeout = \"20s\"")).await;
    let (told, script) = one_by_one();
    app.hooks.always(script);
    let mut wires = under_way(&app, "/contact", 1).await;
    for number in 1..4 {
        let mut wire = app.connect().await;
        let body = format!("number={number}");
        wire.write(&app.post("/contact").form(&body).bytes()).await;
        wires.push(wire);
    }
    // Whoever asks something else now is answered after the three have been read, and none of them was called.
    assert_eq!(app.get("/other").send().await.status, 200);
    for made in 1..=4 {
        assert_eq!(app.hooks.wait_for(made).await.len(), made);
        told.add_permits(1);
    }
    finish(wires).await;
    // Waiting took its part of the time that the responder is told it has.
    let calls = app.hooks.received();
    let left = calls.iter().map(|call| {
        let left = call.header("formgate-timeout-ms").expect("a time");
        left.parse::<u64>().expect("a number")
    });
    let left: Vec<u64> = left.collect();
    assert_eq!(left[0], 20_000);
    assert!(left[1..].iter().all(|left| *left < 20_000), "{left:?}");
    let jobs = app.log.jobs();
    assert!(jobs.iter().all(|job| job["outcome"] == "continued"));
}

#[tokio::test]
async fn what_has_no_turn_in_time_is_decided_by_on_failure() {
    for (on_failure, status, let_through) in [("stop", 503, false), ("continue", 200, true)] {
        let app = app(&one_at_a_time("timeout = \"20s\"")).await;
        let (told, script) = one_by_one();
        app.hooks.always(script);
        let mut first = under_way(&app, "/contact", 1).await;
        let rest = format!("timeout = \"200ms\"\non_failure = \"{on_failure}\"");
        app.reload(&one_at_a_time(&rest));
        let answer = app.post("/contact").form("name=Ana").send().await;
        assert_eq!(answer.status, status, "{on_failure}");
        assert_eq!(app.hooks.count(), 1, "the second call was not made");
        let job = &app.log.jobs()[0];
        let made = (&job["outcome"], &job["run"]);
        assert_eq!(made, (&json!("skipped"), &json!(0)));
        assert_eq!(job["let_through"], json!(let_through));
        let why = job["faults"].as_str().expect("a reason");
        assert!(why.contains("at_once"), "{why}");
        let said = answer.text();
        assert!(!said.contains("at_once"), "that is for the operator");
        told.add_permits(1);
        assert_eq!(first[0].answer().await.status, 200);
    }
}

#[tokio::test]
async fn shadow_calls_wait_for_their_turn_as_well() {
    let app = app(&one_at_a_time("mode = \"shadow\"\ntimeout = \"20s\"")).await;
    let (told, script) = one_by_one();
    app.hooks.always(script);
    for _ in 0..3 {
        let answer = app.post("/contact").form("name=Ana").send().await;
        assert_eq!(answer.status, 200, "nobody waits for a shadow");
    }
    for answered in 0..3 {
        assert_eq!(app.hooks.wait_for(answered + 1).await.len(), answered + 1);
        told.add_permits(1);
    }
    app.gate.tasks().close();
    within("the shadows", app.gate.tasks().wait()).await;
    assert!(app.log.jobs().iter().all(|job| job["would"] == "continued"));
}

#[tokio::test]
async fn time_that_was_waited_away_is_no_failure_of_the_hook() {
    let rest = "timeout = \"1s\"\nbreaker = { failures = 1, retry_after = \"1h\" }";
    let app = app(&one_at_a_time(rest)).await;
    let (told, script) = one_by_one();
    app.hooks.next(script);
    app.hooks.always(Script::Hang);
    let mut wires = under_way(&app, "/contact", 1).await;
    let mut second = app.connect().await;
    let form = app.post("/contact").form("name=Ana").bytes();
    second.write(&form).await;
    // Whoever asks something else now is answered after it has been read.
    assert_eq!(app.get("/other").send().await.status, 200);
    told.add_permits(1);
    assert_eq!(wires.remove(0).answer().await.status, 200);
    assert_eq!(second.answer().await.status, 503);
    let job = &app.log.jobs()[1];
    assert_eq!(job["outcome"], "timed_out");
    let why = job["faults"].as_str().expect("a reason");
    assert!(
        why.contains("at_once: ") && why.contains("its turn"),
        "{why}"
    );
    app.hooks.always(Script::answer(204, "", ""));
    let answer = app.post("/contact").form("name=Ana").send().await;
    assert_eq!(answer.status, 200, "the breaker has not counted it");
}

#[tokio::test]
async fn the_place_of_a_call_that_failed_is_free_again() {
    let rest = "timeout = \"500ms\"\nbreaker = { failures = 1, retry_after = \"1m\" }";
    let app = app(&one_at_a_time(rest)).await;
    app.hooks.always(Script::Hang);
    let mut wires = under_way(&app, "/contact", 1).await;
    assert_eq!(wires[0].answer().await.status, 503);
    let answer = app.post("/contact").form("name=Ana").send().await;
    assert_eq!(answer.status, 503);
    assert_eq!(app.hooks.count(), 1);
    // Not for want of a place: the breaker has opened.
    let jobs = app.log.jobs();
    let why = jobs[1]["faults"].as_str().expect("a reason");
    assert!(why.contains("left alone"), "{why}");
}

/// A gateway that gives each address two connections.
fn for_two() -> Site {
    site()
        .rules("contact", CONTACT)
        .configure(|config| config.limits.connections_per_address = 2)
}

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n";

/// A connection that was served, and is kept.
async fn served(app: &App) -> Wire {
    let mut wire = app.connect().await;
    wire.write(GET).await;
    assert_eq!(wire.answer().await.status, 200);
    wire
}

/// Connects until the gateway has noticed that there is a place again.
async fn place_again(app: &App) -> Wire {
    let work = async {
        loop {
            let mut wire = app.connect().await;
            wire.write(GET).await;
            if wire.answer().await.status == 200 {
                return wire;
            }
        }
    };
    within("a place", work).await
}

#[tokio::test]
async fn an_address_with_too_many_connections_is_told_so_and_others_are_served() {
    let app = for_two().start().await;
    let first = served(&app).await;
    let mut second = served(&app).await;
    // Before anything is asked, and after.
    for asked in [&b""[..], GET] {
        let mut third = app.connect().await;
        third.write(asked).await;
        let answer = third.answer().await;
        let told = (
            answer.status,
            answer.header("retry-after"),
            answer.header("connection"),
        );
        assert_eq!(told, (503, Some("5"), Some("close")));
        let said = answer.json();
        assert_eq!(said["limit"], "limits.connections_per_address");
        assert_eq!(said["outcome"], "unavailable");
        assert_eq!(said["title"], "The site is busy");
        let msg = said["msg"].as_str().expect("a sentence");
        assert!(msg.starts_with("Too many requests"), "{msg}");
        assert!(third.rest().await.is_empty());
    }
    assert_eq!(app.backend.count(), 2, "the backend hears of none of it");
    let told = app.log.of("formgate::gateway");
    assert_eq!(told.len(), 1, "the log has it once: {told:?}");
    // Those who are there already are served as before, and others are, too.
    second.write(GET).await;
    assert_eq!(second.answer().await.status, 200);
    #[cfg(target_os = "linux")]
    {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket
            .bind("127.0.0.2:0".parse().expect("an address"))
            .expect("an address of this machine");
        let stream = socket.connect(app.address).await.expect("a connection");
        let mut other = Wire {
            stream,
            ahead: Vec::new(),
        };
        other.write(GET).await;
        assert_eq!(other.answer().await.status, 200);
    }
    drop(first);
    place_again(&app).await;
}

#[tokio::test]
async fn trusted_proxies_have_any_number_of_connections() {
    let app = for_two().trusting().start().await;
    let mut wires = Vec::new();
    for _ in 0..5 {
        wires.push(served(&app).await);
    }
}

#[tokio::test]
async fn who_works_for_somebody_who_has_gone_keeps_their_place() {
    let app = for_two().start().await;
    let (go, script) = when_told();
    app.hooks.always(script);
    let wires = under_way(&app, "/contact", 2).await;
    // Both go away with a reset; what they sent is being carried to its end.
    for wire in wires {
        wire.stream.set_zero_linger().expect("a socket");
        drop(wire);
    }
    for _ in 0..5 {
        let mut wire = app.connect().await;
        assert_eq!(wire.answer().await.status, 503);
    }
    go.send_replace(true);
    place_again(&app).await;
    assert_eq!(app.backend.wait_for(3).await.len(), 3);
}
