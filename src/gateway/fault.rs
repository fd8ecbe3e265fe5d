//! A connection that breaks the rules of HTTP. Owns what is answered before it is closed – in the one shape of
//! everything the gateway says – since hyper never sees such a request.

use std::time::Duration;

use crate::codec::rejected::Rejected;
use crate::flow::answer::Said;

/// What a peer did wrong on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The first line is no request line of HTTP/1.0 or 1.1.
    #[error("the first line is not a request")]
    RequestLine,
    /// The target is neither a path nor a URL of HTTP, or has a fragment.
    #[error("the target is not a path")]
    Target,
    /// The first line alone is over `limits.header_size`.
    #[error("the target is longer than {0} bytes")]
    TargetSize(usize),
    /// A tunnel was asked for.
    #[error("CONNECT is for forward proxies")]
    Connect,
    /// A line ends with LF alone.
    #[error("a line ends without CR")]
    BareLineFeed,
    /// CR, NUL or another control character inside a line.
    #[error("a line has a control character")]
    Control,
    /// A header line that begins with white space.
    #[error("a header line is folded")]
    Folded,
    /// A header line without a name before its colon.
    #[error("a header line does not begin with a name and a colon")]
    HeaderName,
    /// `content-length` twice, or not a number.
    #[error("the length is given twice, or is not a number")]
    Length,
    /// A transfer encoding other than `chunked` once.
    #[error("the transfer encoding is not `chunked`")]
    TransferEncoding,
    /// Both ways to say a length.
    #[error("the request has both `content-length` and `transfer-encoding`")]
    BothLengths,
    /// A chunk that is not one.
    #[error("a chunk of the body is not one")]
    Chunk,
    /// Over `limits.header_size`.
    #[error("the header is larger than {0} bytes")]
    HeaderSize(usize),
    /// Over `limits.headers`.
    #[error("there are more than {0} header lines")]
    Headers(usize),
    /// Over `limits.header_timeout`.
    #[error("the header did not come within {0:?}")]
    HeaderTimeout(Duration),
    /// Over `limits.body_pause`.
    #[error("the body stopped coming for {0:?}")]
    BodyPause(Duration),
    /// Under `limits.body_rate`.
    #[error("the body came more slowly than {0} bytes a second")]
    BodyRate(u64),
    /// An answer was not read for `limits.body_pause`; nobody would read another.
    #[error("the answer was not read for {0:?}")]
    Unread(Duration),
    /// Over `limits.connections_per_address`.
    #[error("there are too many connections from this address")]
    Crowded,
    /// Nothing asked for `limits.idle`; not worth an answer.
    #[error("nothing came for {0:?}")]
    Idle(Duration),
}

impl Fault {
    /// Whether the peer was too slow.
    #[must_use]
    pub const fn is_timeout(self) -> bool {
        matches!(
            self,
            Self::HeaderTimeout(_)
                | Self::BodyPause(_)
                | Self::BodyRate(_)
                | Self::Unread(_)
                | Self::Idle(_)
        )
    }

    /// The limit that it came up against, by its name in the configuration.
    #[must_use]
    pub const fn limit(self) -> Option<&'static str> {
        Some(match self {
            Self::HeaderTimeout(_) => "limits.header_timeout",
            Self::BodyPause(_) | Self::Unread(_) => "limits.body_pause",
            Self::BodyRate(_) => "limits.body_rate",
            Self::TargetSize(_) | Self::HeaderSize(_) => "limits.header_size",
            Self::Headers(_) => "limits.headers",
            Self::Crowded => "limits.connections_per_address",
            _ => return None,
        })
    }

    /// The last bytes the peer gets; none where there is nobody to read them.
    #[must_use]
    pub fn last_words(self) -> Option<Vec<u8>> {
        let (status, reason) = match self {
            Self::Idle(_) | Self::Unread(_) => return None,
            Self::HeaderTimeout(_) | Self::BodyPause(_) | Self::BodyRate(_) => {
                (408, "Request Timeout")
            }
            Self::TargetSize(_) => (414, "URI Too Long"),
            Self::HeaderSize(_) | Self::Headers(_) => (431, "Request Header Fields Too Large"),
            Self::Crowded => (503, "Service Unavailable"),
            _ => (400, "Bad Request"),
        };
        let said = match (self, self.limit()) {
            // Not the request's own fault.
            (Self::Crowded, Some(limit)) => Said::crowded(limit),
            (_, limit) => {
                let mut text = self.to_string();
                text.replace_range(..1, &text[..1].to_uppercase());
                Said::rejected(Rejected {
                    limit,
                    ..Rejected::with(status, format!("{text}."))
                })
            }
        };
        let later = said.retry_after.map_or_else(String::new, |after| {
            format!("retry-after: {}\r\n", after.as_secs())
        });
        let body = said.to_text(status);
        let head = format!(
            "HTTP/1.1 {status} {reason}\r\ncontent-type: application/problem+json\r\ncontent-language: en\r\ncache-control: no-store\r\n\
             {later}content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        Some([head.into_bytes(), body].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_a_whole_answer() {
        let words = Fault::HeaderSize(100)
            .last_words()
            .expect("something to say");
        let text = String::from_utf8(words).expect("UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 431 "), "{head}");
        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "{head}"
        );
        let json: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(
            (&json["outcome"], &json["limit"]),
            (&"rejected".into(), &"limits.header_size".into())
        );
        assert_eq!(json["detail"], "The header is larger than 100 bytes.");
        assert!(Fault::Idle(Duration::ZERO).last_words().is_none());
    }
}
