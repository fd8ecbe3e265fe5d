//! Reading along on an HTTP/1 connection: where each request begins and ends, and whether its lines are well formed.
//! Owns the strictness that hyper leaves out (bare LF, two lengths, odd chunks: RFC 9112); hyper still does the
//! parsing, and sees nothing of a request that is refused here.

use crate::codec::content_type::is_token;
use crate::gateway::fault::Fault;

/// What a request's head may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// All lines together, in bytes.
    pub size: usize,
    /// How many lines.
    pub lines: usize,
}

/// Reads along.
#[derive(Debug)]
pub struct Reader {
    limits: HeadLimits,
    at: At,
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
    head: Head,
    /// How many heads have ended.
    requests: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Between two requests, or in the lines of a head.
    Head,
    /// In a body with so many bytes to come.
    Body(u64),
    /// In the line before a chunk.
    ChunkSize,
    /// In a chunk with so many bytes to come.
    Chunk(u64),
    /// In the line break after a chunk.
    ChunkEnd,
    /// In the lines after the last chunk.
    Trailer,
    /// After a request to upgrade: the bytes may not be HTTP any more.
    Raw,
}

/// What is known of the head being read.
#[derive(Debug, Default)]
struct Head {
    /// Empty lines before it.
    blank: usize,
    bytes: usize,
    lines: usize,
    length: Option<u64>,
    chunked: bool,
    old: bool,
    upgrades: bool,
}

/// The longest line before a chunk.
const CHUNK_LINE: usize = 1024;
/// So many empty lines before a request are passed over.
const BLANK: usize = 4;

impl Reader {
    /// At the beginning of a connection.
    #[must_use]
    pub fn new(limits: HeadLimits) -> Self {
        Self {
            limits,
            at: At::Head,
            partial: Vec::new(),
            head: Head::default(),
            requests: 0,
        }
    }

    /// Whether a head has begun and not ended.
    #[must_use]
    pub const fn is_in_head(&self) -> bool {
        matches!(self.at, At::Head) && self.head.bytes > 0
    }

    /// Whether it stands in the body of a request, its trailers included.
    #[must_use]
    pub const fn is_in_body(&self) -> bool {
        !matches!(self.at, At::Head | At::Raw)
    }

    /// Whether the last request asked to upgrade, so that what follows is not read along.
    #[must_use]
    pub const fn is_raw(&self) -> bool {
        matches!(self.at, At::Raw)
    }

    /// The request whose end has not been seen, by its number from 1: its body is still coming, or it asked to upgrade.
    /// 0 for none.
    #[must_use]
    pub const fn open(&self) -> usize {
        match self.at {
            At::Head => 0,
            _ => self.requests,
        }
    }

    /// Reads along.
    ///
    /// # Errors
    /// The fault, and how many of the bytes before it are good.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), (usize, Fault)> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let used = match self.at {
                At::Head => self.line(rest, Self::head_line),
                At::ChunkSize => self.line(rest, Self::chunk_line),
                At::Trailer => self.line(rest, Self::trailer_line),
                At::Body(left) => Ok(self.skip(rest, left, At::Body, At::Head)),
                At::Chunk(left) => Ok(self.skip(rest, left, At::Chunk, At::ChunkEnd)),
                At::ChunkEnd => self.line(rest, Self::chunk_end),
                At::Raw => Ok(rest.len()),
            };
            at += used.map_err(|fault| (at, fault))?;
        }
        Ok(())
    }

    fn skip(&mut self, rest: &[u8], left: u64, more: fn(u64) -> At, then: At) -> usize {
        let here = u64::try_from(rest.len()).unwrap_or(u64::MAX).min(left);
        self.at = if here == left {
            then
        } else {
            more(left - here)
        };
        usize::try_from(here).unwrap_or(rest.len())
    }

    /// Takes one line, or the beginning of one; says how many bytes it took.
    fn line(
        &mut self,
        rest: &[u8],
        read: fn(&mut Self, &[u8]) -> Result<(), Fault>,
    ) -> Result<usize, Fault> {
        let Some(end) = memchr::memchr(b'\n', rest) else {
            self.count(rest.len())?;
            self.partial.extend_from_slice(rest);
            return Ok(rest.len());
        };
        self.count(end + 1)?;
        if self.partial.is_empty() {
            let line = rest[..end].strip_suffix(b"\r").ok_or(Fault::BareLineFeed)?;
            read(self, line)?;
        } else {
            let mut whole = std::mem::take(&mut self.partial);
            whole.extend_from_slice(&rest[..end]);
            let line = whole.strip_suffix(b"\r").ok_or(Fault::BareLineFeed)?;
            read(self, line)?;
        }
        Ok(end + 1)
    }

    fn count(&mut self, bytes: usize) -> Result<(), Fault> {
        match self.at {
            At::Head | At::Trailer => {
                self.head.bytes += bytes;
                if self.head.bytes > self.limits.size {
                    let size = self.limits.size;
                    return Err(match self.at {
                        At::Head if self.head.lines == 0 => Fault::TargetSize(size),
                        _ => Fault::HeaderSize(size),
                    });
                }
            }
            _ if self.partial.len() + bytes > CHUNK_LINE => return Err(Fault::Chunk),
            _ => {}
        }
        Ok(())
    }

    fn head_line(&mut self, line: &[u8]) -> Result<(), Fault> {
        if line.is_empty() {
            return self.end_of_head();
        }
        if has_control(line) {
            return Err(Fault::Control);
        }
        self.head.lines += 1;
        if self.head.lines == 1 {
            return self.request_line(line);
        }
        if self.head.lines > self.limits.lines + 1 {
            return Err(Fault::Headers(self.limits.lines));
        }
        self.header_line(line)
    }

    fn request_line(&mut self, line: &[u8]) -> Result<(), Fault> {
        let mut parts = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Fault::RequestLine);
        };
        if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) || target.is_empty() {
            return Err(Fault::RequestLine);
        }
        if method == b"CONNECT" {
            return Err(Fault::Connect);
        }
        if !is_target(method, target) {
            return Err(Fault::Target);
        }
        self.head.old = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            _ => return Err(Fault::RequestLine),
        };
        Ok(())
    }

    fn header_line(&mut self, line: &[u8]) -> Result<(), Fault> {
        let (name, value) = split_header(line)?;
        // Most names have another length than the three that matter.
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.transfer_encoding(value),
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.head.upgrades |= !value.eq_ignore_ascii_case(b"h2c");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        let digits = !value.is_empty() && value.len() <= 19 && value.iter().all(u8::is_ascii_digit);
        let text = std::str::from_utf8(value)
            .ok()
            .filter(|_| digits)
            .ok_or(Fault::Length)?;
        let length = text.parse().map_err(|_| Fault::Length)?;
        match self.head.length.replace(length) {
            None => Ok(()),
            Some(_) => Err(Fault::Length),
        }
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.head.chunked || self.head.old || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Fault::TransferEncoding);
        }
        self.head.chunked = true;
        Ok(())
    }

    fn end_of_head(&mut self) -> Result<(), Fault> {
        if self.head.lines == 0 {
            // RFC 9112, section 2.2: an empty line before a request is passed over. It does not begin one.
            self.head.bytes = 0;
            self.head.blank += 1;
            return if self.head.blank > BLANK {
                Err(Fault::RequestLine)
            } else {
                Ok(())
            };
        }
        let head = std::mem::take(&mut self.head);
        self.requests += 1;
        if head.chunked && head.length.is_some() {
            return Err(Fault::BothLengths);
        }
        self.at = match head.length {
            _ if head.chunked => At::ChunkSize,
            Some(length) if length > 0 => At::Body(length),
            _ if head.upgrades => At::Raw,
            _ => At::Head,
        };
        Ok(())
    }

    fn chunk_line(&mut self, line: &[u8]) -> Result<(), Fault> {
        if has_control(line) {
            return Err(Fault::Chunk);
        }
        let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let good = (1..=15).contains(&size.len()) && size.iter().all(u8::is_ascii_hexdigit);
        let text = std::str::from_utf8(size)
            .ok()
            .filter(|_| good)
            .ok_or(Fault::Chunk)?;
        let size = u64::from_str_radix(text, 16).map_err(|_| Fault::Chunk)?;
        self.at = if size == 0 {
            At::Trailer
        } else {
            At::Chunk(size)
        };
        Ok(())
    }

    fn chunk_end(&mut self, line: &[u8]) -> Result<(), Fault> {
        if !line.is_empty() {
            return Err(Fault::Chunk);
        }
        self.at = At::ChunkSize;
        Ok(())
    }

    fn trailer_line(&mut self, line: &[u8]) -> Result<(), Fault> {
        if line.is_empty() {
            self.head = Head::default();
            self.at = At::Head;
            return Ok(());
        }
        if has_control(line) {
            return Err(Fault::Control);
        }
        split_header(line).map(drop)
    }
}

/// A path, a URL of HTTP, or – for `OPTIONS` alone – `*`. A fragment never goes over the wire, nor does white space.
fn is_target(method: &[u8], target: &[u8]) -> bool {
    let begins = |scheme: &[u8]| {
        target
            .get(..scheme.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    };
    let form = match target {
        b"*" => method == b"OPTIONS",
        [b'/', ..] => true,
        _ => begins(b"http://") || begins(b"https://"),
    };
    form && memchr::memchr2(b'#', b'\t', target).is_none()
}

fn split_header(line: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Fault::Folded);
    }
    let colon = memchr::memchr(b':', line).ok_or(Fault::HeaderName)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
        return Err(Fault::HeaderName);
    }
    Ok((name, value.trim_ascii()))
}

/// Whether a line has a control character other than a tab; without branches, so that it is quick.
fn has_control(line: &[u8]) -> bool {
    line.iter().fold(false, |found, byte| {
        found | ((*byte < 0x20 && *byte != b'\t') | (*byte == 0x7f))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::ProptestConfig;
    use proptest::prelude::Strategy;
    use proptest::prop_assert_eq;
    use proptest::sample::select;
    use proptest::test_runner::TestRunner;

    const LIMITS: HeadLimits = HeadLimits {
        size: 400,
        lines: 8,
    };

    /// Reads all of it in steps; the first fault, or whether it stands between two requests at the end.
    fn read(bytes: &[u8], step: usize) -> Result<bool, Fault> {
        let mut reader = Reader::new(LIMITS);
        for chunk in bytes.chunks(step) {
            reader.read(chunk).map_err(|(_, fault)| fault)?;
        }
        Ok(!reader.is_in_head() && !reader.is_in_body())
    }

    fn every_cut(text: &str) -> Result<bool, Fault> {
        let whole = read(text.as_bytes(), usize::MAX);
        for step in 1..text.len() {
            assert_eq!(read(text.as_bytes(), step), whole, "{text:?} by {step}");
        }
        whole
    }

    #[test]
    fn good_requests_are_read_to_their_end() {
        for text in [
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "\r\nGET / HTTP/1.0\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\na\nb\0cGET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n5;ext=\"a\"\r\na\nb\0c\r\n0\r\nX: y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nX: a\tb\u{e9}\r\n\r\n",
        ] {
            assert_eq!(every_cut(text), Ok(true), "{text:?}");
        }
        assert_eq!(every_cut("GET / HTTP/1.1\r\nHost: x\r\n"), Ok(false));
        let mut reader = Reader::new(LIMITS);
        let upgrade =
            b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05\n";
        assert_eq!(reader.read(upgrade), Ok(()));
        assert!(reader.is_raw());
    }

    #[test]
    fn bad_requests_are_told_apart() {
        let post = "POST / HTTP/1.1\r\nHost: x\r\n";
        for (text, fault) in [
            (
                "GET / HTTP/1.1\nHost: x\n\n".to_owned(),
                Fault::BareLineFeed,
            ),
            ("GET /\r\n\r\n".to_owned(), Fault::RequestLine),
            ("GET  / HTTP/1.1\r\n\r\n".to_owned(), Fault::RequestLine),
            ("GET / HTTP/2.0\r\n\r\n".to_owned(), Fault::RequestLine),
            ("G@T / HTTP/1.1\r\n\r\n".to_owned(), Fault::RequestLine),
            ("CONNECT x:1 HTTP/1.1\r\n\r\n".to_owned(), Fault::Connect),
            (
                "GET / HTTP/1.1\r\nA: b\r c\r\n\r\n".to_owned(),
                Fault::Control,
            ),
            (
                "GET / HTTP/1.1\r\nA: b\0c\r\n\r\n".to_owned(),
                Fault::Control,
            ),
            (
                "GET / HTTP/1.1\r\nA : b\r\n\r\n".to_owned(),
                Fault::HeaderName,
            ),
            ("GET / HTTP/1.1\r\nA\r\n\r\n".to_owned(), Fault::HeaderName),
            (
                "GET / HTTP/1.1\r\n: b\r\n\r\n".to_owned(),
                Fault::HeaderName,
            ),
            (
                "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n".to_owned(),
                Fault::Folded,
            ),
            (
                format!("{post}Content-Length: 1\r\nContent-Length: 1\r\n\r\n"),
                Fault::Length,
            ),
            (format!("{post}Content-Length: 1, 1\r\n\r\n"), Fault::Length),
            (format!("{post}Content-Length: +1\r\n\r\n"), Fault::Length),
            (format!("{post}Content-Length: \r\n\r\n"), Fault::Length),
            (
                format!("{post}Content-Length: 99999999999999999999\r\n\r\n"),
                Fault::Length,
            ),
            (
                format!("{post}Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"),
                Fault::BothLengths,
            ),
            (
                format!("{post}Transfer-Encoding: gzip, chunked\r\n\r\n"),
                Fault::TransferEncoding,
            ),
            (
                format!("{post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
                Fault::TransferEncoding,
            ),
            (
                format!("{post}Transfer-Encoding: xchunked\r\n\r\n"),
                Fault::TransferEncoding,
            ),
            (
                "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
                Fault::TransferEncoding,
            ),
            (
                format!("{post}Transfer-Encoding: chunked\r\n\r\n0x5\r\n"),
                Fault::Chunk,
            ),
            (
                format!("{post}Transfer-Encoding: chunked\r\n\r\n-5\r\n"),
                Fault::Chunk,
            ),
            (
                format!("{post}Transfer-Encoding: chunked\r\n\r\n5\nabcde"),
                Fault::BareLineFeed,
            ),
            (
                format!("{post}Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n"),
                Fault::Chunk,
            ),
            (
                format!("{post}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n"),
                Fault::Chunk,
            ),
            (
                format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(400)),
                Fault::HeaderSize(400),
            ),
            (
                format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(9)),
                Fault::Headers(8),
            ),
        ] {
            assert_eq!(every_cut(&text), Err(fault), "{text:?}");
        }
    }

    /// How long the body of each request in these bytes is; `None` if they are refused, or something is left open.
    fn bodies(bytes: &[u8]) -> Option<Vec<usize>> {
        let mut reader = Reader::new(HeadLimits {
            size: 4000,
            lines: 100,
        });
        let mut bodies = Vec::new();
        for byte in bytes {
            let (at, lines) = (reader.at, reader.head.lines);
            reader.read(std::slice::from_ref(byte)).ok()?;
            match at {
                At::Head if lines > 0 && reader.head.lines == 0 => bodies.push(0),
                At::Body(_) | At::Chunk(_) => *bodies.last_mut()? += 1,
                _ => {}
            }
        }
        (matches!(reader.at, At::Head) && reader.head.bytes == 0).then_some(bodies)
    }

    /// What hyper makes of the same bytes, or `None` where it answers with an error.
    async fn hypers(bytes: Vec<u8>) -> Vec<Option<usize>> {
        use http_body_util::BodyExt;
        use http_body_util::Empty;
        use hyper::service::service_fn;
        use tokio::io::AsyncReadExt;
        use tokio::io::AsyncWriteExt;

        let (mut near, far) = tokio::io::duplex(1 << 20);
        let seen = std::sync::Mutex::new(Vec::new());
        let service = service_fn(|request: http::Request<hyper::body::Incoming>| async {
            let body = request.into_body().collect().await;
            let length = body.map(|body| body.to_bytes().len());
            seen.lock().expect("no panic").push(length.ok());
            Ok::<_, std::convert::Infallible>(http::Response::new(Empty::<bytes::Bytes>::new()))
        });
        near.write_all(&bytes).await.expect("room for it");
        near.shutdown().await.expect("an open pipe");
        let _ = hyper::server::conn::http1::Builder::new()
            .half_close(true)
            .serve_connection(hyper_util::rt::TokioIo::new(far), service)
            .await;
        let mut said = String::new();
        let _ = near.read_to_string(&mut said).await;
        let mut seen = seen.into_inner().expect("no panic");
        if said.contains("HTTP/1.1 4") {
            seen.push(None);
        }
        seen
    }

    const LINES: [&str; 6] = [
        "GET / HTTP/1.1\r\n",
        "POST /a HTTP/1.1\r\n",
        "\r\nPUT /b?c=d HTTP/1.1\r\n",
        "DELETE http://a/ HTTP/1.1\r\n",
        "OPTIONS * HTTP/1.1\r\n",
        "HEAD / HTTP/1.1\r\n",
    ];
    const HEADERS: [&str; 10] = [
        "Host: a\r\n",
        "X: y\r\n",
        "X:\r\n",
        "X: \t y\tz\u{e9} \r\n",
        "TE: trailers\r\n",
        "Trailer: X\r\n",
        "Content-Length: 0\r\n",
        "X : y\r\n",
        " X: y\r\n",
        "X: y\n",
    ];
    const BODIES: [(&str, &str); 22] = [
        ("", ""),
        ("", "\r\n"),
        ("Content-Length: 5\r\n", "hello"),
        ("Content-Length: 0005\r\n", "hello"),
        ("content-length:5 \r\n", "GET /"),
        (
            "Content-Length: 27\r\n",
            "GET / HTTP/1.1\r\nHost: b\r\n\r\n",
        ),
        ("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        (
            "transfer-encoding: \tCHUNKED\t\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
        ),
        (
            "Transfer-Encoding: chunked\r\n",
            "005\r\nhello\r\n1\r\n!\r\n00\r\n\r\n",
        ),
        (
            "Transfer-Encoding: chunked\r\n",
            "5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n",
        ),
        (
            "Transfer-Encoding: chunked\r\n",
            "5\r\nhello\r\n0\r\nX: y\r\nY:\r\n\r\n",
        ),
        (
            "Transfer-Encoding: chunked\r\n",
            "a\r\n\r\n0\r\n\r\n\r\n\n\r\n0\r\n\r\n",
        ),
        (
            "Transfer-Encoding: chunked\r\n",
            "A\r\n0123456789\r\n0\r\n\r\n",
        ),
        ("Transfer-Encoding: chunked\r\n", "5 \r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "5\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
        (
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "0\r\n\r\n",
        ),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
        ("Content-Length: +5\r\n", "hello"),
        ("Content-Length: 5, 5\r\n", "hello"),
    ];

    /// Some requests one after the other, a fifth of them with one byte replaced.
    fn streams() -> impl Strategy<Value = Vec<u8>> {
        let noise = (0..200_usize, select(&b"\r\n\t 05;:\0"[..]));
        let request = (
            select(&LINES[..]),
            vec(select(&HEADERS[..]), 0..3),
            select(&BODIES[..]),
            option::weighted(0.2, noise),
        );
        let request = request.prop_map(|(line, headers, (frame, body), noise)| {
            let headers = headers.concat();
            let mut request = format!("{line}{headers}{frame}\r\n{body}").into_bytes();
            if let Some((at, byte)) = noise {
                let at = at % request.len();
                request[at] = byte;
            }
            request
        });
        vec(request, 1..4).prop_map(|requests| requests.concat())
    }

    /// Where the guard sees requests end, hyper sees them end, too.
    #[test]
    fn the_guard_and_hyper_agree() {
        let mut runner = TestRunner::new(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(3000)
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let agreed = runner.run(&streams(), |bytes| {
            let Some(mut bodies) = bodies(&bytes) else {
                return Ok(());
            };
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let seen = runtime.block_on(hypers(bytes));
            if text.contains("HTTP/1.0") {
                // After a request of HTTP/1.0 hyper takes no other.
                bodies.truncate(seen.len());
            }
            let bodies: Vec<_> = bodies.into_iter().map(Some).collect();
            prop_assert_eq!(seen, bodies, "{:?}", text);
            Ok(())
        });
        agreed.unwrap_or_else(|why| panic!("{why}"));
    }
}
