//! Messages of HTTP/1.1 as they stand on a connection. Owns finding where one ends; what it says is left to the reader.

use std::io;

use memchr::memmem;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// A connection, and what was read of it but not taken yet.
#[derive(Debug)]
pub(crate) struct Line {
    stream: TcpStream,
    buffer: Vec<u8>,
    taken: usize,
    joined: Vec<u8>,
}

/// A request or an answer.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    /// The first line and the headers, up to the empty line.
    pub(crate) head: &'a str,
    /// The body, without its chunks' frames.
    pub(crate) body: &'a [u8],
}

/// How the end of a body is told.
enum Framing {
    Length(usize),
    Chunked,
}

impl Line {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
            taken: 0,
            joined: Vec::new(),
        })
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next message; nothing if the other side has closed instead.
    pub(crate) async fn read(&mut self) -> io::Result<Option<Message<'_>>> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let head = loop {
            if let Some(at) = memmem::find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if !self.fill().await? {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        };
        let framing = framing(text(&self.buffer[..head])?)?;
        match framing {
            Framing::Length(length) => {
                while self.buffer.len() < head + length {
                    self.need().await?;
                }
                self.taken = head + length;
                Ok(Some(Message {
                    head: text(&self.buffer[..head])?,
                    body: &self.buffer[head..self.taken],
                }))
            }
            Framing::Chunked => {
                self.joined.clear();
                self.taken = self.join(head).await?;
                Ok(Some(Message {
                    head: text(&self.buffer[..head])?,
                    body: &self.joined,
                }))
            }
        }
    }

    /// Puts the chunks from `at` together; where they end.
    async fn join(&mut self, mut at: usize) -> io::Result<usize> {
        loop {
            let end = loop {
                match memmem::find(&self.buffer[at..], b"\r\n") {
                    Some(end) => break at + end,
                    None => self.need().await?,
                }
            };
            let size = text(&self.buffer[at..end])?;
            let size = usize::from_str_radix(size.trim(), 16).map_err(|_| bad("a chunk's size"))?;
            at = end + 2;
            while self.buffer.len() < at + size + 2 {
                self.need().await?;
            }
            self.joined.extend_from_slice(&self.buffer[at..at + size]);
            at += size + 2;
            if size == 0 {
                return Ok(at);
            }
        }
    }

    /// Reads more; whether there was any.
    async fn fill(&mut self) -> io::Result<bool> {
        self.buffer.reserve(16 << 10);
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }

    async fn need(&mut self) -> io::Result<()> {
        if self.fill().await? {
            return Ok(());
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

fn framing(head: &str) -> io::Result<Framing> {
    for line in head.split("\r\n").skip(1) {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if name.eq_ignore_ascii_case("content-length") {
            let length = value.trim().parse();
            return length
                .map(Framing::Length)
                .map_err(|_| bad("content-length"));
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Ok(Framing::Chunked);
        }
    }
    Ok(Framing::Length(0))
}

fn text(bytes: &[u8]) -> io::Result<&str> {
    str::from_utf8(bytes).map_err(|_| bad("a head"))
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} cannot be read"))
}
