//! What only a key can make: whatever is not the very text that was made with it opens nothing.

use std::sync::LazyLock;

use formgate::codec::flash::Seal;
use formgate::codec::jwt;
use formgate::model::secret::Secret;
use serde_json::json;

/// Sealed with a key of sevens for `a`, good until 1000; in the corpus, to be changed.
const SEALED: &str = "AaR2w0FC6y6xvpmTPWZQFiU65A0fLZBmIoWsnfDnBMQkWjr6IG-pJ-DUs41p";
const TEXT: &[u8] = b"{\"m\":[]}";

static SEAL: LazyLock<Seal> = LazyLock::new(|| Seal::new(Some([7; 32])));

pub(super) fn flash(input: &[u8]) -> String {
    let value = String::from_utf8_lossy(input);
    let opened = SEAL.open(&value, "a", 1000);
    assert_eq!(opened.is_some(), value == SEALED);
    assert!(opened.as_ref().is_none_or(|text| text == TEXT));
    // Of another host, and too late.
    assert_eq!(SEAL.open(&value, "b", 1000), None);
    assert_eq!(SEAL.open(&value, "a", 1001), None);
    if opened.is_some() {
        "opened"
    } else {
        "not opened"
    }
    .to_owned()
}

static VERIFIER: LazyLock<jwt::Verifier> = LazyLock::new(|| {
    let settings = jwt::Settings {
        key: Secret::new("0123456789abcdef0123456789abcdef"),
        algorithms: vec!["HS256".to_owned()],
        issuer: None,
        audience: None,
        from: jwt::TokenSource::Header("authorization".to_owned()),
    };
    jwt::Verifier::new(&settings).expect("a good key")
});

/// `{"alg":"HS256"}.{"exp":4102444800,"sub":"ana"}` under the key above; in the corpus, to be changed.
pub(super) fn jwt(input: &[u8]) -> String {
    let token = String::from_utf8_lossy(input);
    let Some(claims) = VERIFIER.claims(&token) else {
        return "no claims".to_owned();
    };
    assert_eq!(
        json!(claims),
        json!({"exp": 4_102_444_800_u64, "sub": "ana"})
    );
    "claims".to_owned()
}
