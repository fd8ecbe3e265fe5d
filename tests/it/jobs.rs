//! Jobs and timelines of real requests: what exactly was sent and received, in which order, and nothing that must not
//! be kept; and the commands that show them.

use std::path::Path;
use std::process::Command;
use std::process::Output;

use formgate::store;
use formgate::store::engine::Engine;
use formgate::store::jobs;
use formgate::store::jobs::Filter;
use formgate::store::settings::Place;
use serde_json::Value;
use serde_json::json;

use crate::support::App;
use crate::support::peer::Script;
use crate::support::site;
use crate::support::stores::Scene;
use crate::support::stores::on_each;
use crate::support::stores::sqlite;
use crate::support::within;

const RULES: &str = r#"
[form]
submit = "POST /contact"
load = "GET /contact"
hidden = ["card"]
submission_id = "$.id"
update = "PATCH /api/{submission_id}"
[user_info]
id = "header:x-user"
[fields.city]
normalize = ["trim"]
[fields.age]
type = "integer"
max = 90
[[hook]]
on = "load"
name = "prefill"
url = "HOOK/load"
[[hook]]
on = "preprocess"
name = "check"
extract = { why = "$.debug.why", none = "$.nothing" }
url = "HOOK/check?token=hush-url"
headers = { authorization = "env:CARGO_PKG_DESCRIPTION", x-plain = "hush-header" }
secrets = ["env:FORMGATE_TEST_NO_SECRET"]
[[hook]]
on = "preprocess"
name = "shade"
url = "HOOK/shade"
mode = "shadow"
[[hook]]
on = "submit"
name = "after"
url = "HOOK/after"
"#;

/// The rules without the hook's key: the environment of tests has none.
fn rules() -> String {
    RULES.replace("secrets = [\"env:FORMGATE_TEST_NO_SECRET\"]\n", "")
}

async fn app(scene: &Scene) -> App {
    let place = scene.settings.clone();
    let site = site().rules("contact", &rules());
    let app = site.configure(|config| config.store = Some(place));
    let app = app.start().await;
    app.hooks.reply_at("/load", &json!({}));
    app.hooks
        .reply_at("/shade", &json!({"msg": "no", "msg_type": "error"}));
    app.hooks.reply_at(
        "/check",
        &json!({"jdoc": {"city": "Bern"}, "debug": {"why": "moved"}}),
    );
    app.hooks
        .reply_at("/after", &json!({"jdoc": {"fee": "12"}}));
    app.backend
        .at("/contact", Script::json(201, &json!({"id": "s-17"})));
    app.backend.at("/api/s-17", Script::answer(204, "", ""));
    app
}

async fn submit(app: &App) {
    let sent = app
        .post("/contact?q=hush-query")
        .header("cookie", "session=hush-cookie")
        .header("x-user", "u-17")
        .form("name=Ana&card=hush-card&password=hush-password&city=+Biel+&age=12");
    assert_eq!(sent.send().await.status, 201);
    app.gate.tasks().close();
    within("shadow calls", app.gate.tasks().wait()).await;
}

async fn all(engine: &Engine) -> Vec<Value> {
    let filter = Filter {
        after: Some(String::new()),
        most: 100,
        ..Filter::default()
    };
    jobs::list(engine, &filter).await.expect("jobs")
}

#[tokio::test]
async fn every_call_of_a_submission_is_kept_to_the_byte_and_in_order() {
    on_each(async |scene| {
        let mut app = app(&scene).await;
        submit(&app).await;
        app.end_store().await;
        let numbers = app.numbers().await;
        let written = "formgate_store_records_total{result=\"written\"}";
        assert_eq!(numbers.count(written), 5, "four calls and a timeline");
        let engine = store::open(&scene.settings).await.expect("a store");
        let kept = all(&engine).await;
        let words = |name: &str| -> Vec<String> {
            let texts = kept
                .iter()
                .map(|job| job[name].as_str().unwrap_or_default());
            texts.map(str::to_owned).collect()
        };
        assert_eq!(
            words("hook"),
            ["check", "shade", "after", "update"],
            "{}",
            scene.name
        );
        assert_eq!(
            words("outcome"),
            ["patched", "shadow", "patched", "delivered"]
        );
        for (number, job) in kept.iter().enumerate() {
            let id = job["id"].as_str().expect("an id");
            let found = jobs::find(&engine, id).await.expect("rows").expect("there");
            let peer = if number == 3 {
                &app.backend
            } else {
                &app.hooks
            };
            let received = peer.received();
            let call = received.iter().find(|call| match number {
                3 => call.method == "PATCH",
                _ => call.header("webhook-id") == Some(id),
            });
            let call = call.expect("the call");
            assert_eq!(found.sent.as_deref(), Some(&call.body[..]), "job {number}");
            assert_eq!(job["sent_bytes"], call.body.len());
        }
        assert_eq!(kept[0]["extracted"], json!({"why": "moved"}));
        let check = kept[0]["id"].as_str().expect("an id");
        let check = jobs::find(&engine, check)
            .await
            .expect("rows")
            .expect("there");
        let contents = check.contents.expect("contents");
        assert_eq!(
            contents["patch"],
            json!({"city": {"from": "Biel", "to": "Bern"}})
        );
        assert_eq!(contents["debug"], json!({"why": "moved"}));
        assert_eq!(check.job["place"], "rules/contact.toml:19");
        assert!(
            check
                .received
                .is_some_and(|body| body.starts_with(b"{\"jdoc\""))
        );

        let request = kept[0]["request_id"].as_str().expect("an id");
        let timelines = jobs::timelines(&engine, request).await.expect("rows");
        assert_eq!(timelines.len(), 1);
        let timeline = &timelines[0];
        assert_eq!(timeline["outcome"], "accepted");
        assert_eq!(timeline["submission_id"], "s-17");
        let steps = timeline["steps"].as_array().expect("steps").iter();
        let steps: Vec<String> = steps
            .map(|step| format!("{} {}", step["step"], step["decision"]).replace('"', ""))
            .collect();
        let expected = [
            "arrived null",
            "local null",
            "decided patched",
            "backend null",
            "decided patched",
            "answered null",
        ];
        assert_eq!(steps, expected);
        engine.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_stop_a_load_and_a_failure_have_their_timelines() {
    let scene = sqlite();
    let mut app = app(&scene).await;
    app.get("/contact").send().await;
    app.backend.at("/contact", Script::Reset);
    // The hook let it go on, but there was no page.
    assert_eq!(app.get("/contact").send().await.status, 502);
    app.backend
        .at("/contact", Script::json(201, &json!({"id": "s-17"})));
    app.post("/contact").form("age=99").send().await;
    app.hooks.at("/check", Script::Reset);
    app.post("/contact").form("age=9").send().await;
    app.gate.tasks().close();
    within("shadow calls", app.gate.tasks().wait()).await;
    app.end_store().await;
    let engine = store::open(&scene.settings).await.expect("a store");
    let text = "SELECT outcome, record FROM timelines ORDER BY id";
    let rows = engine
        .rows(store::engine::Statement::growing(text))
        .await
        .expect("rows");
    let outcomes: Vec<String> = rows.iter().map(|row| row.text(0).expect("text")).collect();
    assert_eq!(
        outcomes,
        ["opened", "backend_failed", "stopped", "unavailable"]
    );
    let opened: Value = serde_json::from_str(&rows[0].text(1).expect("text")).expect("JSON");
    let steps = opened["steps"].as_array().expect("steps");
    let last = steps.last().expect("a step");
    assert_eq!(
        (&last["step"], &last["status"]),
        (&json!("answered"), &json!(201))
    );
    let failed = all(&engine).await;
    let failed = failed
        .iter()
        .find(|job| job["outcome"] == "failed")
        .expect("the reset");
    assert_eq!(failed["let_through"], false);
    assert_eq!(failed["faults"][0]["place"], "connection");
    engine.close().await;
}

#[tokio::test]
async fn nothing_that_is_hidden_or_secret_is_in_the_store() {
    let scene = sqlite();
    let mut app = app(&scene).await;
    submit(&app).await;
    let proof = app.hooks.received()[0]
        .header("formgate-proof")
        .map(str::to_owned);
    app.end_store().await;
    let Place::Sqlite(path) = &scene.settings.place else {
        return;
    };
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(scene.folder.path())
        .expect("a folder")
        .flatten()
    {
        bytes.extend(std::fs::read(entry.path()).expect("readable"));
    }
    assert!(path.is_file());
    let has = |text: &str| {
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    assert!(
        has("Bern") && has("Ana"),
        "there is something to look through"
    );
    for secret in [
        "hush-card",
        "hush-password",
        "hush-url",
        "hush-header",
        "hush-cookie",
        env!("CARGO_PKG_DESCRIPTION"),
    ] {
        assert!(!has(secret), "{secret} is in the store");
    }
    let proof = proof.expect("a proof goes out with every call");
    assert!(!has(&proof), "the gateway's proof is in the store");
}

/// Runs the program on the store of a test.
async fn formgate(scene: &Scene, words: &[&str]) -> Output {
    let url = scene.settings.place.to_string();
    run(scene.folder.path(), &[words, &["--store", &url]].concat()).await
}

/// Runs the program; the responders of the test go on meanwhile.
async fn run(folder: &Path, words: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_formgate"));
    program.args(words).current_dir(folder).env(
        "FORMGATE_TEST_NO_SECRET",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    );
    let output = tokio::task::spawn_blocking(move || program.output());
    let output = within("the command", output).await.expect("no panic");
    output.expect("the program")
}

fn out(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {error}", output.status);
    String::from_utf8(output.stdout.clone()).expect("text")
}

#[tokio::test]
async fn jobs_are_listed_shown_and_made_again() {
    let scene = sqlite();
    let mut app = app(&scene).await;
    submit(&app).await;

    // Beside the gateway that runs; what is not written yet is not there yet.
    out(&formgate(&scene, &["jobs", "list"]).await);
    app.end_store().await;
    let listed = out(&formgate(&scene, &["jobs", "list", "--hook", "check", "--json"]).await);
    let job: Value = serde_json::from_str(listed.trim()).expect("one job");
    let id = job["id"].as_str().expect("an id");
    let text = out(&formgate(&scene, &["jobs", "list", "--since", "1h"]).await);
    assert_eq!(text.lines().count(), 4, "{text}");

    let shown = out(&formgate(&scene, &["jobs", "show", id]).await);
    for part in [
        "rules/contact.toml:19",
        "city: \"Biel\" → \"Bern\"",
        "authorization: ***",
        "\"doc\":{\"name\":\"Ana\"",
        "hook check",
        "update update",
        "form_preprocess patched",
        "█",
        "answered",
    ] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
    let all = out(&formgate(&scene, &["jobs", "show", id, "--json"]).await);
    let all: Value = serde_json::from_str(&all).expect("JSON");
    assert_eq!(all["jobs"].as_array().map(Vec::len), Some(4));

    let folder = scene.folder.path().join("rules");
    std::fs::create_dir(&folder).expect("a folder");
    let written = RULES.replace("HOOK", &app.hooks.url());
    std::fs::write(folder.join("contact.toml"), written).expect("written");
    let (calls, forwarded) = (app.hooks.count(), app.backend.count());
    let made = out(&formgate(&scene, &["jobs", "replay", id, "--json"]).await);
    let made: Value = serde_json::from_str(&made).expect("JSON");
    assert_eq!(made["replay_of"], id);
    assert_eq!(made["outcome"], "patched");
    assert_ne!(made["id"], id);
    assert_eq!(app.backend.count(), forwarded, "nothing else comes of it");
    let received = app.hooks.received();
    assert_eq!(received.len(), calls + 1);
    let (first, again) = (&received[0], &received[calls]);
    assert_eq!(first.body, again.body, "the same bytes");
    assert_eq!(again.header("webhook-id"), Some(id));
    assert_eq!(again.header("formgate-replay"), Some(id));
    assert_eq!(
        again.header("formgate-event"),
        first.header("formgate-event")
    );
    assert!(
        again.target.ends_with("/check?token=hush-url"),
        "{}",
        again.target
    );
    let key = standardwebhooks::Webhook::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let mut headers = http::HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let value = again.header(name).expect(name).parse().expect("a value");
        headers.insert(name, value);
    }
    let verified = key.expect("a key").verify(&again.body, &headers);
    assert!(verified.is_ok(), "freshly signed");

    // The hook has moved since: it is said where the call went, and what was sent with it.
    let moved = RULES
        .replace("HOOK/check", "HOOK/moved/{form}")
        .replace("HOOK", &app.hooks.url());
    std::fs::write(folder.join("contact.toml"), moved).expect("written");
    app.hooks.reply_at("/moved/contact", &json!({}));
    let made = out(&formgate(&scene, &["jobs", "replay", id, "--json"]).await);
    let made: Value = serde_json::from_str(&made).expect("JSON");
    let url = format!("{}/moved/contact", app.hooks.url());
    assert_eq!(
        (&made["url"], &made["outcome"]),
        (&json!(url), &json!("continued"))
    );
    let received = app.hooks.received();
    let last = received.last().expect("a call");
    assert_eq!(last.target, "/moved/contact?token=hush-url");
    let length = json!(["content-length", last.body.len().to_string()]);
    let kept = made["sent_headers"].as_array().expect("headers");
    assert!(kept.contains(&length), "{kept:?}");

    let none = formgate(&scene, &["jobs", "show", "nobody"]).await;
    assert_eq!(none.status.code(), Some(2));
}

#[tokio::test]
async fn an_update_is_not_made_again_and_what_is_erased_cannot_be() {
    let scene = sqlite();
    let mut app = app(&scene).await;
    submit(&app).await;
    app.end_store().await;
    let id = async |hook: &str| {
        let listed = out(&formgate(&scene, &["jobs", "list", "--hook", hook, "--json"]).await);
        let job: Value = serde_json::from_str(listed.trim()).expect("one job");
        job["id"].as_str().expect("an id").to_owned()
    };
    let (update, check) = (id("update").await, id("check").await);
    let folder = scene.folder.path().join("rules");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(
        folder.join("contact.toml"),
        RULES.replace("HOOK", &app.hooks.url()),
    )
    .expect("written");
    let refused = formgate(&scene, &["jobs", "replay", &update]).await;
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(why.contains("would change the submission"), "{why}");

    let erased = out(&formgate(&scene, &["erase", "--user", "u-17", "--json"]).await);
    assert_eq!(erased.trim(), r#"{"jobs":4,"timelines":1}"#);
    let shown = out(&formgate(&scene, &["jobs", "show", &check]).await);
    assert!(
        shown.contains("erased") && !shown.contains("Biel"),
        "{shown}"
    );
    let refused = formgate(&scene, &["jobs", "replay", &check]).await;
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(why.contains("nothing is kept"), "{why}");
    assert_eq!(app.hooks.count(), 3, "no call was made");
}

#[tokio::test]
async fn without_a_store_the_commands_say_how_to_have_one() {
    let folder = tempfile::tempdir().expect("a folder");
    for words in [
        &["jobs", "list"][..],
        &["store", "check"],
        &["erase", "--user", "x"],
    ] {
        let output = run(folder.path(), words).await;
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(why.contains("--store"), "{why}");
    }
}
