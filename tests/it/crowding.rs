//! More at a time than there is room for: what is too much is turned away at once and truthfully, what is under way
//! finishes, and whoever comes after it finds a place again.

use serde_json::json;
use tokio::sync::watch;

use crate::support::App;
use crate::support::app;
use crate::support::client::Wire;
use crate::support::peer::Script;
use crate::support::site;

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
