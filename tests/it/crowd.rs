//! Many people at once on several threads, some of them leaving: everyone gets the own answer, and no submission
//! arrives twice.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;

use bytes::Bytes;
use serde_json::json;

use crate::support::client::Ask;
use crate::support::client::Wire;
use crate::support::h2c;
use crate::support::h2c::request;
use crate::support::peer::Peer;
use crate::support::peer::receive;
use crate::support::site;

const CONTACT: &str = r#"
[form]
submit = "POST /contact"

[[hook]]
on = "preprocess"
url = "HOOK/check"
"#;

/// How often each body of a `POST` has arrived.
type Arrived = Arc<Mutex<HashMap<String, usize>>>;

/// A backend that answers with the target or the body, in every way there is, and at times closes its connection.
async fn backend(arrived: &Arrived) -> Peer {
    let arrived = Arc::clone(arrived);
    Peer::raw(move |mut wire| {
        let arrived = Arc::clone(&arrived);
        async move {
            let mut count = 0;
            while let Some(received) = receive(&mut wire, 0).await {
                count += 1;
                let said = if received.method == "POST" {
                    *arrived.lock().expect("no panic").entry(received.text()).or_default() += 1;
                    received.text()
                } else {
                    received.target
                };
                let hint = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n";
                let last = count == 13;
                let close = if last { "connection: close\r\n" } else { "" };
                let answer = if count % 2 == 0 {
                    format!("{hint}HTTP/1.1 200 OK\r\n{close}content-length: {}\r\n\r\n{said}", said.len())
                } else {
                    format!("HTTP/1.1 200 OK\r\n{close}transfer-encoding: chunked\r\n\r\n{:x}\r\n{said}\r\n0\r\n\r\n", said.len())
                };
                wire.write(answer.as_bytes()).await;
                if last {
                    return;
                }
            }
        }
    })
    .await
}

async fn over_http1(address: SocketAddr, who: usize) {
    let mut wire = Wire::connect(address).await;
    for turn in 0..30 {
        let own = format!("who={who}&turn={turn}");
        match (who + turn) % 5 {
            0 => {
                // Gone before the answer.
                wire.write(&Ask::new(address, "POST", "/contact").form(&own).bytes())
                    .await;
                if turn % 2 == 0 {
                    wire.stream.set_zero_linger().expect("a socket");
                }
                wire = Wire::connect(address).await;
            }
            1 => {
                // Gone before the question is complete.
                let whole = Ask::new(address, "POST", "/contact")
                    .form(&format!("{own}&half="))
                    .bytes();
                wire.write(&whole[..whole.len() - 2]).await;
                wire = Wire::connect(address).await;
            }
            2 => {
                let two: Vec<u8> = ["a", "b"]
                    .iter()
                    .flat_map(|half| Ask::new(address, "GET", &format!("/{half}?{own}")).bytes())
                    .collect();
                wire.write(&two).await;
                for half in ["a", "b"] {
                    assert_eq!(wire.answer().await.text(), format!("/{half}?{own}"));
                }
            }
            3 => {
                wire.write(&Ask::new(address, "GET", &format!("/c?{own}")).bytes())
                    .await;
                assert_eq!(wire.answer().await.text(), format!("/c?{own}"));
            }
            _ => {
                wire.write(&Ask::new(address, "POST", "/contact").form(&own).bytes())
                    .await;
                let answer = wire.answer().await;
                assert_eq!((answer.status, answer.text()), (200, own));
            }
        }
    }
}

async fn over_http2(address: SocketAddr, who: usize) {
    let mut client = h2c::connect(address).await;
    for turn in 0..30 {
        let own = format!("who={who}&turn={turn}");
        let form = || {
            request("POST", "/contact").header("content-type", "application/x-www-form-urlencoded")
        };
        match (who + turn) % 4 {
            0 => {
                let (_, mut upload) = client.begin(form(), false).await;
                upload.send_data(Bytes::from(own), true).expect("a stream");
                upload.send_reset(h2::Reason::CANCEL);
            }
            1 => {
                let (_, mut upload) = client.begin(form(), false).await;
                upload
                    .send_data(Bytes::from(format!("{own}&half=")), false)
                    .expect("a stream");
                upload.send_reset(h2::Reason::CANCEL);
            }
            2 => {
                let target = format!("/d?{own}");
                assert_eq!(client.ask(request("GET", &target)).await.text(), target);
            }
            _ => {
                let got = client.ask_with(form(), own.clone()).await;
                assert_eq!((got.status, got.text()), (200, own));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everyone_gets_the_own_answer_and_nothing_arrives_twice() {
    let arrived = Arrived::default();
    let app = site()
        .rules("contact", CONTACT)
        .start_with(backend(&arrived).await, Peer::start().await)
        .await;
    app.hooks.reply(&json!({}));
    let mut people = tokio::task::JoinSet::new();
    for who in 0..20 {
        people.spawn(over_http1(app.address, who));
        people.spawn(over_http2(app.address, who + 100));
    }
    while let Some(one) = people.join_next().await {
        one.expect("everyone got the own answer");
    }
    assert!(app.end().await, "everything was finished");
    let arrived = arrived.lock().expect("no panic");
    for (body, count) in arrived.iter() {
        assert_eq!(*count, 1, "{body} arrived {count} times");
        assert!(!body.contains("half"), "{body} was never complete");
    }
    // Those who stayed were answered, so theirs arrived; of those who left after all was sent, some may have as well.
    assert!(
        arrived.len() >= 20 * 30 / 5 + 20 * 30 / 4 - 60,
        "{}",
        arrived.len()
    );
}
