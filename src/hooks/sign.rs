//! Standard Webhooks signatures (specification 1.0): `v1,` and the base64 of an HMAC-SHA256 over id, time and body.
//! Owns making and checking them; which keys sign is said by the rule file.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::rules::hook::SigningKey;

/// The keys of one hook, ready to sign.
#[derive(Debug, Clone, Default)]
pub struct Signer {
    keys: Vec<hmac::Key>,
}

impl Signer {
    /// Signs with every key, the first the newest.
    #[must_use]
    pub fn new(keys: &[SigningKey]) -> Self {
        let keys = keys
            .iter()
            .map(|key| hmac::Key::new(hmac::HMAC_SHA256, key.bytes()));
        Self {
            keys: keys.collect(),
        }
    }

    /// The value of `webhook-signature`; `None` without keys. One signature per key, separated by spaces.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> Option<String> {
        let mut value = String::new();
        for key in &self.keys {
            let mut context = hmac::Context::with_key(key);
            context.update(format!("{id}.{timestamp}.").as_bytes());
            context.update(body);
            if !value.is_empty() {
                value.push(' ');
            }
            value.push_str("v1,");
            STANDARD.encode_string(context.sign().as_ref(), &mut value);
        }
        (!value.is_empty()).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::secret::Secret;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn signatures_agree_with_the_reference_library() {
        let key = SigningKey::parse(&Secret::new(SECRET)).expect("a key");
        let body = br#"{"event":"form_submit"}"#;
        let ours = Signer::new(std::slice::from_ref(&key))
            .sign("msg_1", 1_614_265_330, body)
            .expect("signed");
        let webhook = standardwebhooks::Webhook::new(SECRET).expect("a key");
        let theirs = webhook.sign("msg_1", 1_614_265_330, body).expect("signed");
        assert_eq!(ours, theirs);
        let twice = Signer::new(&[key.clone(), key])
            .sign("msg_1", 1_614_265_330, body)
            .expect("signed");
        assert_eq!(twice, format!("{theirs} {theirs}"));
        assert_eq!(Signer::default().sign("x", 1, b""), None);
    }
}
