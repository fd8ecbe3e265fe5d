//! The gateway's configuration as a value: defaults, then `formgate.toml`, then `FORMGATE_…` variables, then flags
//! (design: one function, strict keys). Owns every key, and composing what each module is configured with; after
//! start nobody reads the environment.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::Value;

use crate::codec::jwt;
use crate::codec::jwt::TokenSource;
use crate::codec::jwt::Verifier;
use crate::flow::Pages;
use crate::flow::Settings;
use crate::flow::decode::Intake;
use crate::flow::snapshot::Reach;
use crate::gateway::serve::Limits;
use crate::gateway::tls::Files;
use crate::model::origin::Origin;
use crate::model::secret::Secret;
use crate::rules::form::hosts;
use crate::source::complaint::Complaint;
use crate::source::measure::show_duration;
use crate::source::measure::show_size;
use crate::source::page::Page;
use crate::source::secret;
use crate::source::shape::Key;
use crate::source::shape::Kind;
use crate::source::shape::Shape;
use crate::source::shape::nearest;
use crate::source::table::Table;
use crate::wire::connect;
use crate::wire::connect::Connector;
use crate::wire::egress::Networks;
use crate::wire::pool;
use crate::wire::proof;
use crate::wire::spool;

const fn key(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, doc }
}

/// `formgate.toml`.
pub static CONFIG: Shape = Shape {
    title: "formgate.toml",
    doc: "The gateway's configuration. Every key is also a variable: `limits.body` is FORMGATE_LIMITS_BODY.",
    others: None,
    keys: &[
        key(
            "listen",
            Kind::Text,
            "The address to listen on. Default: 127.0.0.1:8080.",
        ),
        key(
            "backend",
            Kind::Text,
            "The form application behind the gateway. Default: http://127.0.0.1:3000.",
        ),
        key(
            "rules",
            Kind::Text,
            "The folder of rule files. Default: rules.",
        ),
        key(
            "project",
            Kind::Text,
            "What hooks are told as `project`. Default: default.",
        ),
        key(
            "hosts",
            Kind::Texts,
            "Hosts whose requests pass where a rule file's `hosts` names others. Default: none.",
        ),
        key(
            "trusted_proxies",
            Kind::Texts,
            "Addresses (`10.0.0.0/8`) that are believed about who is behind them. Default: none.",
        ),
        key(
            "key",
            Kind::Text,
            "The gateway's own key, as env:NAME or file:PATH, where several gateways must know each other's calls and flash cookies. Default: a new one at every start.",
        ),
        key(
            "preserve_header_case",
            Kind::Flag,
            "Keep the letter case of HTTP/1 header names, for programs that mind it; costs about 1 µs a request. Default: false.",
        ),
        key(
            "ca",
            Kind::Text,
            "A PEM file of certificate authorities that are believed besides the system's.",
        ),
        key(
            "log",
            Kind::Text,
            "What is logged: error, warn, info, debug, or targets such as `info,formgate::job=off`. Default: info.",
        ),
        key(
            "tls",
            Kind::Table(&TLS),
            "TLS towards people. Default: none.",
        ),
        key(
            "limits",
            Kind::Table(&LIMITS),
            "What a request and a connection may take.",
        ),
        key(
            "backend_timeouts",
            Kind::Table(&BACKEND_TIMEOUTS),
            "How long the backend may take.",
        ),
        key("egress", Kind::Table(&EGRESS), "Where hooks may be called."),
        key(
            "jwt",
            Kind::Table(&JWT),
            "How the site's own login tokens are verified, for `jwt:` and `api.claim` in rule files.",
        ),
        key(
            "telemetry",
            Kind::Table(&TELEMETRY),
            "How logs are written.",
        ),
    ],
};

static TLS: Shape = Shape {
    title: "[tls]",
    doc: "TLS towards people; read again when the files change.",
    others: None,
    keys: &[
        key("cert", Kind::Text, "The certificate chain in PEM."),
        key("key", Kind::Text, "The private key in PEM."),
    ],
};

static LIMITS: Shape = Shape {
    title: "[limits]",
    doc: "What a request and a connection may take.",
    others: None,
    keys: &[
        key(
            "body",
            Kind::Size,
            "The largest submission, as it comes and unpacked. Default: 32MiB.",
        ),
        key(
            "field",
            Kind::Size,
            "The largest value of one field. Default: 1MiB.",
        ),
        key(
            "fields",
            Kind::Count,
            "The most different fields of a submission. Default: 2000.",
        ),
        key(
            "values",
            Kind::Count,
            "The most values of all fields together, files among them. Default: 20000.",
        ),
        key(
            "doc",
            Kind::Size,
            "The most bytes of all fields together, files' contents not counted. Default: 8MiB.",
        ),
        key(
            "depth",
            Kind::Count,
            "The deepest nesting of a JSON body. Default: 64.",
        ),
        key(
            "part_header",
            Kind::Size,
            "The largest header of one multipart part. Default: 8KiB.",
        ),
        key(
            "unpack_ratio",
            Kind::Count,
            "How many times its packed length a packed body may unpack to, once it is over 1 MiB. Default: 200.",
        ),
        key(
            "page",
            Kind::Size,
            "The most of a form's page that is held in memory. Default: 4MiB.",
        ),
        key(
            "spool_above",
            Kind::Size,
            "Multipart bodies over this size go to a temporary file. Default: 1MiB.",
        ),
        key(
            "spool_folder",
            Kind::Text,
            "The folder of temporary files. Default: the system's.",
        ),
        key(
            "body_pause",
            Kind::Duration,
            "The longest pause in a body, in either direction. Default: 30s.",
        ),
        key(
            "body_rate",
            Kind::Count,
            "How many bytes a second a body must bring, measured over `body_pause` of waiting for it; 0 for any. Default: 100.",
        ),
        key(
            "header_timeout",
            Kind::Duration,
            "How long a request's head may take. Default: 10s.",
        ),
        key(
            "header_size",
            Kind::Size,
            "The largest head of a request. Default: 32KiB.",
        ),
        key(
            "headers",
            Kind::Count,
            "The most header lines of a request, at most 100. Default: 100.",
        ),
        key(
            "idle",
            Kind::Duration,
            "How long a connection may be idle. Default: 60s.",
        ),
        key(
            "connections",
            Kind::Count,
            "The most connections at a time. Default: 10000.",
        ),
        key(
            "connections_per_address",
            Kind::Count,
            "The most connections of one address, or of one IPv6 network of 64 bits, at a time; trusted proxies have any number. Default: 1000.",
        ),
        key(
            "submissions",
            Kind::Count,
            "The most submissions of one form under way at a time. Default: 1000.",
        ),
        key(
            "drain",
            Kind::Duration,
            "How long what is under way may take at the end. Default: 30s.",
        ),
    ],
};

static BACKEND_TIMEOUTS: Shape = Shape {
    title: "[backend_timeouts]",
    doc: "How long the backend may take.",
    others: None,
    keys: &[
        key(
            "connect",
            Kind::Duration,
            "To take a connection. Default: 2s.",
        ),
        key(
            "response",
            Kind::Duration,
            "To begin its answer, and between two pieces of it. Default: 30s.",
        ),
        key(
            "idle",
            Kind::Duration,
            "How long an unused connection is kept. Default: 15s, or less if the backend says so.",
        ),
        key(
            "page",
            Kind::Duration,
            "To come to the form, where its page is fetched again for a stopped submission. Default: 5s.",
        ),
    ],
};

static EGRESS: Shape = Shape {
    title: "[egress]",
    doc: "Where hooks may be called, judged by the address that is connected to; backends are not judged.",
    others: None,
    keys: &[
        key(
            "allow",
            Kind::Texts,
            "The only networks (`10.0.0.0/8`) in which hooks are called. Default: any.",
        ),
        key(
            "deny",
            Kind::Texts,
            "Networks in which hooks are not called, whatever `allow` says. Default: none.",
        ),
    ],
};

static JWT: Shape = Shape {
    title: "[jwt]",
    doc: "How the site's own login tokens are verified.",
    others: None,
    keys: &[
        key(
            "key",
            Kind::Text,
            "The public key in PEM, or the shared secret of the HS algorithms, as env:NAME or file:PATH.",
        ),
        key(
            "algorithms",
            Kind::Texts,
            "The algorithms that are taken, all of one family: [\"RS256\"].",
        ),
        key(
            "issuer",
            Kind::Text,
            "`iss` must be this. Default: anything.",
        ),
        key(
            "audience",
            Kind::Text,
            "`aud` must hold this. Default: anything.",
        ),
        key(
            "from",
            Kind::Text,
            "Where the token is: `header:authorization` (the default) or `cookie:NAME`.",
        ),
    ],
};

static TELEMETRY: Shape = Shape {
    title: "[telemetry]",
    doc: "How logs are written.",
    others: None,
    keys: &[key(
        "log",
        Kind::Word(&["text", "json"]),
        "Text for people, or JSON lines. Default: text.",
    )],
};

/// A shorter key could be guessed.
const LEAST_KEY: usize = 32;

/// What the name of every variable begins with.
const PREFIX: &str = "FORMGATE_";

/// What the counter of connections can hold.
const MAX_CONNECTIONS: usize = tokio::sync::Semaphore::MAX_PERMITS;

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
    /// How it is written.
    pub log_format: LogFormat,
    /// TLS towards people.
    pub tls: Option<Files>,
    /// What connections may do.
    pub limits: Limits,
    /// What submissions may hold.
    pub intake: Intake,
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
    /// How login tokens are verified.
    pub jwt: Option<jwt::Settings>,
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
            log_format: LogFormat::Text,
            tls: None,
            limits: Limits::default(),
            intake: Intake {
                body: 32 << 20,
                limits: crate::codec::Limits::default(),
                spool: spool::Settings {
                    above: 1 << 20,
                    folder: env::temp_dir(),
                },
            },
            submissions: 1000,
            backend_connect: Duration::from_secs(2),
            backend_pool: pool::Settings::default(),
            pages: Pages::default(),
            egress: Networks::default(),
            jwt: None,
            file: None,
            said: BTreeMap::new(),
            references: BTreeMap::new(),
        }
    }
}

/// What one source may leave for the next to complete.
#[derive(Default)]
struct Draft {
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    tls_is_half: Option<Complaint>,
    jwt_is_wrong: Option<Complaint>,
}

/// What was said on the command line, as TOML lines with the flag they came from.
pub type Flags = Vec<(String, String)>;

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
        Configured {
            config,
            warnings: complaints,
        }
    }

    /// Takes over what a page says; `lines` are those of a page that nobody wrote as TOML.
    fn apply(
        &mut self,
        page: Page,
        folder: &Path,
        lines: Option<&Flags>,
        draft: &mut Draft,
    ) -> Vec<Complaint> {
        {
            let parsed = page.parse();
            let table = Table::new(&page, &CONFIG, parsed.get_ref(), 0..0);
            self.note_sources(&table, lines);
            self.apply_top(&table, folder);
            if let Some(limits) = table.table("limits", &LIMITS) {
                self.apply_limits(&limits, folder);
            }
            if let Some(timeouts) = table.table("backend_timeouts", &BACKEND_TIMEOUTS) {
                self.apply_timeouts(&timeouts);
            }
            if let Some(egress) = table.table("egress", &EGRESS) {
                self.apply_egress(&egress);
            }
            if let Some(jwt) = table.table("jwt", &JWT) {
                self.apply_jwt(&jwt, folder, draft);
            }
            if let Some(tls) = table.table("tls", &TLS) {
                self.apply_tls(&tls, folder, draft);
            }
            if let Some(telemetry) = table.table("telemetry", &TELEMETRY) {
                let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
                set(&mut self.log_format, telemetry.word("log", &formats));
            }
        }
        page.into_complaints()
    }

    /// Keeps where each value was said: a line of a file, a variable, a flag.
    fn note_sources(&mut self, table: &Table<'_>, lines: Option<&Flags>) {
        let text = table.page().text();
        let mut note = |path: String, at: usize| {
            let (line, _) = text.line_and_column(at);
            let source = match lines {
                None => format!("{}:{line}", text.name),
                Some(lines) => lines
                    .get(line - 1)
                    .map(|(_, from)| from.clone())
                    .unwrap_or_default(),
            };
            self.said.insert(path, source);
        };
        for (key, value) in table.entries() {
            match value.get_ref().as_table() {
                Some(inner) => {
                    for name in inner.keys() {
                        note(
                            format!("{}.{}", key.value, name.get_ref()),
                            name.span().start,
                        );
                    }
                }
                None => note(key.value, key.span.start),
            }
        }
    }

    fn apply_top(&mut self, table: &Table<'_>, folder: &Path) {
        let listen = |text: &str| {
            let wrong = format!(
                "`{text}` is not an address; write for example \"127.0.0.1:8080\" or \"[::]:8080\""
            );
            text.parse().map_err(|_| wrong)
        };
        set(&mut self.listen, parsed(table, "listen", listen));
        set(&mut self.backend, parsed(table, "backend", Origin::parse));
        set(
            &mut self.rules,
            text(table, "rules").map(|path| folder.join(path)),
        );
        set(&mut self.project, text(table, "project"));
        set(&mut self.log, text(table, "log"));
        if let Some(kept) = table.flag("preserve_header_case") {
            self.limits.header_case = kept;
            self.backend_pool.header_case = kept;
        }
        if table.has("hosts") {
            self.hosts = hosts(table, "hosts");
        }
        set(
            &mut self.trusted_proxies,
            networks(table, "trusted_proxies"),
        );
        if let Some((key, reference)) = secret_of(table, "key", folder) {
            let length = key.expose().len();
            if length < LEAST_KEY {
                let message =
                    format!("the key has {length} bytes, at least {LEAST_KEY} are wanted");
                table.complain("key", message, "make one with `openssl rand -hex 32`");
            }
            self.key = Some(key);
            self.references.insert("key".to_owned(), reference);
        }
        if let Some(path) = text(table, "ca") {
            self.ca = Some(folder.join(path));
        }
    }

    fn apply_limits(&mut self, table: &Table<'_>, folder: &Path) {
        let size = |name: &str| table.size(name).map(|placed| placed.value);
        let memory =
            |name: &str| size(name).map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let count = |name: &str| {
            table
                .count(name)
                .map(|placed| usize::try_from(placed.value).unwrap_or(usize::MAX))
        };
        let time = |name: &str| table.duration(name).map(|placed| placed.value);
        set(&mut self.intake.body, size("body"));
        set(&mut self.intake.limits.field, memory("field"));
        set(&mut self.intake.limits.fields, count("fields"));
        set(&mut self.intake.limits.values, count("values"));
        set(&mut self.intake.limits.doc, memory("doc"));
        set(&mut self.intake.limits.depth, count("depth"));
        set(&mut self.intake.limits.part_header, memory("part_header"));
        set(
            &mut self.intake.limits.unpack_ratio,
            table.count("unpack_ratio").map(|placed| placed.value),
        );
        set(&mut self.pages.held, memory("page"));
        set(&mut self.intake.spool.above, size("spool_above"));
        set(
            &mut self.intake.spool.folder,
            text(table, "spool_folder").map(|path| folder.join(path)),
        );
        set(&mut self.limits.body_pause, time("body_pause"));
        let rate = table.count("body_rate").map(|placed| placed.value);
        set(&mut self.limits.body_rate, rate);
        set(&mut self.limits.header_timeout, time("header_timeout"));
        set(&mut self.limits.header_size, memory("header_size"));
        set(&mut self.limits.headers, count("headers"));
        set(&mut self.limits.idle, time("idle"));
        set(&mut self.limits.connections, count("connections"));
        set(
            &mut self.limits.connections_per_address,
            count("connections_per_address"),
        );
        set(&mut self.submissions, count("submissions"));
        set(&mut self.limits.drain, time("drain"));
        if self.limits.headers > 100 {
            table.complain(
                "headers",
                "at most 100 header lines can be taken",
                "write 100 or less",
            );
        }
        // The JSON reader's own bound on nesting.
        if self.intake.limits.depth > 120 {
            table.complain(
                "depth",
                "at most 120 levels can be read",
                "write 120 or less",
            );
        }
        // Names and values of a form stand in one text of at most 4 GiB, and can be longer there than in the body.
        if self.intake.limits.doc > 1 << 30 {
            table.complain("doc", "at most 1GiB of fields can be held", "");
        }
        for (name, many, example) in [
            ("connections", self.limits.connections, 10_000),
            (
                "connections_per_address",
                self.limits.connections_per_address,
                1000,
            ),
        ] {
            let what = if many > MAX_CONNECTIONS {
                "no machine has room for so many connections"
            } else if many == 0 {
                "without a connection nobody can be served"
            } else {
                continue;
            };
            table.complain(name, what, format!("write for example {example}"));
        }
        if self.submissions == 0 {
            table.complain(
                "submissions",
                "without a place nobody can submit anything",
                "write for example 1000",
            );
        }
    }

    fn apply_timeouts(&mut self, table: &Table<'_>) {
        let time = |name: &str| table.duration(name).map(|placed| placed.value);
        set(&mut self.backend_connect, time("connect"));
        set(&mut self.backend_pool.response, time("response"));
        set(&mut self.backend_pool.idle, time("idle"));
        set(&mut self.pages.wait, time("page"));
    }

    fn apply_egress(&mut self, table: &Table<'_>) {
        if table.is_empty_list("allow") {
            table.complain(
                "allow",
                "no network is left to call a hook in",
                "leave `allow` out, or name the networks",
            );
        }
        if let Some(nets) = networks(table, "allow") {
            self.egress.allow = Some(nets);
        }
        set(&mut self.egress.deny, networks(table, "deny"));
    }

    fn apply_tls(&mut self, table: &Table<'_>, folder: &Path, draft: &mut Draft) {
        let path = |name: &str| text(table, name).map(|path| folder.join(path));
        draft.cert = path("cert").or(draft.cert.take());
        draft.key = path("key").or(draft.key.take());
        (self.tls, draft.tls_is_half) = match (&draft.cert, &draft.key) {
            (Some(cert), Some(key)) => {
                let (cert, key) = (cert.clone(), key.clone());
                (Some(Files { cert, key }), None)
            }
            _ => {
                let message = "TLS needs both `cert` and `key`";
                let half = table
                    .page()
                    .complaint(table.span(), message, "add the other one");
                (None, Some(half))
            }
        };
    }

    fn apply_jwt(&mut self, table: &Table<'_>, folder: &Path, draft: &mut Draft) {
        let mut settings = self.jwt.take().unwrap_or_else(|| jwt::Settings {
            key: Secret::new(""),
            algorithms: Vec::new(),
            issuer: None,
            audience: None,
            from: TokenSource::Header("authorization".to_owned()),
        });
        if let Some((key, reference)) = secret_of(table, "key", folder) {
            settings.key = key;
            self.references.insert("jwt.key".to_owned(), reference);
        }
        if table.has("algorithms") {
            settings.algorithms = table
                .texts("algorithms")
                .into_iter()
                .map(|placed| placed.value)
                .collect();
        }
        settings.issuer = text(table, "issuer").or(settings.issuer);
        settings.audience = text(table, "audience").or(settings.audience);
        set(&mut settings.from, parsed(table, "from", token_source));
        let complaint =
            |message: &str, mend: &str| table.page().complaint(table.span(), message, mend);
        draft.jwt_is_wrong = if settings.key.expose().is_empty() {
            // A key that was given but could not be read has been complained of.
            let mend = "add key = \"file:jwt.pem\", or \"env:NAME\"";
            (!table.has("key")).then(|| complaint("[jwt] needs a `key`", mend))
        } else {
            let mend = "`key` and `algorithms` must fit each other";
            let wrong = Verifier::new(&settings).err();
            wrong.map(|why| complaint(&why, mend))
        };
        self.jwt = Some(settings);
    }

    /// What the flow is configured with.
    ///
    /// # Errors
    /// A file that cannot be read, or holds no certificate authority.
    pub fn settings(&self) -> Result<Settings, String> {
        let extra = self.ca.as_ref().map(|path| {
            fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
        });
        let extra = extra.transpose()?;
        let tls = connect::client_tls(extra.as_deref())?;
        let hook_connect = Duration::from_secs(2);
        Ok(Settings {
            project: self.project.clone(),
            trusted_proxies: self.trusted_proxies.clone(),
            intake: self.intake.clone(),
            submissions: self.submissions,
            upload: self.limits.upload(),
            pages: self.pages,
            reach: Reach {
                backend: self.backend.clone(),
                to_backends: Connector::open(Arc::clone(&tls), self.backend_connect),
                backend_pool: self.backend_pool.clone(),
                to_hooks: Connector::guarded(tls, hook_connect, self.egress.clone()),
                // Each hook has its own time; the pool's is the longest a hook can have.
                hook_pool: pool::Settings::default(),
            },
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

    /// The verifier of login tokens, if there is a key for them.
    ///
    /// # Errors
    /// A key that does not fit its algorithms.
    pub fn verifier(&self) -> Result<Option<Verifier>, String> {
        self.jwt.as_ref().map(Verifier::new).transpose()
    }

    /// Every key that has a value, and its value as TOML; of secrets only where they come from.
    #[must_use]
    pub fn shown(&self) -> Vec<(&'static str, String)> {
        // A JSON text is a TOML text, and so is a list of them.
        let quoted = |text: &str| Value::from(text).to_string();
        let list = |texts: &[String]| Value::from(texts.to_vec()).to_string();
        let path = |path: &Path| quoted(&path.display().to_string());
        let time = |duration: Duration| quoted(&show_duration(duration));
        let size = |bytes: u64| quoted(&show_size(bytes));
        let memory = |bytes: usize| quoted(&show_size(u64::try_from(bytes).unwrap_or(u64::MAX)));
        let nets = |nets: &[IpNet]| {
            let nets: Vec<String> = nets.iter().map(ToString::to_string).collect();
            list(&nets)
        };
        let (intake, limits) = (&self.intake, &self.limits);
        let mut shown = vec![
            ("listen", quoted(&self.listen.to_string())),
            ("backend", quoted(&self.backend.to_string())),
            ("rules", path(&self.rules)),
            ("project", quoted(&self.project)),
            ("hosts", list(&self.hosts)),
            ("trusted_proxies", nets(&self.trusted_proxies)),
            ("preserve_header_case", limits.header_case.to_string()),
            ("log", quoted(&self.log)),
            ("limits.body", size(intake.body)),
            ("limits.field", memory(intake.limits.field)),
            ("limits.fields", intake.limits.fields.to_string()),
            ("limits.values", intake.limits.values.to_string()),
            ("limits.doc", memory(intake.limits.doc)),
            ("limits.depth", intake.limits.depth.to_string()),
            ("limits.part_header", memory(intake.limits.part_header)),
            (
                "limits.unpack_ratio",
                intake.limits.unpack_ratio.to_string(),
            ),
            ("limits.page", memory(self.pages.held)),
            ("limits.spool_above", size(intake.spool.above)),
            ("limits.spool_folder", path(&intake.spool.folder)),
            ("limits.body_pause", time(limits.body_pause)),
            ("limits.body_rate", limits.body_rate.to_string()),
            ("limits.header_timeout", time(limits.header_timeout)),
            ("limits.header_size", memory(limits.header_size)),
            ("limits.headers", limits.headers.to_string()),
            ("limits.idle", time(limits.idle)),
            ("limits.connections", limits.connections.to_string()),
            (
                "limits.connections_per_address",
                limits.connections_per_address.to_string(),
            ),
            ("limits.submissions", self.submissions.to_string()),
            ("limits.drain", time(limits.drain)),
            ("backend_timeouts.connect", time(self.backend_connect)),
            (
                "backend_timeouts.response",
                time(self.backend_pool.response),
            ),
            ("backend_timeouts.idle", time(self.backend_pool.idle)),
            ("backend_timeouts.page", time(self.pages.wait)),
            ("egress.deny", nets(&self.egress.deny)),
            (
                "telemetry.log",
                quoted(if self.log_format == LogFormat::Json {
                    "json"
                } else {
                    "text"
                }),
            ),
        ];
        // Where a secret comes from may be seen; what it is may not.
        let reference = |path: &'static str| {
            let found = self.references.get(path);
            found.map(|reference| (path, quoted(reference)))
        };
        shown.extend(reference("key"));
        let allow = self.egress.allow.as_deref();
        shown.extend(allow.map(|allow| ("egress.allow", nets(allow))));
        shown.extend(self.ca.as_ref().map(|ca| ("ca", path(ca))));
        if let Some(files) = &self.tls {
            shown.extend([
                ("tls.cert", path(&files.cert)),
                ("tls.key", path(&files.key)),
            ]);
        }
        if let Some(jwt) = &self.jwt {
            let from = match &jwt.from {
                TokenSource::Header(name) => format!("header:{name}"),
                TokenSource::Cookie(name) => format!("cookie:{name}"),
            };
            shown.extend([
                ("jwt.algorithms", list(&jwt.algorithms)),
                ("jwt.from", quoted(&from)),
            ]);
            shown.extend(reference("jwt.key"));
            shown.extend(
                jwt.issuer
                    .as_ref()
                    .map(|issuer| ("jwt.issuer", quoted(issuer))),
            );
            shown.extend(
                jwt.audience
                    .as_ref()
                    .map(|audience| ("jwt.audience", quoted(audience))),
            );
        }
        shown
    }
}

fn set<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

fn text(table: &Table<'_>, name: &str) -> Option<String> {
    table.text(name).map(|placed| placed.value)
}

fn parsed<T>(
    table: &Table<'_>,
    name: &str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let text = table.text(name)?;
    table.parsed(&text, read).map(|placed| placed.value)
}

/// A secret, and where it comes from.
fn secret_of(table: &Table<'_>, name: &str, folder: &Path) -> Option<(Secret, String)> {
    parsed(table, name, |text| {
        let wanted =
            format!("`{name}` must not stand here in plain text; write env:NAME or file:PATH");
        let secret = secret::resolve(text, folder).unwrap_or(Err(wanted))?;
        let reference = match text.strip_prefix("file:") {
            Some(path) => format!("file:{}", folder.join(path).display()),
            None => text.to_owned(),
        };
        Ok((secret, reference))
    })
}

/// The networks of a key, if it is there.
fn networks(table: &Table<'_>, name: &str) -> Option<Vec<IpNet>> {
    let texts = table.has(name).then(|| table.texts(name))?;
    let nets = texts.iter();
    Some(
        nets.filter_map(|net| Some(table.parsed(net, network)?.value))
            .collect(),
    )
}

fn network(text: &str) -> Result<IpNet, String> {
    let wrong =
        || format!("`{text}` is not a network; write for example \"10.0.0.0/8\" or \"127.0.0.1\"");
    if let Ok(net) = text.parse() {
        return Ok(net);
    }
    text.parse()
        .map(|address: std::net::IpAddr| IpNet::from(address))
        .map_err(|_| wrong())
}

fn token_source(text: &str) -> Result<TokenSource, String> {
    match text.split_once(':') {
        Some(("header", name)) if !name.is_empty() => {
            Ok(TokenSource::Header(name.to_ascii_lowercase()))
        }
        Some(("cookie", name)) if !name.is_empty() => Ok(TokenSource::Cookie(name.to_owned())),
        _ => Err(format!(
            "`{text}` does not say where the token is; write header:authorization or cookie:NAME"
        )),
    }
}

fn read_file(file: Option<&Path>) -> Result<Option<(PathBuf, Page)>, Complaint> {
    let path = file.unwrap_or_else(|| Path::new("formgate.toml"));
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some((
            path.to_path_buf(),
            Page::new(path.display().to_string(), text),
        ))),
        Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let what = format!(
                "cannot read the configuration `{}`: {error}",
                path.display()
            );
            Err(Complaint::about(what, "name another with --config"))
        }
    }
}

/// Every key with its path and its variable: `limits.body`, `FORMGATE_LIMITS_BODY`.
fn variables() -> Vec<(String, String, Kind)> {
    let mut all = Vec::new();
    for top in CONFIG.keys {
        match top.kind {
            Kind::Table(shape) => {
                for inner in shape.keys {
                    let path = format!("{}.{}", top.name, inner.name);
                    let variable = format!("FORMGATE_{}_{}", top.name, inner.name).to_uppercase();
                    all.push((path, variable, inner.kind));
                }
            }
            kind => all.push((
                top.name.to_owned(),
                format!("FORMGATE_{}", top.name).to_uppercase(),
                kind,
            )),
        }
    }
    all
}

/// Variables as TOML lines. One that is no key is warned of: it may be for another version.
fn from_variables(given: Flags) -> (Flags, Vec<Complaint>) {
    let known = variables();
    let (mut lines, mut unknown) = (Vec::new(), Vec::new());
    for (name, value) in given {
        match known.iter().find(|(_, variable, _)| *variable == name) {
            Some((path, _, kind)) => {
                lines.push((format!("{path} = {}", toml_value(&value, *kind)), name));
            }
            None => {
                // What all of them begin with says nothing about likeness.
                let own = |variable: &'_ str| variable.trim_start_matches(PREFIX).to_owned();
                let names: Vec<String> =
                    known.iter().map(|(_, variable, _)| own(variable)).collect();
                let near = nearest(&own(&name), names.iter().map(String::as_str));
                let mend = match near {
                    Some(near) => format!("did you mean {PREFIX}{near}?"),
                    None => {
                        "`formgate config` lists the keys; `limits.body` is FORMGATE_LIMITS_BODY"
                            .to_owned()
                    }
                };
                let mut complaint =
                    Complaint::about(format!("the variable {name} is not known"), mend);
                complaint.severity = crate::source::complaint::Severity::Warning;
                unknown.push(complaint);
            }
        }
    }
    (lines, unknown)
}

fn toml_value(value: &str, kind: Kind) -> String {
    // A JSON string is a TOML string.
    let quoted = |text: &str| Value::from(text).to_string();
    match kind {
        Kind::Count if value.parse::<u64>().is_ok() => value.to_owned(),
        Kind::Flag if matches!(value, "true" | "false") => value.to_owned(),
        Kind::Texts => {
            let items: Vec<String> = value
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(quoted)
                .collect();
            format!("[{}]", items.join(", "))
        }
        _ => quoted(value),
    }
}

/// A page of lines that nobody wrote as TOML, so that what is wrong in them is pointed at all the same.
fn virtual_page(name: &str, lines: &Flags) -> Page {
    let text: String = lines
        .iter()
        .map(|(line, from)| format!("{line} # {from}\n"))
        .collect();
    Page::new(name, text)
}

/// A flag as a line of the command line's page.
#[must_use]
pub fn flag(path: &str, value: &str, name: &str) -> (String, String) {
    let kind = variables()
        .into_iter()
        .find(|(known, _, _)| known == path)
        .map_or(Kind::Text, |(_, _, kind)| kind);
    (
        format!("{path} = {}", toml_value(value, kind)),
        name.to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

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
            "key = '{secret}'\nca = 'ca.pem'\n[egress]\nallow = ['10.0.0.0/8']\n[tls]\ncert = 'c'\nkey = 'k'\n\
             [jwt]\nkey = '{secret}'\nalgorithms = ['HS256']\nissuer = 'i'\naudience = 'a'\n"
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
