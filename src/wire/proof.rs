//! The proof that a request is the gateway's own (protocol §1): `formgate-depth` with a message authentication code
//! under the gateway's key. Owns that key, making and checking proofs, and deriving the keys of others from it; what a
//! proven request is spared is left to `flow`.

use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;

use aws_lc_rs::hkdf;
use aws_lc_rs::hmac;
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;

use crate::model::secret::Secret;

/// How deep a request is in calls of the gateway.
pub static DEPTH: HeaderName = HeaderName::from_static("formgate-depth");
/// The time and the code over both: `t=1763700000,v1=…`.
pub static PROOF: HeaderName = HeaderName::from_static("formgate-proof");

/// A shorter key could be guessed.
const LEAST: usize = 32;

/// How old a proof may be, in seconds, and how far its clock may be ahead.
const VALID: u64 = 300;

/// The gateway's key: the one it uses, and others that it believes while they are exchanged for another.
pub struct Key {
    keys: Vec<One>,
    /// The last proof made: all calls of one second share it.
    last: Mutex<Option<(u64, HeaderValue)>>,
}

struct One {
    key: hmac::Key,
    /// What other keys are derived from.
    root: hkdf::Prk,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(***)")
    }
}

impl Key {
    /// The key of several gateways that must know each other's calls; with white space between them, several: the
    /// first is used, all are believed.
    #[must_use]
    pub fn shared(secret: &Secret) -> Self {
        Self::new(words(secret).map(str::as_bytes))
    }

    /// A key of this process alone.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn random() -> Result<Self, String> {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).map_err(|_| "the system gives no random numbers".to_owned())?;
        Ok(Self::new([bytes.as_slice()]))
    }

    fn new<'k>(keys: impl IntoIterator<Item = &'k [u8]>) -> Self {
        let one = |bytes| One {
            key: hmac::Key::new(hmac::HMAC_SHA256, bytes),
            root: hkdf::Salt::new(hkdf::HKDF_SHA256, b"formgate").extract(bytes),
        };
        Self {
            keys: keys.into_iter().map(one).collect(),
            last: Mutex::new(None),
        }
    }

    /// What is wrong with a secret that is to be a key.
    ///
    /// # Errors
    /// A sentence without the secret.
    pub fn judge(secret: &Secret) -> Result<(), String> {
        let shortest = words(secret).map(str::len).min().unwrap_or(0);
        if shortest < LEAST {
            return Err(format!(
                "the key has {shortest} bytes, at least {LEAST} are wanted"
            ));
        }
        Ok(())
    }

    /// A key for another purpose, which says nothing about this one, for each: the one to use first.
    #[must_use]
    pub fn derive(&self, purpose: &[u8]) -> Vec<[u8; 32]> {
        let derived = self.keys.iter().filter_map(|one| {
            let mut key = [0; 32];
            let purposes = [purpose];
            // The library does not refuse this length.
            let derived = one.root.expand(&purposes, hkdf::HKDF_SHA256).ok()?;
            derived.fill(&mut key).ok()?;
            Some(key)
        });
        derived.collect()
    }

    /// Marks a call made now (in seconds since 1970) as the gateway's own.
    pub fn mark(&self, headers: &mut HeaderMap, now: u64) {
        headers.insert(&DEPTH, HeaderValue::from_static("1"));
        if let Some(proof) = self.proof(now) {
            headers.insert(&PROOF, proof);
        }
    }

    fn proof(&self, now: u64) -> Option<HeaderValue> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, proof)) = &*last
            && *at == now
        {
            return Some(proof.clone());
        }
        let tag = hmac::sign(&self.keys.first()?.key, text(1, now).as_bytes());
        let proof = format!("t={now},v1={}", URL_SAFE_NO_PAD.encode(tag.as_ref()));
        let proof = HeaderValue::from_str(&proof).ok()?;
        *last = Some((now, proof.clone()));
        Some(proof)
    }

    /// Whether a request carries a valid proof. Without one, both headers are taken off it.
    pub fn check(&self, headers: &mut HeaderMap, now: impl FnOnce() -> u64) -> bool {
        if !headers.keys().any(|name| name == DEPTH || name == PROOF) {
            return false;
        }
        let proven = self.is_proven(headers, now());
        if !proven {
            headers.remove(&DEPTH);
            headers.remove(&PROOF);
        }
        proven
    }

    fn is_proven(&self, headers: &HeaderMap, now: u64) -> bool {
        let one = |name: &HeaderName| {
            let mut values = headers.get_all(name).iter();
            let value = values.next()?.to_str().ok()?;
            values.next().is_none().then_some(value)
        };
        let (Some(depth), Some(proof)) = (one(&DEPTH), one(&PROOF)) else {
            return false;
        };
        let Some((at, code)) = parse(proof) else {
            return false;
        };
        let fresh = at.abs_diff(now) <= VALID;
        let Ok(depth) = depth.parse::<u32>() else {
            return false;
        };
        let text = text(depth, at);
        let fits = |one: &One| hmac::verify(&one.key, text.as_bytes(), &code).is_ok();
        fresh && self.keys.iter().any(fits)
    }
}

fn words(secret: &Secret) -> impl Iterator<Item = &str> {
    secret.expose().split_ascii_whitespace()
}

fn text(depth: u32, at: u64) -> String {
    format!("formgate-depth:{depth}:{at}")
}

fn parse(proof: &str) -> Option<(u64, Vec<u8>)> {
    let (at, code) = proof.split_once(',')?;
    let at = at.strip_prefix("t=")?.parse().ok()?;
    let code = URL_SAFE_NO_PAD.decode(code.strip_prefix("v1=")?).ok()?;
    Some((at, code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_keys_differ_by_purpose_and_by_key() {
        let key = |secret: &[u8], purpose: &[u8]| {
            let derived = Key::new([secret]).derive(purpose);
            assert_eq!(derived.len(), 1);
            derived[0]
        };
        assert_eq!(key(b"one", b"a"), key(b"one", b"a"));
        assert_ne!(key(b"one", b"a"), key(b"one", b"b"));
        assert_ne!(key(b"one", b"a"), key(b"two", b"a"));
    }

    #[test]
    fn a_key_is_exchanged_in_three_steps() {
        let (old, new) = (
            "old old old old old old old!".repeat(2),
            "new new new new new new new!".repeat(2),
        );
        let (old, new) = (old.replace(' ', "-"), new.replace(' ', "-"));
        let steps = [
            old.clone(),
            format!("{old}\n{new}"),
            format!("{new} {old}"),
            new,
        ];
        let keys = steps.map(|secret| {
            let secret = Secret::new(secret);
            assert_eq!(Key::judge(&secret), Ok(()));
            Key::shared(&secret)
        });
        // Whoever is a step ahead or behind is known.
        for pair in keys.windows(2) {
            for (one, other) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
                let mut headers = HeaderMap::new();
                one.mark(&mut headers, 1000);
                assert!(other.check(&mut headers, || 1000));
                let used = one.derive(b"a")[0];
                assert!(other.derive(b"a").contains(&used));
            }
        }
        let mut headers = HeaderMap::new();
        keys[0].mark(&mut headers, 1000);
        assert!(!keys[3].check(&mut headers, || 1000));
        for short in ["", " ", "0123456789012345678901234567890123456789 short"] {
            assert!(Key::judge(&Secret::new(short)).is_err(), "{short:?}");
        }
    }

    #[test]
    fn a_proof_holds_for_a_while_and_only_as_made() {
        let key = Key::random().expect("random numbers");
        let mut headers = HeaderMap::new();
        key.mark(&mut headers, 1000);
        assert_eq!(headers.get(&DEPTH), Some(&HeaderValue::from_static("1")));
        assert!(key.check(&mut headers.clone(), || 1000 + VALID));
        assert!(!key.check(&mut headers.clone(), || 1001 + VALID), "too old");
        let other = Key::random().expect("random numbers");
        assert!(
            !other.check(&mut headers.clone(), || 1000),
            "another gateway's"
        );
        let mut deeper = headers.clone();
        deeper.insert(&DEPTH, HeaderValue::from_static("0"));
        assert!(!key.check(&mut deeper, || 1000), "another depth");
        assert!(deeper.is_empty(), "what is not proven is taken off");
        let mut twice = headers.clone();
        twice.append(&DEPTH, HeaderValue::from_static("1"));
        assert!(!key.check(&mut twice, || 1000));
        let mut bare = HeaderMap::new();
        bare.insert(&DEPTH, HeaderValue::from_static("1"));
        assert!(!key.check(&mut bare, || 1000));
    }
}
