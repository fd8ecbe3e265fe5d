//! Clients: plain bytes over a socket, and the requests that people's browsers and scripts send.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::within;

/// What browsers send as `accept` when a person submits a form.
pub(crate) const BROWSER: &str =
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

/// A connection.
pub(crate) struct Wire {
    /// The socket.
    pub(crate) stream: TcpStream,
    /// What was read and not yet used.
    pub(crate) ahead: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The status line and header lines as they came, with the empty line.
    pub(crate) head: String,
    /// Names in lower case, and values.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, unchunked.
    pub(crate) body: Vec<u8>,
    /// Trailers of a chunked body.
    pub(crate) trailers: Vec<(String, String)>,
    /// Whether the body came to its end as announced.
    pub(crate) whole: bool,
}

/// A request to be.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    address: SocketAddr,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Wire {
    /// Connects.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        Self {
            stream,
            ahead: Vec::new(),
        }
    }

    /// Writes; that the other side has closed is seen when reading.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let _ = within("writing", self.stream.write_all(bytes)).await;
    }

    /// Says that nothing more will be written.
    pub(crate) async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Reads more; `false` at the end.
    pub(crate) async fn more(&mut self) -> bool {
        let mut buffer = [0; 16 << 10];
        let read = within("reading", self.stream.read(&mut buffer)).await;
        let read = read.unwrap_or(0); // a reset is an end, too
        self.ahead.extend_from_slice(&buffer[..read]);
        read > 0
    }

    /// Everything until the other side closes.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.ahead)
    }

    /// The bytes up to and with this text; `None` if it never comes.
    pub(crate) async fn until(&mut self, end: &str) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = find(&self.ahead, end.as_bytes()) {
                return Some(self.ahead.drain(..at + end.len()).collect());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// The next final answer; early ones are passed over.
    pub(crate) async fn answer(&mut self) -> Answer {
        self.answer_to("POST").await
    }

    /// The next final answer to a request of this method.
    pub(crate) async fn answer_to(&mut self, method: &str) -> Answer {
        self.try_answer(method)
            .await
            .expect("an answer before the connection ends")
    }

    /// The next final answer, if one comes.
    pub(crate) async fn try_answer(&mut self, method: &str) -> Option<Answer> {
        loop {
            let head = self.until("\r\n\r\n").await?;
            let head = String::from_utf8_lossy(&head).into_owned();
            let mut answer = Answer::of(head);
            if (100..200).contains(&answer.status) && answer.status != 101 {
                continue;
            }
            if method != "HEAD" && !matches!(answer.status, 101 | 204 | 304) {
                self.read_body(&mut answer).await;
            }
            return Some(answer);
        }
    }

    async fn read_body(&mut self, answer: &mut Answer) {
        if answer
            .header("transfer-encoding")
            .is_some_and(|coding| coding.contains("chunked"))
        {
            answer.whole = self.read_chunks(answer).await.is_some();
            return;
        }
        let Some(length) = answer.header("content-length") else {
            answer.body = self.rest().await;
            return;
        };
        let length: usize = length.parse().expect("a length");
        while self.ahead.len() < length {
            if !self.more().await {
                answer.whole = false;
                break;
            }
        }
        let there = length.min(self.ahead.len());
        answer.body = self.ahead.drain(..there).collect();
    }

    async fn read_chunks(&mut self, answer: &mut Answer) -> Option<()> {
        loop {
            let line = self.until("\r\n").await?;
            let line = String::from_utf8_lossy(&line).into_owned();
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).expect("a chunk size");
            if size == 0 {
                return self.read_trailers(answer).await;
            }
            while self.ahead.len() < size + 2 {
                if !self.more().await {
                    return None;
                }
            }
            answer.body.extend(self.ahead.drain(..size));
            self.ahead.drain(..2);
        }
    }

    async fn read_trailers(&mut self, answer: &mut Answer) -> Option<()> {
        loop {
            let line = self.until("\r\n").await?;
            let line = String::from_utf8_lossy(&line).into_owned();
            if line == "\r\n" {
                return Some(());
            }
            answer.trailers.extend(header_lines(&line));
        }
    }
}

/// Where `needle` begins.
pub(crate) fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes
        .windows(needle.len())
        .position(|window| window == needle)
}

/// Header lines: names in lower case, and values.
pub(crate) fn header_lines(head: &str) -> Vec<(String, String)> {
    let lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    lines
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect()
}

impl Answer {
    fn of(head: String) -> Self {
        let status = head.split(' ').nth(1).and_then(|word| word.trim().get(..3));
        let lines = head.split_once("\r\n").map_or("", |(_, lines)| lines);
        Self {
            status: status
                .and_then(|word| word.parse().ok())
                .unwrap_or_else(|| panic!("no status in {head:?}")),
            headers: header_lines(lines),
            head,
            body: Vec::new(),
            trailers: Vec::new(),
            whole: true,
        }
    }

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

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?} {:?}", self.head, self.text()))
    }

    /// What the gateway says beside a backend's answer.
    pub(crate) fn reply(&self) -> Value {
        let reply = self
            .header("formgate-reply")
            .unwrap_or_else(|| panic!("no formgate-reply in {:?}", self.head));
        serde_json::from_str(reply).expect("JSON")
    }
}

impl Ask {
    /// A request without a body.
    pub(crate) fn new(address: SocketAddr, method: &str, target: &str) -> Self {
        Self {
            address,
            method: method.to_owned(),
            target: target.to_owned(),
            headers: vec![("host".to_owned(), "forms.example.org".to_owned())],
            body: None,
        }
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Replaces `host`.
    pub(crate) fn host(mut self, host: &str) -> Self {
        self.headers[0].1 = host.to_owned();
        self
    }

    /// Asks as a browser does when a person submits or opens a page.
    pub(crate) fn page(self) -> Self {
        self.header("accept", BROWSER)
    }

    /// Asks as htmx does.
    pub(crate) fn htmx(self) -> Self {
        self.header("accept", "*/*").header("hx-request", "true")
    }

    /// A body of this type.
    pub(crate) fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self.header("content-type", content_type)
    }

    /// An urlencoded body.
    pub(crate) fn form(self, body: &str) -> Self {
        self.body("application/x-www-form-urlencoded", body)
    }

    /// A JSON body.
    pub(crate) fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// A multipart body of these parts, each given as its header lines and its content; the boundary is `XX`.
    pub(crate) fn multipart(self, parts: &[(&str, &str)]) -> Self {
        let mut body = String::new();
        for (headers, content) in parts {
            body.push_str(&format!("--XX\r\n{headers}\r\n\r\n{content}\r\n"));
        }
        body.push_str("--XX--\r\n");
        self.body("multipart/form-data; boundary=XX", body)
    }

    /// The bytes of the request.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        let body = self.body.as_deref().unwrap_or_default();
        if self.body.is_some() || self.method == "POST" {
            bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body);
        bytes
    }

    /// Sends it on a connection of its own.
    pub(crate) async fn send(self) -> Answer {
        let mut wire = Wire::connect(self.address).await;
        wire.write(&self.bytes()).await;
        wire.answer_to(&self.method).await
    }
}
