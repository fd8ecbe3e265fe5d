//! Taking over what one source says, and complaining of what it should not say. Owns the values' bounds; where the
//! text came from is left to [`crate::config::sources`].

use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::codec::jwt;
use crate::codec::jwt::TokenSource;
use crate::codec::jwt::Verifier;
use crate::config::Config;
use crate::config::Flags;
use crate::config::keys::ADMIN;
use crate::config::keys::BACKEND_TIMEOUTS;
use crate::config::keys::BACKEND_TLS;
use crate::config::keys::CONFIG;
use crate::config::keys::EGRESS;
use crate::config::keys::JWT;
use crate::config::keys::LIMITS;
use crate::config::keys::STORE;
use crate::config::keys::TELEMETRY;
use crate::config::keys::TLS;
use crate::config::store::Keep;
use crate::gateway::tls::Files;
use crate::model::origin::Origin;
use crate::model::secret::Secret;
use crate::rules::form::hosts;
use crate::source::complaint::Complaint;
use crate::source::page::Page;
use crate::source::secret;
use crate::source::table::Table;
use crate::wire::proof;

/// What the counter of connections can hold.
const MAX_CONNECTIONS: usize = tokio::sync::Semaphore::MAX_PERMITS;

/// What one source may leave for the next to complete.
#[derive(Default)]
pub(in crate::config) struct Draft {
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    pub(in crate::config) tls_is_half: Option<Complaint>,
    pub(in crate::config) jwt_is_wrong: Option<Complaint>,
    pub(in crate::config) store_is_nowhere: Option<Complaint>,
    pub(in crate::config) password: Option<Secret>,
    pub(in crate::config) keep: Keep,
}

impl Config {
    /// Takes over what a page says; `lines` are those of a page that nobody wrote as TOML.
    pub(in crate::config) fn apply(
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
                self.apply_egress(&egress, folder);
            }
            if let Some(tls) = table.table("backend_tls", &BACKEND_TLS) {
                self.backend_certificates.take(&tls, folder);
            }
            if let Some(store) = table.table("store", &STORE) {
                self.apply_store(&store, folder, draft);
            }
            if let Some(jwt) = table.table("jwt", &JWT) {
                self.apply_jwt(&jwt, folder, draft);
            }
            if let Some(tls) = table.table("tls", &TLS) {
                self.apply_tls(&tls, folder, draft);
            }
            if let Some(admin) = table.table("admin", &ADMIN) {
                self.apply_admin(&admin);
            }
            if let Some(telemetry) = table.table("telemetry", &TELEMETRY) {
                self.telemetry.apply(&telemetry, folder);
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
        set(&mut self.listen, parsed(table, "listen", address));
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
            if let Err(why) = proof::Key::judge(&key) {
                table.complain("key", why, "make one with `openssl rand -hex 32`");
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
        set(&mut self.matched, memory("matched"));
        set(&mut self.submissions, count("submissions"));
        set(&mut self.limits.drain, time("drain"));
        set(&mut self.limits.drain_delay, time("drain_delay"));
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

    fn apply_admin(&mut self, table: &Table<'_>) {
        self.admin = parsed(table, "listen", address).or(self.admin);
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
}

pub(in crate::config) fn set<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

fn text(table: &Table<'_>, name: &str) -> Option<String> {
    table.text(name).map(|placed| placed.value)
}

pub(in crate::config) fn parsed<T>(
    table: &Table<'_>,
    name: &str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let text = table.text(name)?;
    table.parsed(&text, read).map(|placed| placed.value)
}

/// A secret, and where it comes from.
pub(in crate::config) fn secret_of(
    table: &Table<'_>,
    name: &str,
    folder: &Path,
) -> Option<(Secret, String)> {
    parsed(table, name, |text| {
        let wanted =
            format!("`{name}` must not stand here in plain text; write env:NAME or file:PATH");
        let secret = secret::resolve(text, folder).unwrap_or(Err(wanted))?;
        Ok((secret, secret::from_folder(text, folder)))
    })
}

/// The networks of a key, if it is there.
pub(in crate::config) fn networks(table: &Table<'_>, name: &str) -> Option<Vec<IpNet>> {
    let texts = table.has(name).then(|| table.texts(name))?;
    let nets = texts.iter();
    Some(
        nets.filter_map(|net| Some(table.parsed(net, network)?.value))
            .collect(),
    )
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = || {
        format!("`{text}` is not an address; write for example \"127.0.0.1:8080\" or \"[::]:8080\"")
    };
    text.parse().map_err(|_| wrong())
}

fn network(text: &str) -> Result<IpNet, String> {
    let wrong =
        || format!("`{text}` is not a network; write for example \"10.0.0.0/8\" or \"127.0.0.1\"");
    if let Ok(net) = text.parse() {
        return Ok(net);
    }
    text.parse()
        .map(|address: IpAddr| IpNet::from(address))
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
