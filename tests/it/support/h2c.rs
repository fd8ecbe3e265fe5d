//! Clients of HTTP/2: well-behaved ones, and bare frames for those that are not.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::RecvStream;
use h2::SendStream;
use h2::client::Builder;
use h2::client::ResponseFuture;
use h2::client::SendRequest;
use http::HeaderMap;
use http::Request;
use serde_json::Value;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::client::Wire;
use super::within;

/// A connection.
pub(crate) struct Client {
    /// To ask.
    pub(crate) send: SendRequest<Bytes>,
    /// Ends when the connection does.
    pub(crate) ended: JoinHandle<Result<(), h2::Error>>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Got {
    /// The status.
    pub(crate) status: u16,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Vec<u8>,
    /// The trailers.
    pub(crate) trailers: Option<HeaderMap>,
}

impl Got {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Speaks HTTP/2 by prior knowledge.
pub(crate) async fn connect(address: SocketAddr) -> Client {
    let stream = TcpStream::connect(address).await.expect("a connection");
    speak(stream, &Builder::new()).await
}

/// Speaks HTTP/2 on a connection that is there.
pub(crate) async fn speak<S>(stream: S, builder: &Builder) -> Client
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (send, connection) = within("the handshake", builder.handshake(stream))
        .await
        .expect("HTTP/2");
    Client {
        send,
        ended: tokio::spawn(connection),
    }
}

/// A request without its body.
pub(crate) fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(format!("http://forms.example.org{path}"))
}

impl Client {
    /// Sends a head.
    pub(crate) async fn begin(
        &mut self,
        request: http::request::Builder,
        ends: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let request = request.body(()).expect("a request");
        let mut send = self.send.clone();
        std::future::poll_fn(|cx| send.poll_ready(cx))
            .await
            .expect("a connection");
        send.send_request(request, ends).expect("a stream")
    }

    /// Asks without a body.
    pub(crate) async fn ask(&mut self, request: http::request::Builder) -> Got {
        let (answer, _) = self.begin(request, true).await;
        got(answer).await.expect("an answer")
    }

    /// Asks with a body.
    pub(crate) async fn ask_with(
        &mut self,
        request: http::request::Builder,
        body: impl Into<Bytes>,
    ) -> Got {
        let (answer, mut upload) = self.begin(request, false).await;
        upload.send_data(body.into(), true).expect("a stream");
        got(answer).await.expect("an answer")
    }

    /// Waits for the end of the connection.
    pub(crate) async fn until_closed(self) {
        drop(self.send);
        let _ = within("the end of the connection", self.ended).await;
    }
}

/// Reads an answer whole.
pub(crate) async fn got(answer: ResponseFuture) -> Result<Got, h2::Error> {
    let (head, body) = within("an answer", answer).await?.into_parts();
    let (body, trailers) = read(body).await?;
    Ok(Got {
        status: head.status.as_u16(),
        headers: head.headers,
        body,
        trailers,
    })
}

/// Reads a body whole.
pub(crate) async fn read(mut body: RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut all = Vec::new();
    while let Some(data) = within("a body", body.data()).await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        all.extend_from_slice(&data);
    }
    Ok((all, body.trailers().await?))
}

/// What a connection begins with.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A frame's kind.
pub(crate) const DATA: u8 = 0;
/// A frame's kind.
pub(crate) const HEADERS: u8 = 1;
/// A frame's kind.
pub(crate) const RESET: u8 = 3;
/// A frame's kind.
pub(crate) const SETTINGS: u8 = 4;
/// A frame's kind.
pub(crate) const GOAWAY: u8 = 7;
/// The last frame of a stream.
pub(crate) const END_STREAM: u8 = 1;
/// The last frame of a head.
pub(crate) const END_HEADERS: u8 = 4;

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .expect("a short frame")
        .to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Headers as they are written without any compression.
pub(crate) fn literal(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in headers {
        bytes.push(0);
        for text in [name, value] {
            let length = u8::try_from(text.len()).ok().filter(|length| *length < 127);
            bytes.push(length.expect("a short text"));
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes
}

/// The next frame: kind, flags, stream, payload; `None` at the end.
pub(crate) async fn next_frame(wire: &mut Wire) -> Option<(u8, u8, u32, Vec<u8>)> {
    while wire.ahead.len() < 9 {
        if !wire.more().await {
            return None;
        }
    }
    let head: Vec<u8> = wire.ahead[..9].to_vec();
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    while wire.ahead.len() < 9 + length {
        if !wire.more().await {
            return None;
        }
    }
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    let payload = wire.ahead.drain(..9 + length).skip(9).collect();
    Some((head[3], head[4], stream, payload))
}
