//! `content-encoding`: gzip, br, zstd. Owns unpacking a stream within a limit, piece by piece so that a bomb costs no
//! memory. A submission is refused if anything follows the end of the packed data; an answer is unpacked as browsers
//! do it. What goes on to the backend is the unpacked body: many a backend ignores `content-encoding` on requests and
//! would find other fields in the packed bytes than the hooks saw.

use std::fmt;
use std::io;
use std::io::Write;

use brotli_decompressor::BrotliDecompressStream;
use brotli_decompressor::BrotliResult;
use brotli_decompressor::BrotliState;
use brotli_decompressor::StandardAlloc;
use bytes::Bytes;
use zstd::stream::raw::Operation;

use crate::codec::rejected::Rejected;

/// Whether a `content-encoding` is spoken here, `identity` among them.
#[must_use]
pub fn knows(encoding: &str) -> bool {
    let encoding = encoding.trim().to_ascii_lowercase();
    matches!(
        encoding.as_str(),
        "" | "identity" | "gzip" | "x-gzip" | "br" | "zstd"
    )
}

/// How much a body may unpack to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of unpacked body.
    pub body: u64,
    /// How many times as long as the packed body it may be; a first MiB is free, since small forms pack well.
    pub ratio: u64,
}

/// Unpacks a body piece by piece.
pub struct Unpacker {
    inner: Inner,
    bounds: Bounds,
    tail: Tail,
    /// Packed bytes used.
    used: u64,
    /// Unpacked bytes given.
    given: u64,
}

/// What becomes of what follows the packed data, and of packed data without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// Both are refused.
    Refused,
    /// Another piece of packed data may follow, as gzip (RFC 1952) and zstd (RFC 8878) have it.
    Followed,
    /// One has ended, and nothing has yet come of what follows: if that is none, it does not count.
    Perhaps,
    /// Nothing that follows counts.
    Ignored,
}

enum Inner {
    Gzip(flate2::write::GzDecoder<Vec<u8>>),
    Brotli(Box<Brotli>),
    Zstd(Zstd),
}

type State = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

struct Brotli {
    state: State,
    total: usize,
    ended: bool,
}

/// zstd's own writer does not say whether the frame has ended, so its raw decoder is driven here.
struct Zstd {
    decoder: zstd::stream::raw::Decoder<'static>,
    ended: bool,
}

/// One step of a decoder: how many packed bytes it took, and what came out.
type Step = (usize, Vec<u8>);

/// RFC 8878, section 3.1.1.1.2: a decoder should take windows of up to 8 MiB, and need not take more.
const ZSTD_WINDOW_LOG: u32 = 23;

/// The largest piece that is given out at a time.
const PIECE: usize = 32 << 10;

/// Unpacked bytes that no ratio is asked of.
const FREE: u64 = 1 << 20;

impl fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unpacker")
            .field("used", &self.used)
            .field("given", &self.given)
            .finish_non_exhaustive()
    }
}

impl Unpacker {
    /// An unpacker for the value of `content-encoding`; `None` for `identity`.
    ///
    /// # Errors
    /// 415 for an encoding that is not spoken here.
    pub fn new(encoding: &str, bounds: Bounds) -> Result<Option<Self>, Rejected> {
        let inner = match encoding.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => return Ok(None),
            "gzip" | "x-gzip" => Inner::gzip(),
            "br" => Inner::Brotli(Box::new(Brotli::new())),
            "zstd" => Inner::Zstd(
                Zstd::new().map_err(|_| Rejected::unsupported("zstd cannot be unpacked here."))?,
            ),
            other => {
                let shown: String = other
                    .chars()
                    .filter(char::is_ascii_graphic)
                    .take(40)
                    .collect();
                let text = format!(
                    "The content encoding `{shown}` is not known; send gzip, br, zstd, or none."
                );
                return Err(Rejected::unsupported(text));
            }
        };
        Ok(Some(Self {
            inner,
            bounds,
            tail: Tail::Refused,
            used: 0,
            given: 0,
        }))
    }

    /// Unpacks as browsers do: packed data may follow packed data, anything else that follows does not count, and what
    /// came of data without its end, or with a wrong sum, counts.
    #[must_use]
    pub const fn forgiving(mut self) -> Self {
        self.tail = Tail::Followed;
        self
    }

    /// The next piece that `packed` unpacks to; what was used is taken off its front. `None` when all of it was used
    /// and nothing more comes of it.
    ///
    /// # Errors
    /// 400 for broken data and for what follows its end, 413 over a limit.
    pub fn next(&mut self, packed: &mut &[u8]) -> Result<Option<Vec<u8>>, Rejected> {
        loop {
            if self.tail == Tail::Ignored {
                *packed = &[];
                return Ok(None);
            }
            let (used, piece) = match self.inner.step(packed) {
                Ok(step) => step,
                Err(_) if self.tail == Tail::Perhaps => {
                    self.tail = Tail::Ignored;
                    continue;
                }
                Err(_) => return Err(self.broken()),
            };
            *packed = &packed[used..];
            self.used += u64::try_from(used).unwrap_or(u64::MAX);
            if !piece.is_empty() {
                if self.tail == Tail::Perhaps {
                    self.tail = Tail::Followed;
                }
                return self.checked(piece).map(Some);
            }
            if packed.is_empty() {
                return Ok(None);
            }
            if used == 0 {
                self.follow()?;
            }
        }
    }

    /// Something follows the end of the packed data.
    fn follow(&mut self) -> Result<(), Rejected> {
        if self.tail == Tail::Refused {
            return Err(Rejected::malformed(format!(
                "There is data after the end of the packed body (from byte {}).",
                self.used + 1
            )));
        }
        self.tail = match self.inner.again() {
            Ok(true) => Tail::Perhaps,
            Ok(false) | Err(_) => Tail::Ignored,
        };
        Ok(())
    }

    /// Ends the body; what is left of it.
    ///
    /// # Errors
    /// 400 if the packed data breaks off, 413 over a limit.
    pub fn finish(mut self) -> Result<Vec<u8>, Rejected> {
        let whole = self.inner.finish();
        if whole.is_err() && self.tail == Tail::Refused {
            return Err(self.broken());
        }
        let rest = self.inner.rest();
        self.checked(rest)
    }

    fn checked(&mut self, piece: Vec<u8>) -> Result<Vec<u8>, Rejected> {
        let Bounds { body, ratio } = self.bounds;
        self.given += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        if self.given > body {
            let text = format!("The body unpacks to more than {body} bytes.");
            return Err(Rejected::too_large("limits.body", text));
        }
        if self.given > FREE.max(self.used.saturating_mul(ratio)) {
            let text = format!(
                "The body unpacks to more than {ratio} times its packed length; send it unpacked."
            );
            return Err(Rejected::too_large("limits.unpack_ratio", text));
        }
        Ok(piece)
    }

    fn broken(&self) -> Rejected {
        Rejected::malformed(format!(
            "The body is not packed as its content encoding says, or it breaks off (near packed byte {}).",
            self.used + 1
        ))
    }
}

/// A body that is whole already and at most `most` bytes long unpacked.
///
/// # Errors
/// As for [`Unpacker::new`], [`Unpacker::next`] and [`Unpacker::finish`].
pub fn whole(body: &Bytes, encoding: &str, most: u64) -> Result<Bytes, Rejected> {
    let bounds = Bounds {
        body: most,
        ratio: u64::MAX,
    };
    let Some(mut unpacker) = Unpacker::new(encoding, bounds)? else {
        return Ok(body.clone());
    };
    let (mut packed, mut out) = (&body[..], Vec::new());
    while let Some(mut piece) = unpacker.next(&mut packed)? {
        out.append(&mut piece);
    }
    out.append(&mut unpacker.finish()?);
    Ok(out.into())
}

impl Inner {
    fn step(&mut self, packed: &[u8]) -> io::Result<Step> {
        match self {
            Self::Gzip(decoder) => {
                // One write fills the decoder's own buffer of 32 KiB at most once, and an empty one gives out what is
                // in it. One of them is enough at a time, or the pieces would grow.
                let mut used = if packed.is_empty() {
                    0
                } else {
                    decoder.write(packed)?
                };
                if used == packed.len() && decoder.get_ref().is_empty() {
                    used += decoder.write(&[])?;
                }
                Ok((used, std::mem::take(decoder.get_mut())))
            }
            Self::Brotli(brotli) => brotli.step(packed),
            Self::Zstd(zstd) => zstd.step(packed),
        }
    }

    /// Whether the packed data came to its end.
    fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Brotli(brotli) if brotli.ended => Ok(()),
            Self::Zstd(zstd) if zstd.ended => Ok(()),
            Self::Brotli(_) | Self::Zstd(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// What was not yet given.
    fn rest(&mut self) -> Vec<u8> {
        match self {
            Self::Gzip(decoder) => std::mem::take(decoder.get_mut()),
            Self::Brotli(_) | Self::Zstd(_) => Vec::new(),
        }
    }

    /// Begins anew, if packed data can follow packed data.
    fn again(&mut self) -> io::Result<bool> {
        *self = match self {
            Self::Gzip(_) => Self::gzip(),
            Self::Zstd(_) => Self::Zstd(Zstd::new()?),
            Self::Brotli(_) => return Ok(false),
        };
        Ok(true)
    }

    fn gzip() -> Self {
        Self::Gzip(flate2::write::GzDecoder::new(Vec::new()))
    }
}

impl Brotli {
    fn new() -> Self {
        let alloc = StandardAlloc::default;
        Self {
            // Strict: windows of up to 16 MiB as in RFC 7932, not the extension's up to 1 GiB.
            state: State::new_strict(alloc(), alloc(), alloc()),
            total: 0,
            ended: false,
        }
    }

    fn step(&mut self, packed: &[u8]) -> io::Result<Step> {
        if self.ended {
            return Ok((0, Vec::new()));
        }
        let mut out = vec![0; PIECE];
        let (mut left, mut used) = (packed.len(), 0);
        let (mut room, mut written) = (out.len(), 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut used,
            packed,
            &mut room,
            &mut written,
            &mut out,
            &mut self.total,
            &mut self.state,
        );
        match result {
            BrotliResult::ResultFailure => return Err(io::ErrorKind::InvalidData.into()),
            BrotliResult::ResultSuccess => self.ended = true,
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
        }
        out.truncate(written);
        Ok((used, out))
    }
}

impl Zstd {
    fn new() -> io::Result<Self> {
        let mut decoder = zstd::stream::raw::Decoder::new()?;
        decoder.set_parameter(zstd::stream::raw::DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
        Ok(Self {
            decoder,
            ended: false,
        })
    }

    fn step(&mut self, packed: &[u8]) -> io::Result<Step> {
        if self.ended {
            return Ok((0, Vec::new()));
        }
        let mut out = vec![0; PIECE];
        let status = self.decoder.run_on_buffers(packed, &mut out)?;
        self.ended = status.remaining == 0;
        out.truncate(status.bytes_written);
        Ok((status.bytes_read, out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).expect("a Vec takes all");
        encoder.finish().expect("a Vec takes all")
    }

    fn unpack(encoding: &str, packed: &[u8], step: usize, limit: u64) -> Result<Vec<u8>, Rejected> {
        let bounds = Bounds {
            body: limit,
            ratio: 200,
        };
        let mut unpacker = Unpacker::new(encoding, bounds)?.expect("not identity");
        let mut out = Vec::new();
        for mut chunk in packed.chunks(step) {
            while let Some(piece) = unpacker.next(&mut chunk)? {
                assert!(piece.len() <= 2 * PIECE, "a piece of {}", piece.len());
                out.extend(piece);
            }
        }
        out.extend(unpacker.finish()?);
        Ok(out)
    }

    #[test]
    fn packed_bodies_are_unpacked_however_they_are_cut() {
        let data: Vec<u8> = (0..50_000_u32).flat_map(|n| n.to_le_bytes()).collect();
        let zstd = zstd::encode_all(data.as_slice(), 3).expect("packs");
        for (encoding, packed) in [("gzip", gzip(&data)), ("zstd", zstd)] {
            for step in [1, 1000, usize::MAX] {
                assert_eq!(
                    unpack(encoding, &packed, step, 1 << 20).as_deref(),
                    Ok(data.as_slice()),
                    "{encoding} by {step}"
                );
            }
            let half = &packed[..packed.len() / 2];
            assert_eq!(
                unpack(encoding, half, usize::MAX, 1 << 20)
                    .expect_err("half")
                    .status,
                400,
                "{encoding}"
            );
            let mut more = packed.clone();
            more.extend_from_slice(b"more");
            assert_eq!(
                unpack(encoding, &more, usize::MAX, 1 << 20)
                    .expect_err("more")
                    .status,
                400,
                "{encoding}"
            );
        }
        // "hello" packed by another program.
        let brotli = [0x0b, 0x02, 0x80, b'h', b'e', b'l', b'l', b'o', 0x03];
        assert_eq!(unpack("br", &brotli, 1, 100).as_deref(), Ok(&b"hello"[..]));
        assert_eq!(
            unpack("br", &brotli[..5], 1, 100).expect_err("half").status,
            400
        );
        let mut more = brotli.to_vec();
        more.push(1);
        assert_eq!(
            unpack("br", &more, usize::MAX, 100)
                .expect_err("more")
                .status,
            400
        );
    }

    fn forgive(encoding: &str, packed: &[u8], step: usize) -> Result<String, Rejected> {
        let bounds = Bounds {
            body: 1 << 20,
            ratio: 200,
        };
        let unpacker = Unpacker::new(encoding, bounds)?.expect("not identity");
        let (mut unpacker, mut out) = (unpacker.forgiving(), Vec::new());
        for mut chunk in packed.chunks(step) {
            while let Some(piece) = unpacker.next(&mut chunk)? {
                out.extend(piece);
            }
            assert!(chunk.is_empty());
        }
        out.extend(unpacker.finish()?);
        Ok(String::from_utf8(out).expect("UTF-8"))
    }

    #[test]
    fn answers_are_unpacked_as_browsers_do() {
        let text = (0..2000).map(|n| n.to_string()).collect::<String>();
        let zstd = |text: &str| zstd::encode_all(text.as_bytes(), 3).expect("packs");
        let gz = |text: &str| gzip(text.as_bytes());
        let twice = text.repeat(2);
        let brotli = [0x0b, 0x02, 0x80, b'h', b'e', b'l', b'l', b'o', 0x03];
        let mut wrong_sum = gz(&text);
        wrong_sum.truncate(wrong_sum.len() - 8);
        wrong_sum.extend([0; 8]);
        for (encoding, packed, expected) in [
            ("gzip", [gz(&text), gz(&text)].concat(), &twice),
            ("zstd", [zstd(&text), zstd(&text)].concat(), &twice),
            ("gzip", [gz(&text), b"junk".to_vec()].concat(), &text),
            ("gzip", [gz(&text), vec![0; 40]].concat(), &text),
            (
                "gzip",
                [
                    gz(&text),
                    gz(&text),
                    b"\x1f\x8bjunk and more of it".to_vec(),
                ]
                .concat(),
                &twice,
            ),
            (
                "zstd",
                [zstd(&text), b"junk, and more".to_vec()].concat(),
                &text,
            ),
            (
                "br",
                [brotli.to_vec(), b"junk".to_vec()].concat(),
                &"hello".to_owned(),
            ),
            ("gzip", wrong_sum, &text),
        ] {
            for step in [1, 7, 1000, usize::MAX] {
                let unpacked = forgive(encoding, &packed, step);
                assert_eq!(unpacked.as_ref(), Ok(expected), "{encoding} by {step}");
            }
        }
        for (encoding, packed) in [("gzip", gz(&text)), ("zstd", zstd(&text))] {
            let half = forgive(encoding, &packed[..packed.len() - 9], 100).expect("a part");
            assert!(text.starts_with(&half), "{encoding}");
            assert!(forgive(encoding, b"<!doctype html><p>not packed", 5).is_err());
        }
    }

    #[test]
    fn a_bomb_is_noticed() {
        let zeros = vec![0; 10 << 20];
        let zstd = zstd::encode_all(zeros.as_slice(), 3).expect("packs");
        for (encoding, bomb) in [("gzip", gzip(&zeros)), ("zstd", zstd)] {
            assert!(bomb.len() < 20_000);
            for (limit, name) in [(100_000, "limits.body"), (1 << 30, "limits.unpack_ratio")] {
                for step in [1, usize::MAX] {
                    let rejected = unpack(encoding, &bomb, step, limit).expect_err("too large");
                    assert_eq!(
                        (rejected.status, rejected.limit),
                        (413, Some(name)),
                        "{encoding}"
                    );
                }
            }
        }
        let small = gzip(&vec![b'a'; 1 << 19]);
        assert!(
            unpack("gzip", &small, 7, 1 << 20).is_ok(),
            "small forms may pack well"
        );
    }

    #[test]
    fn a_whole_body_is_unpacked_at_once() {
        let body = Bytes::from(gzip(&[b'a'; 100_000]));
        assert_eq!(
            whole(&body, "gzip", 100_000).map(|out| out.len()),
            Ok(100_000)
        );
        assert!(whole(&body, "gzip", 99_999).is_err());
        assert_eq!(whole(&body, "identity", 1), Ok(body.clone()));
    }

    #[test]
    fn encodings_are_known_or_refused() {
        let bounds = Bounds { body: 1, ratio: 1 };
        for unknown in ["deflate", "gzip, gzip", "gzip, identity", "compress"] {
            let rejected = Unpacker::new(unknown, bounds).expect_err(unknown);
            assert!(!knows(unknown));
            assert_eq!(rejected.status, 415);
        }
        for none in ["identity", "", " Identity "] {
            assert!(Unpacker::new(none, bounds).expect("known").is_none() && knows(none));
        }
        for known in [" GZip ", "x-gzip", "br", "zstd"] {
            assert!(Unpacker::new(known, bounds).expect("known").is_some() && knows(known));
        }
    }
}
