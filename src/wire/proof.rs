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

/// How old a proof may be, in seconds, and how far its clock may be ahead.
const VALID: u64 = 300;

/// The gateway's key.
pub struct Key {
    key: hmac::Key,
    /// What other keys are derived from.
    root: hkdf::Prk,
    /// The last proof made: all calls of one second share it.
    last: Mutex<Option<(u64, HeaderValue)>>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(***)")
    }
}

impl Key {
    /// The key of several gateways that must know each other's calls.
    #[must_use]
    pub fn shared(secret: &Secret) -> Self {
        Self::new(secret.expose().as_bytes())
    }

    /// A key of this process alone.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn random() -> Result<Self, String> {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).map_err(|_| "the system gives no random numbers".to_owned())?;
        Ok(Self::new(&bytes))
    }

    fn new(bytes: &[u8]) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, bytes),
            root: hkdf::Salt::new(hkdf::HKDF_SHA256, b"formgate").extract(bytes),
            last: Mutex::new(None),
        }
    }

    /// A key for another purpose, which says nothing about this one. `None` if the library refuses, which it does not
    /// for this length.
    #[must_use]
    pub fn derive(&self, purpose: &[u8]) -> Option<[u8; 32]> {
        let mut key = [0; 32];
        let purposes = [purpose];
        let derived = self.root.expand(&purposes, hkdf::HKDF_SHA256).ok()?;
        derived.fill(&mut key).ok()?;
        Some(key)
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
        let tag = hmac::sign(&self.key, text(1, now).as_bytes());
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
        fresh && hmac::verify(&self.key, text(depth, at).as_bytes(), &code).is_ok()
    }
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
        let key = |secret: &[u8], purpose: &[u8]| Key::new(secret).derive(purpose).expect("a key");
        assert_eq!(key(b"one", b"a"), key(b"one", b"a"));
        assert_ne!(key(b"one", b"a"), key(b"one", b"b"));
        assert_ne!(key(b"one", b"a"), key(b"two", b"a"));
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
