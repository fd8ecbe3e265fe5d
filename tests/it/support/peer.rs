//! A scripted HTTP/1 server: the backend, or a responder. It records what it got, to the byte, and answers as told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::client::Wire;
use super::client::header_lines;
use super::within;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// The method.
    pub(crate) method: String,
    /// The target.
    pub(crate) target: String,
    /// Request line and header lines, with the empty line.
    pub(crate) head: String,
    /// Names in lower case, and values.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, unchunked.
    pub(crate) body: Vec<u8>,
    /// Trailers of a chunked body.
    pub(crate) trailers: Vec<(String, String)>,
    /// The number of the connection it came on, from 0.
    pub(crate) connection: usize,
}

/// What to do with a request.
#[derive(Clone)]
pub(crate) enum Script {
    /// Write these bytes; the connection stays open.
    Bytes(Vec<u8>),
    /// Write these bytes and close.
    Last(Vec<u8>),
    /// Write these bytes one by one with a pause after each.
    Drip(Vec<u8>, Duration),
    /// Do not answer until the other side gives up.
    Hang,
    /// Write these bytes, then nothing more until the other side gives up.
    Stall(Vec<u8>),
    /// Reset the connection.
    Reset,
    /// Do as one likes with the connection, from after the request on.
    Custom(Arc<dyn Fn(Received, Wire) -> BoxFuture<'static, ()> + Send + Sync>),
}

impl Script {
    /// A whole answer.
    pub(crate) fn answer(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut bytes = format!(
            "HTTP/1.1 {status} Scripted\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        bytes.extend_from_slice(body);
        Self::Bytes(bytes)
    }

    /// A JSON answer.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::answer(
            status,
            "content-type: application/json\r\n",
            body.to_string(),
        )
    }

    /// A page.
    pub(crate) fn page(status: u16, body: &str) -> Self {
        Self::answer(status, "content-type: text/html; charset=utf-8\r\n", body)
    }

    /// Whatever a function does with the connection after the request.
    pub(crate) fn custom<F, W>(work: F) -> Self
    where
        F: Fn(Received, Wire) -> W + Send + Sync + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        Self::Custom(Arc::new(move |received, wire| {
            Box::pin(work(received, wire))
        }))
    }
}

struct Told {
    /// For the next requests, one each.
    next: VecDeque<Script>,
    /// By path, for as long as it is not changed.
    paths: Vec<(String, Script)>,
    /// For everything else.
    always: Script,
}

struct State {
    told: Mutex<Told>,
    received: watch::Sender<Vec<Received>>,
    open: watch::Sender<usize>,
    connections: watch::Sender<usize>,
}

/// A scripted server.
pub(crate) struct Peer {
    address: SocketAddr,
    state: Arc<State>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.close();
    }
}

impl Peer {
    /// Starts one that answers everything with 200 and `ok`; as a responder that is a faulty reply, so tell it
    /// something better.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            told: Mutex::new(Told {
                next: VecDeque::new(),
                paths: Vec::new(),
                always: Script::page(200, "ok"),
            }),
            received: watch::Sender::new(Vec::new()),
            open: watch::Sender::new(0),
            connections: watch::Sender::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self {
            address,
            state,
            accepting: Mutex::new(Some(accepting)),
        }
    }

    /// Starts one that does as one likes with every connection, from its first byte on. It records nothing but how
    /// many connections there are.
    pub(crate) async fn raw<F, W>(work: F) -> Self
    where
        F: Fn(Wire) -> W + Send + Sync + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            told: Mutex::new(Told {
                next: VecDeque::new(),
                paths: Vec::new(),
                always: Script::Hang,
            }),
            received: watch::Sender::new(Vec::new()),
            open: watch::Sender::new(0),
            connections: watch::Sender::new(0),
        });
        let counted = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let state = Arc::clone(&counted);
                let ahead = Vec::new();
                let conversation = work(Wire { stream, ahead });
                state.connections.send_modify(|count| *count += 1);
                open.spawn(async move {
                    state.open.send_modify(|open| *open += 1);
                    conversation.await;
                    state.open.send_modify(|open| *open -= 1);
                });
                while open.try_join_next().is_some() {}
            }
        });
        Self {
            address,
            state,
            accepting: Mutex::new(Some(accepting)),
        }
    }

    /// `http://127.0.0.1:port`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening: from now on connections are refused.
    pub(crate) fn close(&self) {
        let accepting = self.accepting.lock().expect("no panic").take();
        if let Some(accepting) = accepting {
            accepting.abort();
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.state.told.lock().expect("no panic")
    }

    /// What to do with every request that nothing else is said about.
    pub(crate) fn always(&self, script: Script) {
        self.told().always = script;
    }

    /// What to do with the next request.
    pub(crate) fn next(&self, script: Script) {
        self.told().next.push_back(script);
    }

    /// What to do with requests for a path.
    pub(crate) fn at(&self, path: &str, script: Script) {
        let mut told = self.told();
        told.paths.retain(|(known, _)| known != path);
        told.paths.push((path.to_owned(), script));
    }

    /// As a responder: every hook gets this reply.
    pub(crate) fn reply(&self, reply: &Value) {
        self.always(Script::json(200, reply));
    }

    /// As a responder: the hook at this path gets this reply.
    pub(crate) fn reply_at(&self, path: &str, reply: &Value) {
        self.at(path, Script::json(200, reply));
    }

    /// Everything that came so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.received.borrow().clone()
    }

    /// How many requests came so far.
    pub(crate) fn count(&self) -> usize {
        self.state.received.borrow().len()
    }

    /// How many connections were made so far.
    pub(crate) fn connections(&self) -> usize {
        *self.state.connections.borrow()
    }

    /// The one request that came.
    pub(crate) fn only(&self) -> Received {
        let mut received = self.received();
        assert_eq!(received.len(), 1, "one request was expected");
        received.remove(0)
    }

    /// Waits until so many requests have come.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Received> {
        let mut watch = self.state.received.subscribe();
        let come = watch.wait_for(|received| received.len() >= count);
        within("requests that should come", come)
            .await
            .expect("a peer")
            .clone()
    }

    /// Waits until no connection is open.
    pub(crate) async fn wait_until_left(&self) {
        let mut watch = self.state.open.subscribe();
        within(
            "connections that should be closed",
            watch.wait_for(|open| *open == 0),
        )
        .await
        .expect("a peer");
    }
}

impl Received {
    /// The first value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// All values of a header.
    pub(crate) fn headers_of(&self, name: &str) -> Vec<&str> {
        let same = self.headers.iter().filter(|(known, _)| known == name);
        same.map(|(_, value)| value.as_str()).collect()
    }

    /// The path, without the query.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON: as a responder, the call.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut number = 0;
    // Ends with the peer, and with it every connection.
    let mut open = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        let _ = stream.set_nodelay(true);
        let state = Arc::clone(&state);
        state.connections.send_modify(|count| *count += 1);
        let this = number;
        number += 1;
        open.spawn(async move {
            state.open.send_modify(|open| *open += 1);
            let _ = converse(stream, &state, this).await;
            state.open.send_modify(|open| *open -= 1);
        });
        while open.try_join_next().is_some() {}
    }
}

async fn converse(stream: TcpStream, state: &State, connection: usize) -> Option<()> {
    let mut wire = Wire {
        stream,
        ahead: Vec::new(),
    };
    loop {
        let received = receive(&mut wire, connection).await?;
        let script = {
            let mut told = state.told.lock().expect("no panic");
            let by_path = told
                .paths
                .iter()
                .find(|(path, _)| path == received.path())
                .map(|(_, script)| script.clone());
            let next = if by_path.is_none() {
                told.next.pop_front()
            } else {
                None
            };
            by_path.or(next).unwrap_or_else(|| told.always.clone())
        };
        state.received.send_modify(|all| all.push(received.clone()));
        match script {
            Script::Bytes(bytes) => {
                let bytes = without_body(&received, bytes);
                wire.stream.write_all(&bytes).await.ok()?;
            }
            Script::Last(bytes) => {
                let _ = wire.stream.write_all(&bytes).await;
                return None;
            }
            Script::Drip(bytes, pause) => {
                for byte in bytes {
                    wire.stream.write_all(&[byte]).await.ok()?;
                    tokio::time::sleep(pause).await;
                }
            }
            Script::Hang => {
                while wire.more().await {}
                return None;
            }
            Script::Stall(bytes) => {
                let _ = wire.stream.write_all(&bytes).await;
                while wire.more().await {}
                return None;
            }
            Script::Reset => {
                let _ = wire.stream.set_zero_linger();
                return None;
            }
            Script::Custom(work) => {
                work(received, wire).await;
                return None;
            }
        }
    }
}

/// An answer to `HEAD` has no body.
fn without_body(received: &Received, bytes: Vec<u8>) -> Vec<u8> {
    if received.method != "HEAD" {
        return bytes;
    }
    let end = super::client::find(&bytes, b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    bytes[..end].to_vec()
}

/// The next request, read whole; `None` when the other side is done.
pub(crate) async fn receive(wire: &mut Wire, connection: usize) -> Option<Received> {
    let head = patient(wire, "\r\n\r\n").await?;
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split(' ');
    let mut received = Received {
        method: words.next()?.to_owned(),
        target: words.next()?.to_owned(),
        headers: header_lines(head.split_once("\r\n")?.1),
        head: head.clone(),
        body: Vec::new(),
        trailers: Vec::new(),
        connection,
    };
    if received.header("transfer-encoding").is_some() {
        read_chunks(wire, &mut received).await?;
    } else if let Some(length) = received.header("content-length") {
        let length: usize = length.parse().ok()?;
        fill(wire, length).await?;
        received.body = wire.ahead.drain(..length).collect();
    }
    Some(received)
}

async fn read_chunks(wire: &mut Wire, received: &mut Received) -> Option<()> {
    loop {
        let line = patient(wire, "\r\n").await?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        if size > 0 {
            fill(wire, size + 2).await?;
            received.body.extend(wire.ahead.drain(..size));
            wire.ahead.drain(..2);
            continue;
        }
        loop {
            let line = patient(wire, "\r\n").await?;
            if line == b"\r\n" {
                return Some(());
            }
            let line = String::from_utf8_lossy(&line).into_owned();
            received.trailers.extend(header_lines(&line));
        }
    }
}

async fn fill(wire: &mut Wire, length: usize) -> Option<()> {
    while wire.ahead.len() < length {
        if !read_on(wire).await {
            return None;
        }
    }
    Some(())
}

/// As `Wire::until`, but a kept connection may be silent for as long as it likes.
async fn patient(wire: &mut Wire, end: &str) -> Option<Vec<u8>> {
    loop {
        if let Some(at) = super::client::find(&wire.ahead, end.as_bytes()) {
            return Some(wire.ahead.drain(..at + end.len()).collect());
        }
        if !read_on(wire).await {
            return None;
        }
    }
}

async fn read_on(wire: &mut Wire) -> bool {
    use tokio::io::AsyncReadExt;

    let mut buffer = [0; 64 << 10];
    let read = wire.stream.read(&mut buffer).await.unwrap_or(0);
    wire.ahead.extend_from_slice(&buffer[..read]);
    read > 0
}
