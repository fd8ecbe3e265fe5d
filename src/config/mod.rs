//! The gateway's configuration as a value: defaults, then `formgate.toml`, then `FORMGATE_…` variables, then flags
//! (one function, strict keys). Owns composing what each module is configured with; after start nobody reads the
//! environment. The keys are `config::keys`'s, taking them over `config::apply`'s.

mod apply;
mod keys;
pub mod reach;
mod shown;
mod sources;
mod store;
pub mod telemetry;

use std::collections::BTreeMap;
use std::env;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use ipnet::IpNet;

use crate::codec::jwt;
use crate::codec::jwt::Verifier;
use crate::config::apply::Draft;
use crate::config::reach::ProxySource;
use crate::config::sources::PREFIX;
use crate::config::sources::from_variables;
use crate::config::sources::read_file;
use crate::config::sources::virtual_page;
use crate::config::telemetry::Telemetry;
use crate::flow::Pages;
use crate::flow::Settings;
use crate::flow::decode::Intake;
use crate::gateway::serve::Limits;
use crate::gateway::tls::Files;
use crate::model::origin::Origin;
use crate::model::secret::Secret;
use crate::rules::pattern::MATCHED;
use crate::source::certificate::Sources;
use crate::source::complaint::Complaint;
use crate::source::secret;
use crate::store::settings::Settings as StoreSettings;
use crate::wire::egress::Networks;
use crate::wire::pool;
use crate::wire::proof;
use crate::wire::spool;

pub use crate::config::keys::CONFIG;
pub use crate::config::sources::Flags;
pub use crate::config::sources::flag;

/// The secrets that are read again while serving.
const KEYS: [&str; 2] = ["key", "jwt.key"];

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: JSON lines.
    Json,
}

/// The configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The address on which probes and numbers are answered; nowhere if there is none.
    pub admin: Option<SocketAddr>,
    /// The form application.
    pub backend: Origin,
    /// The folder of rule files.
    pub rules: PathBuf,
    /// What hooks are told as `project`.
    pub project: String,
    /// Hosts whose requests pass where a rule file names others.
    pub hosts: Vec<String>,
    /// Who is believed about who is behind them.
    pub trusted_proxies: Vec<IpNet>,
    /// The gateway's own key.
    pub key: Option<Secret>,
    /// More certificate authorities.
    pub ca: Option<PathBuf>,
    /// What is logged.
    pub log: String,
    /// What operators are told besides, and how.
    pub telemetry: Telemetry,
    /// TLS towards people.
    pub tls: Option<Files>,
    /// What connections may do.
    pub limits: Limits,
    /// What submissions may hold.
    pub intake: Intake,
    /// How much text one pattern is put to.
    pub matched: usize,
    /// How many of one form there may be.
    pub submissions: usize,
    /// To take a connection.
    pub backend_connect: Duration,
    /// To answer, and how connections are kept.
    pub backend_pool: pool::Settings,
    /// How much of a form's page is held, and how long it is waited for.
    pub pages: Pages,
    /// Where hooks may be called.
    pub egress: Networks,
    /// Certificates towards hooks that name none.
    pub hook_certificates: Sources,
    /// Certificates towards backends.
    pub backend_certificates: Sources,
    /// Through what hooks are called.
    pub proxy: ProxySource,
    /// Where jobs are kept.
    pub store: Option<StoreSettings>,
    /// How login tokens are verified.
    pub jwt: Option<jwt::Settings>,
    /// When reading it began; what was written since may not be in it.
    pub begun: SystemTime,
    /// The file it was read from.
    pub file: Option<PathBuf>,
    /// Where each key's value was said, by its path (`limits.body`); a key that is not there has its default.
    pub said: BTreeMap<String, String>,
    /// Where secrets come from, by the key's path: `env:NAME` or `file:PATH`.
    pub references: BTreeMap<String, String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin: None,
            backend: Origin {
                tls: false,
                host: "127.0.0.1".to_owned(),
                port: 3000,
            },
            rules: PathBuf::from("rules"),
            project: "default".to_owned(),
            hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            key: None,
            ca: None,
            log: "info".to_owned(),
            telemetry: Telemetry::default(),
            tls: None,
            limits: Limits::default(),
            intake: Intake {
                body: 32 << 20,
                limits: crate::codec::Limits::default(),
                spool: spool::Settings {
                    above: 1 << 20,
                    folder: env::temp_dir(),
                    // The gate's own takes its place.
                    meter: Arc::default(),
                },
            },
            matched: MATCHED,
            submissions: 1000,
            backend_connect: Duration::from_secs(2),
            backend_pool: pool::Settings::default(),
            pages: Pages::default(),
            egress: Networks::default(),
            hook_certificates: Sources::default(),
            backend_certificates: Sources::default(),
            proxy: ProxySource::default(),
            store: None,
            jwt: None,
            begun: SystemTime::now(),
            file: None,
            said: BTreeMap::new(),
            references: BTreeMap::new(),
        }
    }
}

/// A configuration, and what is odd or wrong about it.
#[derive(Debug)]
pub struct Configured {
    /// The configuration.
    pub config: Config,
    /// What works but is probably not meant – and what is wrong, until it is found to be sound.
    pub warnings: Vec<Complaint>,
}

impl Configured {
    /// The same if nothing is wrong.
    ///
    /// # Errors
    /// Everything complained of.
    pub fn sound(self) -> Result<Self, Vec<Complaint>> {
        if self.warnings.iter().any(Complaint::is_error) {
            return Err(self.warnings);
        }
        Ok(self)
    }
}

impl Config {
    /// Reads the configuration: defaults, the file, the environment, the flags. Without `file`, `formgate.toml` is
    /// read if there is one.
    ///
    /// # Errors
    /// Everything that is wrong, in all of them.
    pub fn load(file: Option<&Path>, flags: &Flags) -> Result<Configured, Vec<Complaint>> {
        Self::read(file, flags).sound()
    }

    /// The same, with whatever could be understood where something is wrong.
    #[must_use]
    pub fn read(file: Option<&Path>, flags: &Flags) -> Configured {
        let (mut variables, mut unreadable) = (Flags::new(), Vec::new());
        for (name, value) in env::vars_os() {
            let Some(name) = name
                .into_string()
                .ok()
                .filter(|name| name.starts_with(PREFIX))
            else {
                continue;
            };
            match value.into_string() {
                Ok(value) => variables.push((name, value)),
                Err(_) => unreadable.push(Complaint::about(
                    format!("the value of the variable {name} is not UTF-8"),
                    "write it as UTF-8, or leave the variable out",
                )),
            }
        }
        let mut configured = Self::compose(file, variables, flags);
        configured.warnings.append(&mut unreadable);
        configured
    }

    fn compose(file: Option<&Path>, variables: Flags, flags: &Flags) -> Configured {
        let mut config = Self::default();
        let mut complaints = Vec::new();
        let mut draft = Draft::default();
        match read_file(file) {
            Ok(None) => {}
            Ok(Some((path, page))) => {
                let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
                complaints.append(&mut config.apply(page, &folder, None, &mut draft));
                config.file = Some(path);
            }
            Err(complaint) => complaints.push(complaint),
        }
        let (lines, mut unknown) = from_variables(variables);
        complaints.append(&mut unknown);
        for (name, lines) in [("the environment", &lines), ("the command line", flags)] {
            let page = virtual_page(name, lines);
            complaints.append(&mut config.apply(page, Path::new(""), Some(lines), &mut draft));
        }
        complaints.extend(draft.tls_is_half);
        complaints.extend(draft.jwt_is_wrong);
        complaints.extend(draft.store_is_nowhere);
        Configured {
            config,
            warnings: complaints,
        }
    }

    /// What the flow is configured with.
    ///
    /// # Errors
    /// A file that cannot be read, or does not hold what it should.
    pub fn settings(&self) -> Result<Settings, String> {
        let reach = self.reach();
        Ok(Settings {
            project: self.project.clone(),
            trusted_proxies: self.trusted_proxies.clone(),
            intake: self.intake.clone(),
            matched: self.matched,
            submissions: self.submissions,
            upload: self.limits.upload(),
            pages: self.pages,
            recorder: None,
            reach: reach.map_err(|(key, why)| format!("`{key}`: {why}"))?,
        })
    }

    /// The gateway's own key: the configured one, else a new one.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn proof_key(&self) -> Result<proof::Key, String> {
        match &self.key {
            Some(secret) => Ok(proof::Key::shared(secret)),
            None => proof::Key::random(),
        }
    }

    /// The same with its keys as they are now where they come from.
    ///
    /// # Errors
    /// The key that is no good, and why.
    pub fn with_keys_of_now(&self) -> Result<Self, (String, String)> {
        let mut now = self.clone();
        let read = |path: &str| {
            let reference = self.references.get(path)?;
            secret::resolve(reference, Path::new(""))
        };
        let wrong = |path: &str| {
            let path = path.to_owned();
            move |why: String| (path, why)
        };
        if let Some(key) = read("key").transpose().map_err(wrong("key"))? {
            proof::Key::judge(&key).map_err(wrong("key"))?;
            now.key = Some(key);
        }
        let key = read("jwt.key").transpose().map_err(wrong("jwt.key"))?;
        if let (Some(key), Some(jwt)) = (key, &mut now.jwt) {
            jwt.key = key;
            Verifier::new(jwt).map_err(wrong("jwt.key"))?;
        }
        Ok(now)
    }

    /// The files that [`Config::with_keys_of_now`] reads.
    pub fn key_files(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let references = KEYS.into_iter().filter_map(|key| self.references.get(key));
        references.filter_map(|reference| secret::file(reference).map(Path::to_path_buf))
    }

    /// The verifier of login tokens, if there is a key for them.
    ///
    /// # Errors
    /// A key that does not fit its algorithms.
    pub fn verifier(&self) -> Result<Option<Verifier>, String> {
        self.jwt.as_ref().map(Verifier::new).transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::sources::variables;

    fn compose(
        file: &str,
        variables: &[(&str, &str)],
        flags: &Flags,
    ) -> Result<Configured, Vec<Complaint>> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("formgate.toml");
        fs::write(&path, file).expect("writable");
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Config::compose(Some(&path), variables, flags).sound()
    }

    #[test]
    fn only_keys_that_are_read_again_are_watched() {
        let folder = tempfile::tempdir().expect("a folder");
        let secret = folder.path().join("secret");
        fs::write(&secret, "a-secret-that-is-long-enough-for-keys\n").expect("writable");
        let secret = format!("file:{}", secret.display());
        let store = format!("[store]\nurl = 'postgres://a@b/c'\npassword = '{secret}'\n");
        let files = |file: &str| {
            let config = compose(file, &[], &Vec::new()).expect("good").config;
            config.key_files().count()
        };
        assert_eq!(files(&store), 0);
        assert_eq!(files(&format!("key = '{secret}'\n{store}")), 1);
    }

    #[test]
    fn later_sources_win() {
        let file =
            "listen = '127.0.0.1:1'\nproject = 'file'\n[limits]\nbody = '1MiB'\nfields = 7\n";
        let variables = [
            ("FORMGATE_LIMITS_BODY", "2MiB"),
            ("FORMGATE_PROJECT", "env \"x\""),
            ("FORMGATE_HOSTS", "a.org, b.org"),
        ];
        let flags = vec![flag("project", "flag", "--project")];
        let config = compose(file, &variables, &flags).expect("good").config;
        assert_eq!(config.listen.port(), 1);
        assert_eq!(config.project, "flag");
        assert_eq!(
            (config.intake.body, config.intake.limits.fields),
            (2 << 20, 7)
        );
        assert_eq!(config.hosts, ["a.org", "b.org"]);
    }

    #[test]
    fn one_source_completes_another() {
        let file = "[tls]\ncert = 'a'\n[jwt]\nkey = 'env:PATH'\n";
        let complaints = compose(file, &[], &Vec::new()).expect_err("half");
        let said = format!("{complaints:?}");
        assert!(said.contains("both `cert` and `key`"), "{said}");
        let variables = [
            ("FORMGATE_TLS_KEY", "b"),
            ("FORMGATE_JWT_ALGORITHMS", "HS256"),
        ];
        let config = compose(file, &variables, &Vec::new())
            .expect("whole")
            .config;
        assert!(config.tls.is_some_and(|files| files.key == Path::new("b")));
        assert!(config.jwt.is_some_and(|jwt| jwt.algorithms == ["HS256"]));
    }

    #[test]
    fn all_that_is_wrong_is_pointed_at() {
        let file = "lisen = '127.0.0.1:1'\nbackend = 'app:3000'\n[limits]\nbody = 'big'\nheaders = 200\ndoc = '2GiB'\n";
        let complaints = compose(
            file,
            &[("FORMGATE_LIMITS_IDLE", "soon"), ("FORMGATE_LITSEN", "x")],
            &Vec::new(),
        )
        .expect_err("bad");
        let all: Vec<String> = complaints
            .iter()
            .map(|complaint| complaint.picture(false))
            .collect();
        let all = all.join("\n");
        for part in [
            "unknown key `lisen`",
            "did you mean `listen`?",
            "is not a URL",
            "`big` is not a size",
            "at most 100 header lines",
            "at most 1GiB of fields",
            "the environment:1:15",
            "# FORMGATE_LIMITS_IDLE",
            "FORMGATE_LITSEN is not known",
            "did you mean FORMGATE_LISTEN?",
        ] {
            assert!(all.contains(part), "{part} in\n{all}");
        }
    }

    #[test]
    fn every_key_is_shown_and_secrets_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let secret = folder.path().join("secret");
        fs::write(&secret, "hunter2hunter2hunter2hunter2hunt\n").expect("writable");
        let secret = format!("file:{}", secret.display());
        let file = format!(
            "key = '{secret}'\nca = 'ca.pem'\n[egress]\nallow = ['10.0.0.0/8']\nca = 'file:c'\nclient_certificate = 'file:c'\nclient_key = '{secret}'\nproxy = 'http://p:1'\n\
             proxy_credentials = '{secret}'\nno_proxy = ['*']\n[admin]\nlisten = '127.0.0.1:1'\n[backend_tls]\nca = 'file:c'\nclient_certificate = 'file:c'\nclient_key = '{secret}'\n[tls]\ncert = 'c'\nkey = 'k'\n\
             [store]\nurl = 'postgres://a@b/c'\npassword = '{secret}'\n[jwt]\nkey = '{secret}'\nalgorithms = ['HS256']\nissuer = 'i'\naudience = 'a'\n\
             [telemetry]\notlp = 'http://127.0.0.1:4318'\naccess_log_file = 'a.log'\notlp_headers = ['authorization={secret}', 'x-scope=hunter2']\n"
        );
        let config = compose(&file, &[], &Vec::new()).expect("good").config;
        let shown = config.shown();
        for (path, ..) in variables() {
            assert!(
                shown.iter().any(|(known, _)| *known == path),
                "{path} is not shown"
            );
        }
        assert!(!format!("{shown:?} {config:?}").contains("hunter2"));
    }
}
