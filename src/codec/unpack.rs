//! `content-encoding` of submissions: gzip, br, zstd. Owns unpacking a stream within a limit, and refusing what
//! follows the end of the packed data; the packed bytes themselves go to the backend as they came.

use std::fmt;
use std::io;
use std::io::Write;

use zstd::stream::raw::Operation;

use crate::codec::rejected::Rejected;

/// Unpacks a body piece by piece.
pub struct Unpacker {
    inner: Inner,
    limit: u64,
    taken: u64,
}

enum Inner {
    Gzip(flate2::write::GzDecoder<Vec<u8>>),
    Brotli(Box<brotli_decompressor::DecompressorWriter<Vec<u8>>>),
    Zstd(Zstd),
}

/// zstd's own writer does not say whether the frame has ended, so its raw decoder is driven here.
struct Zstd {
    decoder: zstd::stream::raw::Decoder<'static>,
    out: Vec<u8>,
    ended: bool,
}

/// RFC 8878, section 3.1.1.1.2: a decoder should take windows of up to 8 MiB, and need not take more.
const ZSTD_WINDOW_LOG: u32 = 23;

impl fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unpacker")
            .field("taken", &self.taken)
            .finish_non_exhaustive()
    }
}

/// How many packed bytes are unpacked at a time, so that a bomb is noticed before it is large.
const STEP: usize = 8 << 10;

impl Unpacker {
    /// An unpacker for the value of `content-encoding`; `None` for `identity`.
    ///
    /// # Errors
    /// 415 for an encoding that is not spoken here.
    pub fn new(encoding: &str, limit: u64) -> Result<Option<Self>, Rejected> {
        let inner = match encoding.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => return Ok(None),
            "gzip" | "x-gzip" => Inner::Gzip(flate2::write::GzDecoder::new(Vec::new())),
            "br" => Inner::Brotli(Box::new(brotli_decompressor::DecompressorWriter::new(
                Vec::new(),
                4096,
            ))),
            "zstd" => {
                let zstd = Zstd::new();
                Inner::Zstd(
                    zstd.map_err(|_| Rejected::unsupported("zstd cannot be unpacked here."))?,
                )
            }
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
            limit,
            taken: 0,
        }))
    }

    /// Unpacks more.
    ///
    /// # Errors
    /// 400 for broken data, 413 over the limit.
    pub fn push(&mut self, packed: &[u8]) -> Result<Vec<u8>, Rejected> {
        let mut out = Vec::new();
        for step in packed.chunks(STEP) {
            self.write(step)?;
            let buffer = self.inner.buffer();
            self.taken += u64::try_from(buffer.len()).unwrap_or(u64::MAX);
            out.append(buffer);
            if self.taken > self.limit {
                let text = format!("The body unpacks to more than {} bytes.", self.limit);
                return Err(Rejected::too_large("limits.body", text));
            }
        }
        Ok(out)
    }

    fn write(&mut self, mut packed: &[u8]) -> Result<(), Rejected> {
        while !packed.is_empty() {
            let written = self.inner.write(packed).map_err(|_| broken())?;
            if written == 0 {
                return Err(Rejected::malformed(
                    "There is data after the end of the packed body.",
                ));
            }
            packed = &packed[written..];
        }
        Ok(())
    }

    /// Ends the body; what is left of it.
    ///
    /// # Errors
    /// 400 if the packed data breaks off.
    pub fn finish(mut self) -> Result<Vec<u8>, Rejected> {
        let mut rest = self.inner.finish().map_err(|_| broken())?;
        self.taken += u64::try_from(rest.len()).unwrap_or(u64::MAX);
        if self.taken > self.limit {
            rest.clear();
            return Err(Rejected::too_large(
                "limits.body",
                format!("The body unpacks to more than {} bytes.", self.limit),
            ));
        }
        Ok(rest)
    }
}

fn broken() -> Rejected {
    Rejected::malformed("The body is not packed as its content encoding says, or it breaks off.")
}

impl Inner {
    fn write(&mut self, packed: &[u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(decoder) => decoder.write(packed),
            Self::Brotli(decoder) => decoder.write(packed),
            Self::Zstd(zstd) => zstd.write(packed),
        }
    }

    fn buffer(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Brotli(decoder) => decoder.get_mut(),
            Self::Zstd(zstd) => &mut zstd.out,
        }
    }

    fn finish(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(decoder) => {
                decoder.try_finish()?;
                Ok(std::mem::take(decoder.get_mut()))
            }
            Self::Brotli(decoder) => {
                decoder.close()?;
                Ok(std::mem::take(decoder.get_mut()))
            }
            Self::Zstd(zstd) if zstd.ended => Ok(std::mem::take(&mut zstd.out)),
            Self::Zstd(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Zstd {
    fn new() -> io::Result<Self> {
        let mut decoder = zstd::stream::raw::Decoder::new()?;
        decoder.set_parameter(zstd::stream::raw::DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
        Ok(Self {
            decoder,
            out: Vec::new(),
            ended: false,
        })
    }

    /// How many bytes were taken; 0 after the end of the frame.
    fn write(&mut self, packed: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        let mut buffer = [0; 16 << 10];
        while taken < packed.len() && !self.ended {
            taken += self.step(&packed[taken..], &mut buffer)?;
        }
        // What the decoder still holds comes out without more input.
        while !self.ended {
            let before = self.out.len();
            self.step(&[], &mut buffer)?;
            if self.out.len() == before {
                break;
            }
        }
        Ok(taken)
    }

    fn step(&mut self, packed: &[u8], buffer: &mut [u8]) -> io::Result<usize> {
        let status = self.decoder.run_on_buffers(packed, buffer)?;
        self.out.extend_from_slice(&buffer[..status.bytes_written]);
        self.ended = status.remaining == 0;
        Ok(status.bytes_read)
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
        let mut unpacker = Unpacker::new(encoding, limit)?.expect("not identity");
        let mut out = Vec::new();
        for chunk in packed.chunks(step) {
            out.extend(unpacker.push(chunk)?);
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

    #[test]
    fn a_bomb_is_noticed() {
        let bomb = gzip(&vec![0; 10 << 20]);
        assert!(bomb.len() < 20_000);
        let rejected = unpack("gzip", &bomb, usize::MAX, 100_000).expect_err("too large");
        assert_eq!(
            (rejected.status, rejected.limit),
            (413, Some("limits.body"))
        );
        assert_eq!(
            Unpacker::new("deflate", 1).expect_err("unknown").status,
            415
        );
        assert!(Unpacker::new("identity", 1).expect("known").is_none());
    }
}
