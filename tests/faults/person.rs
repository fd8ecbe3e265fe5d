//! A person whose network may be bad. Owns asking over HTTP/1 or HTTP/2 whatever becomes of the connection, and
//! reading out of an answer what the person was told.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Request;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::kind::Kind;
use crate::support::client::find;
use crate::support::client::header_lines;

/// What the person knows afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// The backend's answer.
    Accepted,
    /// The beginning of it.
    Half,
    /// That nothing was submitted.
    Nothing,
    /// That nobody knows.
    Unknown,
    /// That it was submitted, but not what the backend said.
    Saved,
    /// Nothing at all, or nothing that can be read.
    Silence,
    /// Something that makes no sense.
    Nonsense(String),
}

/// A connection to the gateway, if there is one.
#[derive(Debug)]
pub(crate) struct Person {
    address: SocketAddr,
    line: Option<Line>,
}

#[derive(Debug)]
enum Line {
    Http1(TcpStream, Vec<u8>),
    Http2(Http2),
}

#[derive(Debug)]
struct Http2 {
    send: h2::client::SendRequest<Bytes>,
    /// What carries the connection, and ends with it.
    driver: JoinHandle<()>,
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Status, content type, body, and whether that is all of it.
struct Answer {
    status: u16,
    is_json: bool,
    body: Vec<u8>,
    whole: bool,
    /// Whether the connection ends with it.
    is_last: bool,
}

impl Person {
    /// Somebody who has not connected yet.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self {
            address,
            line: None,
        }
    }

    /// Goes away.
    pub(crate) fn leave(&mut self) {
        self.line = None;
    }

    /// Submits, and gives up when `enough` is done.
    pub(crate) async fn submit(
        &mut self,
        kind: Kind,
        path: &str,
        id: &str,
        enough: impl Future<Output = ()>,
    ) -> Told {
        let mut line = self.line.take();
        let answer = tokio::select! {
            answer = exchange(self.address, &mut line, kind, path, id) => answer,
            () = enough => return Told::Silence,
        };
        if answer
            .as_ref()
            .is_some_and(|answer| answer.whole && !answer.is_last)
        {
            self.line = line;
        }
        answer.map_or(Told::Silence, |answer| answer.says(id))
    }
}

async fn exchange(
    address: SocketAddr,
    line: &mut Option<Line>,
    kind: Kind,
    path: &str,
    id: &str,
) -> Option<Answer> {
    if line.is_none() {
        *line = connect(address, kind.http2).await;
    }
    match line.as_mut()? {
        Line::Http1(stream, ahead) => {
            // Whether it can all be written is seen when reading.
            let _ = stream.write_all(&kind.request(path, id)).await;
            let mut buffer = vec![0; 16 << 10];
            loop {
                if let Some(answer) = parse(ahead, false) {
                    return Some(answer);
                }
                match stream.read(&mut buffer).await {
                    Ok(read @ 1..) => ahead.extend_from_slice(&buffer[..read]),
                    _ => return parse(ahead, true),
                }
            }
        }
        Line::Http2(http2) => exchange2(http2.send.clone(), kind, path, id).await,
    }
}

async fn connect(address: SocketAddr, http2: bool) -> Option<Line> {
    let stream = TcpStream::connect(address).await.ok()?;
    let _ = stream.set_nodelay(true);
    if !http2 {
        return Some(Line::Http1(stream, Vec::new()));
    }
    let (send, connection) = h2::client::handshake(stream).await.ok()?;
    let driver = tokio::spawn(async move {
        // How it ends is seen by whoever waits for an answer.
        let _ = connection.await;
    });
    Some(Line::Http2(Http2 { send, driver }))
}

async fn exchange2(
    mut send: h2::client::SendRequest<Bytes>,
    kind: Kind,
    path: &str,
    id: &str,
) -> Option<Answer> {
    let body = kind.body(id);
    let request = Request::post(format!("http://forms.example.org{path}"))
        .header("accept", kind.accept())
        .header("content-type", kind.content_type())
        .header("content-length", body.len())
        .body(())
        .expect("a request");
    std::future::poll_fn(|cx| send.poll_ready(cx)).await.ok()?;
    let (answer, mut upload) = send.send_request(request, false).ok()?;
    // An answer may come before all of it is sent.
    let _ = upload.send_data(body.into(), true);
    let (head, mut body) = answer.await.ok()?.into_parts();
    let content_type = head.headers.get("content-type");
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let mut answer = Answer {
        status: head.status.as_u16(),
        is_json: content_type.is_some_and(|value| value.contains("json")),
        body: Vec::new(),
        whole: true,
        is_last: false,
    };
    while let Some(data) = body.data().await {
        let Ok(data) = data else {
            answer.whole = false;
            break;
        };
        let _ = body.flow_control().release_capacity(data.len());
        answer.body.extend_from_slice(&data);
    }
    Some(answer)
}

/// The first answer among these bytes, which are taken out of them; at the end, or where it cannot be read on, also half
/// an answer.
fn parse(bytes: &mut Vec<u8>, end: bool) -> Option<Answer> {
    let at = find(bytes, b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
    let (first, lines) = head.split_once("\r\n")?;
    let mut words = first.split(' ');
    let is_http = words.next() == Some("HTTP/1.1");
    let status = words.next().and_then(|word| word.parse().ok());
    let headers = header_lines(lines);
    let value = |name: &str| {
        let found = headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    };
    let mut answer = Answer {
        status: status.filter(|_| is_http).unwrap_or_default(),
        is_json: value("content-type").is_some_and(|value| value.contains("json")),
        body: Vec::new(),
        whole: false,
        is_last: value("connection") == Some("close"),
    };
    if answer.status == 0 {
        return Some(answer);
    }
    let there = &bytes[at..];
    let used = if value("transfer-encoding").is_some() {
        match unchunk(there, &mut answer.body) {
            Chunks::Whole(used) => {
                answer.whole = true;
                used
            }
            Chunks::Half if !end => return None,
            Chunks::Half | Chunks::Garbled => there.len(),
        }
    } else {
        let length: usize = value("content-length").map_or(Some(0), |value| value.parse().ok())?;
        if there.len() < length && !end {
            return None;
        }
        answer.whole = there.len() >= length;
        answer
            .body
            .extend_from_slice(&there[..length.min(there.len())]);
        answer.body.len()
    };
    bytes.drain(..at + used);
    Some(answer)
}

/// How far a body in chunks has come.
enum Chunks {
    /// To its end, which is here.
    Whole(usize),
    Half,
    /// To something that is no chunk.
    Garbled,
}

fn unchunk(mut bytes: &[u8], body: &mut Vec<u8>) -> Chunks {
    let before = bytes.len();
    body.clear();
    loop {
        let Some(end) = find(bytes, b"\r\n") else {
            return Chunks::Half;
        };
        let size = std::str::from_utf8(&bytes[..end]).ok();
        let Some(size) = size.and_then(|size| usize::from_str_radix(size, 16).ok()) else {
            return Chunks::Garbled;
        };
        let Some(piece) = bytes.get(end + 2..end + 4 + size) else {
            return Chunks::Half;
        };
        body.extend_from_slice(&piece[..size]);
        bytes = &bytes[end + 4 + size..];
        if size == 0 {
            return Chunks::Whole(before - bytes.len());
        }
    }
}

impl Answer {
    fn says(&self, id: &str) -> Told {
        let text = String::from_utf8_lossy(&self.body);
        if self.status == 201 {
            return match (self.whole, text.contains(id)) {
                (true, true) => Told::Accepted,
                (false, _) => Told::Half,
                (true, false) => Told::Nonsense(format!("the answer to another one: {text}")),
            };
        }
        if !self.whole {
            return Told::Silence;
        }
        let json: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
        if let Some(json) = json.filter(|_| self.is_json) {
            return match json.get("submitted") {
                Some(serde_json::Value::Bool(true)) => Told::Saved,
                Some(serde_json::Value::Bool(false)) => Told::Nothing,
                Some(serde_json::Value::Null) => Told::Unknown,
                _ => Told::Nonsense(format!("{}: {json}", self.status)),
            };
        }
        let sentences = [
            ("Nothing was submitted.", Told::Nothing),
            (
                "It is not known whether the form was submitted.",
                Told::Unknown,
            ),
            ("The form was submitted.", Told::Saved),
        ];
        let said = sentences
            .into_iter()
            .find(|(sentence, _)| text.contains(sentence));
        // What the gateway says of a request that it cannot read, it says in plain text.
        match said {
            Some((_, told)) => told,
            None if matches!(self.status, 400 | 408) => Told::Nothing,
            None => Told::Nonsense(format!("{}: {text}", self.status)),
        }
    }
}
