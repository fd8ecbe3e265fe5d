//! The admin listener of the program itself: what probes are told from the start to the end.

use std::io::Write;
use std::net::TcpStream;

use serde_json::Value;

use crate::serving::Serving;
use crate::serving::form;
use crate::serving::until;
use crate::support::Folder;
use crate::support::json;
use crate::support::read_message;

/// Asks the admin listener; status and body.
fn ask(serving: &Serving, path: &str) -> (u16, String) {
    let admin = serving.hello["admin"].as_str().expect("an address");
    let admin = admin.trim_start_matches("http://");
    let mut stream = TcpStream::connect(admin).expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let (first, _, body) = read_message(&stream).expect("an answer");
    let status = first.split(' ').nth(1).expect("a status");
    (status.parse().expect("a number"), body)
}

fn report(serving: &Serving) -> Value {
    json(&ask(serving, "/readyz?verbose").1)
}

fn number(serving: &Serving, sample: &str) -> u64 {
    let (_, text) = ask(serving, "/metrics");
    let value = text.lines().find_map(|line| line.strip_prefix(sample));
    assert!(value.is_some(), "no {sample} in\n{text}");
    value
        .and_then(|value| value.trim().parse().ok())
        .expect("a whole number")
}

fn begin(limits: &str) -> (Folder, Serving) {
    let folder = Folder::new();
    folder.write("rules/contact.toml", &form("/contact", "No."));
    let admin = format!("[admin]\nlisten = \"127.0.0.1:0\"\n[limits]\n{limits}\n");
    folder.write("formgate.toml", &admin);
    let serving = Serving::begin(&folder, &[], &[]);
    (folder, serving)
}

#[test]
fn a_reload_is_told_and_counted() {
    let (folder, serving) = begin("");
    assert_eq!(ask(&serving, "/livez"), (200, "alive\n".to_owned()));
    assert_eq!(ask(&serving, "/readyz"), (200, "ready\n".to_owned()));
    let good = "formgate_reloads_total{what=\"rules\",result=\"good\"}";
    let bad = "formgate_reloads_total{what=\"rules\",result=\"bad\"}";
    assert_eq!((number(&serving, good), number(&serving, bad)), (0, 0));
    folder.write("rules/contact.toml", "[form]\nsubmit = 7\n");
    until("a bad reload", || {
        report(&serving)["reloads"]["rules"]["good"] == false
    });
    assert_eq!(ask(&serving, "/readyz").0, 200, "what was good is in force");
    assert!(number(&serving, bad) > 0);
    assert_eq!(number(&serving, "formgate_reload_bad{what=\"rules\"}"), 1);
    folder.write("rules/contact.toml", &form("/contact", "Yes."));
    until("a good reload", || {
        report(&serving)["reloads"]["rules"]["good"] == true
    });
    assert!(number(&serving, good) > 0);
    let last = number(
        &serving,
        "formgate_reload_last_good_timestamp_seconds{what=\"rules\"}",
    );
    assert!(last >= number(&serving, "process_start_time_seconds"));
    serving.submit("/contact");
    let stopped = "formgate_requests_total{form=\"contact\",outcome=\"stopped_by_rule\"}";
    assert_eq!(number(&serving, stopped), 1);
}

#[test]
fn a_bad_key_is_told_and_counted() {
    let folder = Folder::new();
    folder.write("rules/contact.toml", &form("/contact", "No."));
    let [first, second] = ["first", "second"].map(|word| [word; 8].join("-"));
    folder.write("gateway-key", &first);
    let config = "key = 'file:gateway-key'\n[admin]\nlisten = \"127.0.0.1:0\"\n";
    folder.write("formgate.toml", config);
    let serving = Serving::begin(&folder, &[], &[]);
    let is_bad = "formgate_reload_bad{what=\"keys\"}";
    assert_eq!(number(&serving, is_bad), 0);
    folder.write("gateway-key", "short");
    until("a bad key", || number(&serving, is_bad) == 1);
    assert_eq!(report(&serving)["reloads"]["keys"]["good"], false);
    folder.write("gateway-key", &second);
    until("a good key", || number(&serving, is_bad) == 0);
}

#[test]
fn it_says_that_it_ends_before_it_does() {
    let (_folder, mut serving) = begin("drain_delay = \"60s\"");
    serving.signal("TERM");
    until("a probe that says no", || ask(&serving, "/readyz").0 == 503);
    assert_eq!(ask(&serving, "/readyz").1, "not ready: draining\n");
    assert_eq!(ask(&serving, "/livez").0, 200);
    let (status, body) = serving.submit("/contact");
    assert_eq!(
        (status, body.contains("No.")),
        (422, true),
        "it is still served"
    );
    serving.signal("TERM");
    assert_eq!(serving.ended(), Some(0), "a second signal ends at once");
}

#[test]
fn after_the_delay_it_ends_by_itself() {
    let (_folder, mut serving) = begin("drain_delay = \"50ms\"");
    serving.signal("TERM");
    assert_eq!(serving.ended(), Some(0));
}

#[test]
fn what_the_store_writes_is_counted_where_it_is_asked_for() {
    let (_folder, serving) = begin("[store]\nurl = \"sqlite:formgate.db\"");
    assert_eq!(serving.submit("/contact").0, 422);
    let written = "formgate_store_records_total{result=\"written\"}";
    until("its timeline", || number(&serving, written) == 1);
}
