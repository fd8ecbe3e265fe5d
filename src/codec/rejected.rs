//! A body that is no good. Owns the status, the sentence and the name of the limit; how it is shown is left to
//! `flow`.

/// Why a request's body was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Rejected {
    /// 400, 408, 411, 413 or 415.
    pub status: u16,
    /// What is wrong, where, and how to mend it; without any value.
    pub text: String,
    /// The limit that was passed, as it is named in the configuration.
    pub limit: Option<&'static str>,
}

impl Rejected {
    /// 400: the body cannot be read, or can be read in more than one way.
    pub fn malformed(text: impl Into<String>) -> Self {
        Self::with(400, text)
    }

    /// 415: the body is of a type that cannot be decoded.
    pub fn unsupported(text: impl Into<String>) -> Self {
        Self::with(415, text)
    }

    /// 413: over the limit of this name.
    pub fn too_large(limit: &'static str, text: impl Into<String>) -> Self {
        Self {
            limit: Some(limit),
            ..Self::with(413, text)
        }
    }

    /// With any of the statuses.
    pub fn with(status: u16, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
            limit: None,
        }
    }
}
