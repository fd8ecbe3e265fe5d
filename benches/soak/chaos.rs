//! What the backend and the responder do with each submission, by its number, so that it is known beforehand. Owns
//! both of them.

use std::sync::Arc;
use std::time::Duration;

use crate::account::Account;
use crate::people::kind_of;
use crate::people::mix;
use crate::people::number_in;
use crate::support::client::Wire;
use crate::support::peer::Peer;
use crate::support::peer::Received;
use crate::support::peer::receive;

/// What the responder does before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// Lets it go on, perhaps changed.
    Well,
    /// The same, later.
    Slow,
    /// Stops it.
    Stop,
    /// Replies what is no reply.
    Wrong,
    /// Fails.
    Fail,
    /// Resets the connection.
    Reset,
    /// Never replies.
    Hang,
}

/// What the backend does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behind {
    /// Takes it.
    Well,
    /// The same, later.
    Slow,
    /// Refuses it.
    Refuse,
    /// Resets the connection without taking it.
    Drop,
    /// Takes it and resets the connection.
    Reset,
    /// Takes it and sends half an answer.
    Half,
    /// Takes it and never answers.
    Hang,
}

/// What the responder does before, with this submission.
pub(crate) fn before(number: usize) -> Before {
    match mix(number, 1) % 1000 {
        0..700 => Before::Well,
        700..780 => Before::Slow,
        780..880 => Before::Stop,
        880..930 => Before::Wrong,
        930..960 => Before::Fail,
        960..997 => Before::Reset,
        _ => Before::Hang,
    }
}

/// What the backend does with it, if it gets that far.
pub(crate) fn behind(number: usize) -> Behind {
    match mix(number, 2) % 1000 {
        0..780 => Behind::Well,
        780..860 => Behind::Slow,
        860..910 => Behind::Refuse,
        910..940 => Behind::Drop,
        940..970 => Behind::Reset,
        970..997 => Behind::Half,
        _ => Behind::Hang,
    }
}

async fn slowly(number: usize) {
    tokio::time::sleep(Duration::from_millis(20 + mix(number, 3) % 100)).await;
}

fn reset(wire: &Wire) {
    let _ = wire.stream.set_zero_linger();
}

/// Waits until the other side gives up.
async fn hang(mut wire: Wire) {
    while wire.more().await {}
}

/// The responder.
pub(crate) async fn responder(account: &Arc<Account>) -> Peer {
    let account = Arc::clone(account);
    Peer::raw(move |mut wire| {
        let account = Arc::clone(&account);
        async move {
            while let Some(received) = receive(&mut wire, 0).await {
                let number = number_in(&received.body).unwrap_or_default();
                let is_before = received.path() == "/preprocess";
                account.asked(number, is_before);
                let does = if is_before {
                    before(number)
                } else {
                    // Another one than before, which has let it go on.
                    match before(number + 1) {
                        Before::Stop => Before::Well,
                        other => other,
                    }
                };
                let good = if is_before && kind_of(number).patched {
                    r#"{"jdoc":{"city":"Bern"}}"#
                } else if is_before {
                    "{}"
                } else {
                    r#"{"msg":"See you at the lake.", "msg_type":"success"}"#
                };
                let (status, reply) = match does {
                    Before::Well => (200, good),
                    Before::Slow => {
                        slowly(number).await;
                        (200, good)
                    }
                    Before::Stop => (200, r#"{"msg":"The camp is full.", "msg_type":"error"}"#),
                    Before::Wrong => (200, r#"{"msg":"Well?", "msg_type":"fine""#),
                    Before::Fail => (500, "{}"),
                    Before::Reset => return reset(&wire),
                    Before::Hang => return hang(wire).await,
                };
                let answer = format!(
                    "HTTP/1.1 {status} So\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{reply}",
                    reply.len()
                );
                wire.write(answer.as_bytes()).await;
            }
        }
    })
    .await
}

/// The backend.
pub(crate) async fn backend(account: &Arc<Account>) -> Peer {
    let account = Arc::clone(account);
    Peer::raw(move |mut wire| {
        let account = Arc::clone(&account);
        async move {
            while let Some(received) = receive(&mut wire, 0).await {
                let number = number_in(&received.body).unwrap_or_default();
                let does = behind(number);
                if does == Behind::Drop {
                    return reset(&wire);
                }
                if does == Behind::Refuse {
                    wire.write(refusal(&received).as_bytes()).await;
                    continue;
                }
                account.taken(number, &received.body);
                let answer = acceptance(&received, number);
                match does {
                    Behind::Slow => slowly(number).await,
                    Behind::Reset => return reset(&wire),
                    Behind::Half => {
                        wire.write(&answer.as_bytes()[..answer.len() - 20]).await;
                        return;
                    }
                    Behind::Hang => return hang(wire).await,
                    Behind::Well | Behind::Drop | Behind::Refuse => {}
                }
                wire.write(answer.as_bytes()).await;
            }
        }
    })
    .await
}

fn refusal(received: &Received) -> String {
    let (kind, body) = if wants_page(received) {
        ("text/html", "<!doctype html><p>Nothing was submitted.</p>")
    } else {
        ("application/json", r#"{"submitted":false}"#)
    };
    format!(
        "HTTP/1.1 422 No\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn wants_page(received: &Received) -> bool {
    received.header("accept") != Some("*/*")
}

/// A page in chunks, or JSON with a length.
fn acceptance(received: &Received, number: usize) -> String {
    let id = crate::people::id(number);
    if wants_page(received) {
        let page =
            format!("<!doctype html><main><p>{id}</p><p>Until then, at the lake.</p></main>");
        return format!(
            "HTTP/1.1 201 Created\r\ncontent-type: text/html\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{page}\r\n0\r\n\r\n",
            page.len()
        );
    }
    let body = format!(r#"{{"saved":"{id}", "note":"until then, at the lake"}}"#);
    format!(
        "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
