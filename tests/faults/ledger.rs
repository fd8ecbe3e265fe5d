//! What the sides behind the gateway saw of every submission. Owns the ledger, and the backend and the responder that
//! keep it; whether it is as it should be is judged by [`crate::judge`].

use std::collections::HashMap;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::sync::Arc;
use std::sync::Mutex;

use tokio::sync::watch;

use crate::support::client::Wire;
use crate::support::client::find;
use crate::support::peer::Peer;
use crate::support::peer::Received;
use crate::support::peer::receive;

/// What is known of one submission.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entry {
    /// How often it was asked about before.
    pub(crate) before: usize,
    /// How often the backend got it, whole.
    pub(crate) taken: usize,
    /// How often it was asked about afterwards.
    pub(crate) after: usize,
    /// Whether what the backend got was something else.
    pub(crate) differs: bool,
    /// The hash of what it should get; the bodies themselves would look like a leak.
    expected: Option<u64>,
}

/// All submissions.
#[derive(Debug)]
pub(crate) struct Ledger {
    entries: Mutex<HashMap<String, Entry>>,
    /// How many wait for others to come.
    held: watch::Sender<usize>,
}

/// How many submissions that are to be held wait for each other.
pub(crate) const TOGETHER: usize = 4;

const ID: &str = "case-";
const DIGITS: usize = 8;

/// The id of a submission.
pub(crate) fn id(number: usize) -> String {
    format!("{ID}{number:0DIGITS$}")
}

fn hash(body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    hasher.finish()
}

fn id_in(body: &[u8]) -> Option<String> {
    let at = find(body, ID.as_bytes())?;
    let id = body.get(at..at + ID.len() + DIGITS)?;
    String::from_utf8(id.to_vec()).ok()
}

impl Ledger {
    /// An empty one.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            entries: Mutex::new(HashMap::new()),
            held: watch::Sender::new(0),
        })
    }

    /// A submission will be made, and this is what the backend should get.
    pub(crate) fn expect(&self, id: &str, body: &[u8]) {
        let entry = Entry {
            expected: Some(hash(body)),
            ..Entry::default()
        };
        let mut entries = self.entries.lock().expect("no panic");
        assert!(entries.insert(id.to_owned(), entry).is_none(), "a new id");
    }

    /// What is known of a submission.
    pub(crate) fn of(&self, id: &str) -> Entry {
        let entries = self.entries.lock().expect("no panic");
        entries.get(id).cloned().unwrap_or_default()
    }

    /// Begins to count anew how many are held.
    pub(crate) fn hold_anew(&self) {
        self.held.send_replace(0);
    }

    async fn hold(&self) {
        self.held.send_modify(|held| *held += 1);
        let mut held = self.held.subscribe();
        let _ = held.wait_for(|held| *held >= TOGETHER).await;
    }

    fn note(&self, received: &Received, note: impl FnOnce(&mut Entry)) -> Option<String> {
        let id = id_in(&received.body).filter(|_| received.method == "POST")?;
        let mut entries = self.entries.lock().expect("no panic");
        note(entries.entry(id.clone()).or_default());
        Some(id)
    }

    /// The backend: takes whatever is whole, and says so.
    pub(crate) async fn backend(self: &Arc<Self>) -> Peer {
        let ledger = Arc::clone(self);
        Peer::raw(move |mut wire| {
            let ledger = Arc::clone(&ledger);
            async move {
                while let Some(received) = receive(&mut wire, 0).await {
                    let held = find(&received.body, b"hold-backend").is_some();
                    let id = ledger.note(&received, |entry| {
                        entry.taken += 1;
                        let expected = entry.expected.take();
                        entry.differs |=
                            expected.is_some_and(|expected| expected != hash(&received.body));
                    });
                    if held {
                        ledger.hold().await;
                    }
                    let answer = answer(&received, id.as_deref());
                    wire.write(answer.as_bytes()).await;
                    if received.method != "POST" && received.method != "GET" {
                        return;
                    }
                }
            }
        })
        .await
    }

    /// The responder, for what is asked before and afterwards.
    pub(crate) async fn responder(self: &Arc<Self>) -> Peer {
        let ledger = Arc::clone(self);
        Peer::raw(move |mut wire| {
            let ledger = Arc::clone(&ledger);
            async move {
                while let Some(received) = receive(&mut wire, 0).await {
                    if !ledger.reply(&received, &mut wire).await {
                        return;
                    }
                }
            }
        })
        .await
    }

    /// Replies to a call; `false` if it is none.
    async fn reply(&self, received: &Received, wire: &mut Wire) -> bool {
        let event = received.header("formgate-event").unwrap_or_default();
        let is_before = event.starts_with("form_preprocess");
        let is_call = received.method == "POST"
            && serde_json::from_slice::<serde_json::Value>(&received.body).is_ok();
        if !is_call {
            wire.write(b"HTTP/1.1 400 What\r\ncontent-length: 0\r\n\r\n")
                .await;
            return false;
        }
        self.note(received, |entry| {
            if is_before {
                entry.before += 1;
            } else {
                entry.after += 1;
            }
        });
        if is_before && find(&received.body, b"hold-before").is_some() {
            self.hold().await;
        }
        let reply = if !is_before {
            r#"{"msg":"See you at the lake.", "msg_type":"success"}"#
        } else if find(&received.body, br#""patch":"yes""#).is_some() {
            r#"{"jdoc":{"city":"Bern"}}"#
        } else {
            r#"{"debug":"nothing to say"}"#
        };
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{reply}",
            reply.len()
        );
        wire.write(answer.as_bytes()).await;
        true
    }
}

/// The backend's answer: a page in chunks, or JSON with a length.
fn answer(received: &Received, id: Option<&str>) -> String {
    match (received.method.as_str(), id) {
        ("GET", _) => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        ("POST", Some(id)) if received.header("accept") == Some("*/*") => {
            let body = format!(r#"{{"saved":"{id}", "note":"{}"}}"#, "-".repeat(60));
            format!(
                "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
        }
        ("POST", Some(id)) => {
            let page = format!(
                "<!doctype html><title>Saved</title><main><h1>Saved</h1><p>{id}</p><p>Until then.</p></main>"
            );
            format!(
                "HTTP/1.1 201 Created\r\ncontent-type: text/html; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{page}\r\n0\r\n\r\n",
                page.len()
            )
        }
        _ => "HTTP/1.1 400 What\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned(),
    }
}
