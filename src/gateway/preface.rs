//! Which HTTP a client speaks without saying so: the first bytes of a plain connection. Owns telling HTTP/2 by prior
//! knowledge (RFC 9113, section 3.4) from HTTP/1, within the time a head may take.

use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the first bytes say, and the bytes themselves.
#[derive(Debug)]
pub struct Spoken {
    /// Whether it is HTTP/2.
    pub http2: bool,
    /// What was read.
    pub ahead: Bytes,
}

/// Reads the first bytes; `None` if there are none in time.
pub async fn spoken(stream: &mut (impl AsyncRead + Unpin), within: Duration) -> Option<Spoken> {
    tokio::time::timeout(within, first_bytes(stream))
        .await
        .ok()
        .flatten()
}

async fn first_bytes(stream: &mut (impl AsyncRead + Unpin)) -> Option<Spoken> {
    let mut ahead = BytesMut::with_capacity(2048);
    loop {
        let read = stream.read_buf(&mut ahead).await.ok()?;
        let seen = ahead.len().min(PREFACE.len());
        let could_be = ahead[..seen] == PREFACE[..seen];
        if read == 0 && ahead.is_empty() {
            return None;
        }
        if read == 0 || !could_be || seen == PREFACE.len() {
            return Some(Spoken {
                http2: could_be && seen == PREFACE.len(),
                ahead: ahead.freeze(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_bytes_tell() {
        for (sent, http2) in [
            (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0"[..], true),
            (b"PRI /x HTTP/1.1\r\n", false),
            (b"POST / HTTP/1.1\r\n", false),
            (b"P", false),
        ] {
            let mut stream = sent;
            let spoken = spoken(&mut stream, Duration::from_secs(1))
                .await
                .expect("bytes");
            assert_eq!((spoken.http2, spoken.ahead.as_ref()), (http2, sent));
        }
        assert!(
            spoken(&mut &b""[..], Duration::from_secs(1))
                .await
                .is_none()
        );
    }
}
