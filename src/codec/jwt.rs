//! JSON Web Tokens of the site's own login. Owns verifying one with the operator's key; which claim means what is
//! said by rule files.

use std::fmt;

use jsonwebtoken::Algorithm;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::Validation;
use serde_json::Map;
use serde_json::Value;

use crate::model::secret::Secret;

/// How tokens are verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The public key in PEM, or the shared secret of the HS algorithms.
    pub key: Secret,
    /// The algorithms that are taken, all of one family: `RS256`.
    pub algorithms: Vec<String>,
    /// `iss` must be this.
    pub issuer: Option<String>,
    /// `aud` must hold this.
    pub audience: Option<String>,
    /// Where the token is: a header (`Bearer` in front of it is left out) or a cookie.
    pub from: TokenSource,
}

/// Where a request carries its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// A header, in lower case.
    Header(String),
    /// A cookie.
    Cookie(String),
}

/// Verifies tokens.
pub struct Verifier {
    key: DecodingKey,
    validation: Validation,
    from: TokenSource,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

impl Verifier {
    /// A verifier with these settings.
    ///
    /// # Errors
    /// A sentence for the operator, without the key.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        let algorithms = algorithms(&settings.algorithms)?;
        let first = *algorithms
            .first()
            .ok_or("`jwt.algorithms` is empty; write for example [\"RS256\"]")?;
        let mut validation = Validation::new(first);
        validation.algorithms = algorithms;
        validation.validate_nbf = true;
        // What the operator names must be there: a token without it may have been made for somebody else.
        for (name, wanted) in [("iss", &settings.issuer), ("aud", &settings.audience)] {
            if wanted.is_some() {
                validation.required_spec_claims.insert(name.to_owned());
            }
        }
        match &settings.audience {
            Some(audience) => validation.set_audience(&[audience]),
            None => validation.validate_aud = false,
        }
        if let Some(issuer) = &settings.issuer {
            validation.set_issuer(&[issuer]);
        }
        Ok(Self {
            key: key(first, &settings.key)?,
            validation,
            from: settings.from.clone(),
        })
    }

    /// Where the token is.
    #[must_use]
    pub const fn from(&self) -> &TokenSource {
        &self.from
    }

    /// The claims of a valid token. One that is forged, expired or for somebody else has none.
    #[must_use]
    pub fn claims(&self, token: &str) -> Option<Map<String, Value>> {
        let token = token.strip_prefix("Bearer ").unwrap_or(token).trim();
        let decoded =
            jsonwebtoken::decode::<Map<String, Value>>(token, &self.key, &self.validation);
        decoded.ok().map(|data| data.claims)
    }
}

/// A claim by its name, with dots between the parts of a nested one.
#[must_use]
pub fn claim<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    rest.split('.')
        .try_fold(claims.get(first)?, |value, part| value.get(part))
}

const ALGORITHMS: [(&str, Algorithm); 12] = [
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// Takes algorithms of one family only: a public key must never be tried as a shared secret.
fn algorithms(names: &[String]) -> Result<Vec<Algorithm>, String> {
    let known = |name: &String| {
        let found = ALGORITHMS.iter().find(|(known, _)| known == name);
        let all = || ALGORITHMS.map(|(name, _)| name).join(", ");
        let algorithm = found.map(|(_, algorithm)| *algorithm);
        algorithm.ok_or_else(|| {
            format!(
                "`{name}` is not an algorithm for tokens; there are {}",
                all()
            )
        })
    };
    let found: Vec<Algorithm> = names.iter().map(known).collect::<Result<_, _>>()?;
    let family = |algorithm: &Algorithm| match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => 0,
        Algorithm::ES256 | Algorithm::ES384 => 1,
        Algorithm::EdDSA => 2,
        _ => 3,
    };
    if found
        .windows(2)
        .any(|pair| family(&pair[0]) != family(&pair[1]))
    {
        return Err("`jwt.algorithms` must be of one family, so that a public key is never taken for a secret".to_owned());
    }
    Ok(found)
}

fn key(algorithm: Algorithm, secret: &Secret) -> Result<DecodingKey, String> {
    let bytes = secret.expose().as_bytes();
    let is_pem = secret.expose().contains("-----BEGIN");
    let parsed = match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 if is_pem => {
            return Err(
                "the HS algorithms want a shared secret, but `jwt.key` is a PEM key".to_owned(),
            );
        }
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
            return Ok(DecodingKey::from_secret(bytes));
        }
        Algorithm::ES256 | Algorithm::ES384 => DecodingKey::from_ec_pem(bytes),
        Algorithm::EdDSA => DecodingKey::from_ed_pem(bytes),
        _ => DecodingKey::from_rsa_pem(bytes),
    };
    parsed.map_err(|_| "`jwt.key` is not a public key in PEM for these algorithms".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::EncodingKey;
    use jsonwebtoken::Header;
    use serde_json::json;

    fn settings() -> Settings {
        Settings {
            key: Secret::new("0123456789abcdef0123456789abcdef"),
            algorithms: vec!["HS256".into()],
            issuer: Some("https://login.example.org".into()),
            audience: None,
            from: TokenSource::Header("authorization".into()),
        }
    }

    fn token(secret: &str, claims: &Value) -> String {
        jsonwebtoken::encode(
            &Header::default(),
            &claims,
            &EncodingKey::from_secret(secret.as_bytes()),
        )
        .expect("encodes")
    }

    #[test]
    fn only_valid_tokens_have_claims() {
        let settings = settings();
        let verifier = Verifier::new(&settings).expect("good");
        let good = json!({"iss": "https://login.example.org", "exp": 4_000_000_000_u64, "sub": "u-1", "org": {"id": 7}});
        let claims = verifier
            .claims(&format!("Bearer {}", token(settings.key.expose(), &good)))
            .expect("valid");
        assert_eq!(claim(&claims, "sub"), Some(&json!("u-1")));
        assert_eq!(claim(&claims, "org.id"), Some(&json!(7)));
        assert_eq!(claim(&claims, "org.name"), None);
        assert!(
            verifier
                .claims(&token("another secret of the same length", &good))
                .is_none()
        );
        let mut expired = good.clone();
        expired["exp"] = json!(1);
        assert!(
            verifier
                .claims(&token(settings.key.expose(), &expired))
                .is_none()
        );
        let mut elsewhere = good;
        elsewhere["iss"] = json!("https://evil.example");
        assert!(
            verifier
                .claims(&token(settings.key.expose(), &elsewhere))
                .is_none()
        );
        // {"alg":"none","typ":"JWT"} without a signature.
        assert!(
            verifier
                .claims("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJ1LTEifQ.")
                .is_none()
        );
    }

    #[test]
    fn a_token_must_say_whose_and_for_whom_it_is_where_the_operator_does() {
        let mut settings = settings();
        settings.audience = Some("forms".into());
        let verifier = Verifier::new(&settings).expect("good");
        let is_valid = |claims: &Value| {
            let token = token(settings.key.expose(), claims);
            verifier.claims(&token).is_some()
        };
        let good =
            json!({"iss": "https://login.example.org", "aud": "forms", "exp": 4_000_000_000_u64});
        assert!(is_valid(&good));
        for missing in ["iss", "aud"] {
            let mut claims = good.clone();
            claims.as_object_mut().expect("claims").remove(missing);
            assert!(!is_valid(&claims), "without {missing}");
        }
    }

    #[test]
    fn keys_and_algorithms_must_fit() {
        let mut mixed = settings();
        mixed.algorithms = vec!["RS256".into(), "HS256".into()];
        assert!(
            Verifier::new(&mixed)
                .expect_err("mixed")
                .contains("one family")
        );
        let mut pem = settings();
        pem.key = Secret::new("-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----");
        assert!(
            Verifier::new(&pem)
                .expect_err("PEM")
                .contains("shared secret")
        );
        let mut unknown = settings();
        unknown.algorithms = vec!["none".into()];
        assert!(
            Verifier::new(&unknown)
                .expect_err("none")
                .contains("not an algorithm")
        );
    }
}
