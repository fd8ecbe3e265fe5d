//! Whom the gateway believes, and by what others know it: its own key, the seal of its cookies, the verifier of login
//! tokens. Owns these as one immutable value, which a request takes with its snapshot: a key that is replaced is
//! replaced for the next request.

use std::sync::Arc;

use crate::codec::flash::PURPOSE;
use crate::codec::flash::Seal;
use crate::codec::jwt::Verifier;
use crate::wire::proof::Key;

/// Keys of every kind.
#[derive(Debug)]
pub struct Trust {
    /// The gateway's own.
    pub key: Arc<Key>,
    /// Seals what a browser carries.
    pub seal: Seal,
    /// Verifies tokens, if the operator has a key for them.
    pub verifier: Option<Verifier>,
}

impl Trust {
    /// Everything that follows from these keys.
    #[must_use]
    pub fn new(key: Arc<Key>, verifier: Option<Verifier>) -> Self {
        Self {
            seal: Seal::new(key.derive(PURPOSE)),
            key,
            verifier,
        }
    }
}
