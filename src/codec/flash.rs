//! A text that a browser carries for a moment in a cookie: sealed, so that nobody can read, make or change one, bound
//! to one host and gone after a while. Owns the bytes; what is carried, and when, is left to `flow`.

use std::fmt;

use aws_lc_rs::aead::AES_256_GCM_SIV;
use aws_lc_rs::aead::Aad;
use aws_lc_rs::aead::LessSafeKey;
use aws_lc_rs::aead::NONCE_LEN;
use aws_lc_rs::aead::Nonce;
use aws_lc_rs::aead::UnboundKey;
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memchr::memmem::Finder;

/// What the key of a seal is derived for.
pub const PURPOSE: &[u8] = b"formgate flash cookie";

/// Which layout the bytes have, so that another one can be told apart: layout, nonce, sealed text, tag.
const LAYOUT: u8 = 1;

/// The moment until which a text is good, in seconds since 1970; it stands before the text.
const UNTIL: usize = 8;

/// Seals texts and opens them.
///
/// Several gateways with one key draw their nonces without knowing of each other; AES-GCM-SIV (RFC 8452) keeps its
/// promise even if two of them are the same.
pub struct Seal {
    /// The first seals, each opens; without one nothing is sealed, and nothing opens.
    keys: Vec<LessSafeKey>,
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(***)")
    }
}

impl Seal {
    /// A seal with this key, or with several: the first seals, all open.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = [u8; 32]>) -> Self {
        let keys = keys.into_iter();
        let keys = keys.filter_map(|key| UnboundKey::new(&AES_256_GCM_SIV, &key).ok());
        Self {
            keys: keys.map(LessSafeKey::new).collect(),
        }
    }

    /// Seals a text for `host`, good until this moment. It comes out as a cookie's value.
    #[must_use]
    pub fn close(&self, text: &[u8], host: &str, until: u64) -> Option<String> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut sealed = Vec::with_capacity(UNTIL + text.len() + AES_256_GCM_SIV.tag_len());
        sealed.extend_from_slice(&until.to_be_bytes());
        sealed.extend_from_slice(text);
        let unique = Nonce::assume_unique_for_key(nonce);
        self.keys
            .first()?
            .seal_in_place_append_tag(unique, bound(host), &mut sealed)
            .ok()?;
        let mut bytes = Vec::with_capacity(1 + NONCE_LEN + sealed.len());
        bytes.push(LAYOUT);
        bytes.extend_from_slice(&nonce);
        bytes.append(&mut sealed);
        Some(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Opens what was sealed for `host`; `None` if it was not, if it is too old, or if anything of it was changed.
    #[must_use]
    pub fn open(&self, value: &str, host: &str, now: u64) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(value).ok()?;
        let (layout, rest) = bytes.split_first()?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        if *layout != LAYOUT {
            return None;
        }
        let mut opened = self.keys.iter().filter_map(|key| {
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let mut sealed = sealed.to_vec();
            let opened = key.open_in_place(nonce, bound(host), &mut sealed).ok()?;
            Some(opened.to_vec())
        });
        let opened = opened.next()?;
        let (until, text) = opened.split_first_chunk::<UNTIL>()?;
        (now <= u64::from_be_bytes(*until)).then(|| text.to_vec())
    }
}

/// Looks for a cookie in the headers of every request.
#[derive(Debug)]
pub struct Lookout(Finder<'static>);

impl Lookout {
    /// A lookout for cookies that have this in their name.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self(Finder::new(name))
    }

    /// Whether there could be one among these cookies.
    #[must_use]
    pub fn sees(&self, cookies: &[u8]) -> bool {
        self.0.find(cookies).is_some()
    }
}

/// How long a text of so many bytes is when it is sealed.
#[must_use]
pub const fn sealed_length(text: usize) -> usize {
    // Layout, nonce, moment, text, tag; four characters for three bytes.
    (1 + NONCE_LEN + UNTIL + text + 16).div_ceil(3) * 4
}

/// What a text is good for besides its key: one host, in one layout.
fn bound(host: &str) -> Aad<Vec<u8>> {
    Aad::from([&[LAYOUT], host.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_back_where_it_was_meant_to_and_in_time() {
        let seal = Seal::new(Some([7; 32]));
        let value = seal.close(b"Welcome", "a.example", 100).expect("sealed");
        assert!(
            value
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
        assert!(
            value.len() <= sealed_length("Welcome".len()),
            "{}",
            value.len()
        );
        assert_eq!(
            seal.open(&value, "a.example", 100).as_deref(),
            Some(&b"Welcome"[..])
        );
        assert_eq!(seal.open(&value, "a.example", 101), None, "too old");
        assert_eq!(seal.open(&value, "b.example", 100), None, "another host");
        assert_eq!(
            Seal::new(Some([8; 32])).open(&value, "a.example", 100),
            None,
            "another key"
        );
        let again = seal.close(b"Welcome", "a.example", 100).expect("sealed");
        assert_ne!(
            value, again,
            "two seals do not show that they hold the same"
        );
    }

    #[test]
    fn nothing_of_it_can_be_changed() {
        let seal = Seal::new(Some([7; 32]));
        let value = seal.close(b"Welcome", "a.example", 100).expect("sealed");
        let bytes = URL_SAFE_NO_PAD.decode(&value).expect("base64");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let changed = URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(seal.open(&changed, "a.example", 0), None, "byte {at}");
            let cut = URL_SAFE_NO_PAD.encode(&bytes[..at]);
            assert_eq!(seal.open(&cut, "a.example", 0), None, "cut at {at}");
        }
        for junk in ["", "%%%", "AA", &"A".repeat(4000)] {
            assert_eq!(seal.open(junk, "a.example", 0), None, "{junk:.10}");
        }
    }
}
