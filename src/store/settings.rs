//! How a store is configured. Owns reading where it is; the keys are `config`'s.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::model::secret::Secret;

/// A store's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it is.
    pub place: Place,
    /// How long jobs and timelines are kept.
    pub keep_jobs: Duration,
    /// How long what may hold values of fields is kept; zero for not at all.
    pub keep_bodies: Duration,
    /// How many bytes of bodies may wait to be written.
    pub queue: usize,
}

impl Settings {
    /// A store at this place.
    #[must_use]
    pub const fn at(place: Place) -> Self {
        Self {
            place,
            keep_jobs: Duration::from_secs(30 * 86_400),
            keep_bodies: Duration::from_secs(7 * 86_400),
            queue: 32 << 20,
        }
    }
}

/// Who opens a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A gateway: makes what is missing, and brings tables up to date.
    Gateway,
    /// A command beside it: changes no tables.
    Command,
}

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file.
    Sqlite(PathBuf),
    /// A server.
    Postgres(Server),
}

/// A PostgreSQL server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its URL, without password.
    pub url: String,
    /// The password, if one is needed.
    pub password: Option<Secret>,
}

impl Place {
    /// Reads `sqlite:formgate.db` or `postgres://user@host/database`; paths count from `folder`.
    ///
    /// # Errors
    /// A sentence for whoever wrote it.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let wanted = "write \"sqlite:formgate.db\" or \"postgres://user@host/database\"";
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.starts_with(':') {
                return Err(format!("`{text}` names no file; {wanted}"));
            }
            return Ok(Self::Sqlite(folder.join(path)));
        }
        let url = Url::parse(text).ok();
        let url = url.filter(|url| matches!(url.scheme(), "postgres" | "postgresql"));
        match url {
            None => Err(format!("the URL is of no store; {wanted}")),
            Some(url) if url.password().is_some() || has_password(&url) => Err(
                "a password must not stand in the URL; write it as `password = \"env:NAME\"` or \"file:PATH\""
                    .to_owned(),
            ),
            Some(url) => Ok(Self::Postgres(Server {
                url: url.into(),
                password: None,
            })),
        }
    }
}

fn has_password(url: &Url) -> bool {
    url.query_pairs().any(|(name, _)| name == "password")
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(server) => f.write_str(&server.url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_file_or_a_server() {
        let folder = Path::new("/etc/formgate");
        let shown = |text| Place::parse(text, folder).map(|place| place.to_string());
        for (text, expected) in [
            ("sqlite:a.db", "sqlite:/etc/formgate/a.db"),
            ("sqlite:///var/a.db", "sqlite:/var/a.db"),
            ("postgres://me@db/forms", "postgres://me@db/forms"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(expected), "{text}");
        }
        for (text, part) in [
            ("mysql://a/b", "of no store"),
            ("formgate.db", "of no store"),
            ("sqlite:", "names no file"),
            ("sqlite::memory:", "names no file"),
            ("postgres://me:pw@db/forms", "must not stand"),
            ("postgres://me@db/forms?password=pw", "must not stand"),
        ] {
            let why = shown(text).expect_err(text);
            assert!(why.contains(part) && !why.contains("pw@"), "{why}");
        }
    }
}
