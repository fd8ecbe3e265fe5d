//! The backend and the responder, in a process of their own, so that the gateway's is measured alone. Owns what they
//! answer: the backend says the hash of the body it got, the responder does what its address says.

use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::net::SocketAddr;
use std::process::Child;
use std::process::ChildStdin;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use aws_lc_rs::digest;
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::http::Line;
use crate::http::Message;

/// The process; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) backend: SocketAddr,
    pub(crate) responder: SocketAddr,
    process: Child,
    stdin: Option<ChildStdin>,
}

impl Site {
    pub(crate) fn start() -> Self {
        let own = std::env::current_exe().expect("the bench's program");
        let mut process = Command::new(own)
            .arg("--site")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the site starts");
        let stdout = process.stdout.take().expect("its output");
        let mut lines = BufReader::new(stdout).lines();
        let mut address = || {
            let line = lines.next().and_then(Result::ok).unwrap_or_default();
            line.parse().expect("an address")
        };
        Self {
            backend: address(),
            responder: address(),
            stdin: process.stdin.take(),
            process,
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.process.wait();
    }
}

/// An answer to a request: its status, its body, and how long it takes.
type Answer = fn(&Message<'_>) -> (u16, &'static str, Vec<u8>, Duration);

/// Serves until standard input ends.
pub(crate) async fn serve() {
    for answer in [backend as Answer, respond as Answer] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        tokio::spawn(accept(listener, answer));
    }
    let ended = spawn_blocking(|| io::stdin().read_to_end(&mut Vec::new()));
    let _ = ended.await;
}

async fn accept(listener: TcpListener, answer: Answer) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            // Whoever goes away ends a connection: nothing to be said about it.
            if let Ok(mut line) = Line::new(stream) {
                let _ = speak(&mut line, answer).await;
            }
        });
    }
}

async fn speak(line: &mut Line, answer: Answer) -> io::Result<()> {
    while let Some(message) = line.read().await? {
        let (status, kind, body, wait) = answer(&message);
        if !wait.is_zero() {
            sleep(wait).await;
        }
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
        );
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&body);
        line.write(&bytes).await?;
    }
    Ok(())
}

fn backend(message: &Message<'_>) -> (u16, &'static str, Vec<u8>, Duration) {
    if message.head.starts_with("GET ") {
        return (200, "text/html; charset=utf-8", page(), Duration::ZERO);
    }
    (200, "application/json", taken(message.body), Duration::ZERO)
}

/// What the backend answers to a body.
pub(crate) fn taken(body: &[u8]) -> Vec<u8> {
    let hash = digest::digest(&digest::SHA256, body);
    let hash: String = hash
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{{\"id\":7,\"sha256\":\"{hash}\"}}").into_bytes()
}

/// A page of 4 KiB.
pub(crate) fn page() -> Vec<u8> {
    let mut page = String::from("<!doctype html><title>Form</title><form method=post>\n");
    for number in 0.. {
        let field = format!("<label>Field {number} <input name=\"field_{number}\"></label>\n");
        if page.len() + field.len() > 4096 - 8 {
            break;
        }
        page.push_str(&field);
    }
    page.push_str("</form>");
    page.extend(std::iter::repeat_n('\n', 4096 - page.len()));
    page.into_bytes()
}

fn respond(message: &Message<'_>) -> (u16, &'static str, Vec<u8>, Duration) {
    let path = message.head.split(' ').nth(1).unwrap_or_default();
    let (reply, wait) = match path {
        "/patch" => (r#"{"jdoc":{"first_name":"Patched"}}"#, 0),
        "/stop" => (r#"{"msg":"bad","msg_type":"error","focus_on":"email"}"#, 0),
        "/wait" => ("{}", 20),
        _ => ("{}", 0),
    };
    let wait = Duration::from_millis(wait);
    (200, "application/json", reply.as_bytes().to_vec(), wait)
}
