//! `[[hook]]`: a call to a responder. Owns reading one with everything that can be checked beforehand; calling it
//! is left to `hooks`.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::model::event::Event;
use crate::model::origin::Origin;
use crate::model::secret::Secret;
use crate::model::template::Template;
use crate::rules::condition::Fault;
use crate::rules::condition::Path as JsonPath;
use crate::rules::local::read_on;
use crate::rules::place::Place;
use crate::rules::shapes::BREAKER;
use crate::rules::shapes::TEXT_TABLE;
use crate::rules::when::When;
use crate::source::certificate::Certificates;
use crate::source::certificate::Sources;
use crate::source::secret;
use crate::source::table::Table;
use crate::source::table::to_json;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3);
const LEAST_TIMEOUT: Duration = Duration::from_millis(50);
const GREATEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Enough for some hundred calls a second at the slowest that people bear.
const DEFAULT_AT_ONCE: usize = 256;
/// What a count of places can hold, with much room to spare.
const GREATEST_AT_ONCE: u64 = 1_000_000;

/// A hook.
#[derive(Debug, Clone)]
pub struct HookRule {
    /// The event.
    pub on: Event,
    /// Its name in logs and jobs, unique in its file.
    pub name: String,
    /// The responder's server.
    pub origin: Origin,
    /// Path and query, with slots `{form}` and `{event}`.
    pub target: Template,
    /// When it is called.
    pub when: When,
    /// What is taken out of its answers for the job, by name.
    pub extract: Vec<(String, JsonPath)>,
    /// The only fields it gets.
    pub fields: Option<Vec<String>>,
    /// Request headers, names in lower case.
    pub headers: Vec<(String, Secret)>,
    /// The keys that sign, the first the newest.
    pub keys: Vec<SigningKey>,
    /// Who is believed about its server, and what that is shown.
    pub certificates: Certificates,
    /// How long one call may take.
    pub timeout: Duration,
    /// What happens when it cannot be relied on.
    pub on_failure: OnFailure,
    /// Whether it is called together with its parallel neighbours.
    pub parallel: bool,
    /// Whether its reply is applied.
    pub mode: Mode,
    /// When to stop calling it.
    pub breaker: Breaker,
    /// How many calls are made at a time.
    pub at_once: usize,
    /// Where it was written.
    pub place: Place,
}

/// What happens when a hook cannot be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Nothing is submitted.
    Stop,
    /// The event goes on as if it had said nothing.
    Continue,
}

/// Whether a hook's reply is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// It is.
    #[default]
    Enforce,
    /// It is called and recorded only.
    Shadow,
    /// It is not even called.
    Off,
}

impl OnFailure {
    /// What happens where the rule file does not say.
    #[must_use]
    pub const fn default_for(on: Event) -> Self {
        match on {
            Event::Preprocess => Self::Stop,
            Event::Load | Event::Submit => Self::Continue,
        }
    }

    /// The word in rule files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Continue => "continue",
        }
    }
}

impl Mode {
    /// The word in rule files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
            Self::Off => "off",
        }
    }
}

/// When a hook that fails is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// After so many failures in a row; 0 never.
    pub failures: u32,
    /// For so long, then one call is tried.
    pub retry_after: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            failures: 5,
            retry_after: Duration::from_secs(10),
        }
    }
}

/// The key of a Standard Webhooks secret; prints nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(Vec<u8>);

impl SigningKey {
    /// Reads `whsec_` and 24 to 64 bytes of base64.
    ///
    /// # Errors
    /// A sentence that does not show the secret.
    pub fn parse(secret: &Secret) -> Result<Self, String> {
        let text = secret.expose();
        let encoded = text
            .strip_prefix("whsec_")
            .ok_or("the secret does not start with `whsec_`")?;
        let bytes = STANDARD
            .decode(encoded)
            .map_err(|_| "what follows `whsec_` is not base64".to_owned())?;
        if !(24..=64).contains(&bytes.len()) {
            let why = format!(
                "the secret has {} bytes; Standard Webhooks wants 24 to 64",
                bytes.len()
            );
            return Err(why);
        }
        Ok(Self(bytes))
    }

    /// The bytes, for signing.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl HookRule {
    /// Reads `[[hook]]`; `None` if it says too little to be one. Secrets in files are looked for from `folder`.
    #[must_use]
    pub fn read(table: &Table<'_>, folder: &Path) -> Option<Self> {
        let when = When::read(table);
        let headers = headers(table, folder);
        let keys = keys(table, folder);
        let on = read_on(table);
        let certificates = certificates(table, folder);
        let (origin, target) = url(table)?;
        let on = on?;
        if !origin.tls && certificates != Certificates::default() {
            let message = "certificates are for `https` only, and this hook is called without TLS";
            table
                .page()
                .warn(table.key_span("url"), message, "write https://");
        }
        let fallback = OnFailure::default_for(on);
        let on_failure = [("stop", OnFailure::Stop), ("continue", OnFailure::Continue)];
        let modes = [
            ("enforce", Mode::Enforce),
            ("shadow", Mode::Shadow),
            ("off", Mode::Off),
        ];
        if on != Event::Preprocess && table.word("on_failure", &on_failure) == Some(OnFailure::Stop)
        {
            table.complain(
                "on_failure",
                "only a preprocess hook can stop",
                "leave `on_failure` out",
            );
        }
        let fields = table.texts("fields").into_iter().map(|placed| placed.value);
        let name = table.text("name").map(|placed| placed.value);
        if name.as_deref() == Some("") {
            let mend = "leave `name` out, and the hook is called after its host";
            table.complain("name", "a name has at least one letter", mend);
        }
        Some(Self {
            on,
            name: name.unwrap_or_else(|| origin.host.clone()),
            origin,
            target,
            when,
            extract: extract(table),
            fields: table.has("fields").then(|| fields.collect()),
            headers,
            keys,
            certificates,
            timeout: timeout(table),
            on_failure: table.word("on_failure", &on_failure).unwrap_or(fallback),
            parallel: table.flag("parallel").unwrap_or(false),
            mode: table.word("mode", &modes).unwrap_or_default(),
            breaker: breaker(table),
            at_once: at_once(table).unwrap_or(DEFAULT_AT_ONCE),
            place: Place::on(table.page(), &table.span()),
        })
    }

    /// A hook that no rule file has, with every key's default.
    ///
    /// # Errors
    /// The URL cannot be called.
    pub fn plain(on: Event, url: &str, place: Place) -> Result<Self, String> {
        let (origin, target) = address(url)?;
        Ok(Self {
            on,
            name: origin.host.clone(),
            origin,
            target,
            when: When::default(),
            fields: None,
            headers: Vec::new(),
            keys: Vec::new(),
            certificates: Certificates::default(),
            timeout: DEFAULT_TIMEOUT,
            on_failure: OnFailure::default_for(on),
            parallel: false,
            mode: Mode::default(),
            breaker: Breaker::default(),
            at_once: DEFAULT_AT_ONCE,
            extract: Vec::new(),
            place,
        })
    }

    /// The same hook at another address.
    ///
    /// # Errors
    /// The URL cannot be called.
    pub fn moved_to(mut self, url: &str) -> Result<Self, String> {
        (self.origin, self.target) = address(url)?;
        Ok(self)
    }

    /// The whole URL, for people; slots are shown as written.
    #[must_use]
    pub fn url(&self) -> String {
        let target = self.target.fill(|name| format!("{{{name}}}").into());
        format!("{}{target}", self.origin)
    }
}

fn url(table: &Table<'_>) -> Option<(Origin, Template)> {
    let Some(url) = table.text("url") else {
        if !table.has("url") {
            table.page().complain(
                table.span(),
                "a hook without a `url` calls nobody",
                "add url = \"https://…\"",
            );
        }
        return None;
    };
    table.parsed(&url, address).map(|placed| placed.value)
}

/// Reads where a hook is called.
fn address(url: &str) -> Result<(Origin, Template), String> {
    let (origin, target) = Origin::split(url)?;
    if target
        .bytes()
        .any(|byte| byte <= b' ' || byte == 0x7f || !byte.is_ascii())
    {
        return Err(
            "a URL has no white space and no letters beyond ASCII; percent-encode them".to_owned(),
        );
    }
    let template = Template::compile(target, |name| name == "form" || name == "event");
    let template = template.map_err(|why| {
        format!("in the URL's path: {why}; the slots are `{{form}}` and `{{event}}`")
    })?;
    Ok((origin, template))
}

fn timeout(table: &Table<'_>) -> Duration {
    let Some(placed) = table.duration("timeout") else {
        return DEFAULT_TIMEOUT;
    };
    if !(LEAST_TIMEOUT..=GREATEST_TIMEOUT).contains(&placed.value) {
        table.complain(
            "timeout",
            "a hook's timeout is between 50ms and 30s",
            "a person is waiting",
        );
        return DEFAULT_TIMEOUT;
    }
    placed.value
}

/// What is taken out of answers: names and paths.
fn extract(table: &Table<'_>) -> Vec<(String, JsonPath)> {
    let Some(inner) = table.table("extract", &TEXT_TABLE) else {
        return Vec::new();
    };
    let entries = inner.entries().filter_map(|(name, value)| {
        let text = to_json(value.get_ref());
        let path = text.as_str().ok_or_else(|| "not a text".to_owned());
        let compiled = path.and_then(|path| {
            let wrong = |fault: Fault| format!("{}; {}", fault.message, fault.mend);
            JsonPath::compile(path).map_err(wrong)
        });
        match compiled {
            Ok(path) => Some((name.value, path)),
            Err(why) => {
                let message = format!("`{}` in `extract`: {why}", name.value);
                let mend = "write for example run = \"$.run.id\"";
                table.page().complain(value.span(), message, mend);
                None
            }
        }
    });
    entries.collect()
}

/// How many may be under way at a time, if the table says.
#[must_use]
pub fn at_once(table: &Table<'_>) -> Option<usize> {
    let placed = table.count("at_once")?;
    if !(1..=GREATEST_AT_ONCE).contains(&placed.value) {
        table.complain(
            "at_once",
            "`at_once` is between 1 and 1000000",
            "without a place there is never a turn",
        );
        return None;
    }
    usize::try_from(placed.value).ok()
}

fn breaker(table: &Table<'_>) -> Breaker {
    let default = Breaker::default();
    let Some(inner) = table.table("breaker", &BREAKER) else {
        return default;
    };
    let failures = inner
        .count("failures")
        .map(|placed| u32::try_from(placed.value).unwrap_or(u32::MAX));
    Breaker {
        failures: failures.unwrap_or(default.failures),
        retry_after: inner
            .duration("retry_after")
            .map_or(default.retry_after, |placed| placed.value),
    }
}

/// Headers that the gateway sets itself, or that would change how the call is framed.
const RESERVED: [&str; 19] = [
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "formgate-depth",
    "formgate-proof",
    "formgate-event",
    "formgate-timeout-ms",
    "traceparent",
    "tracestate",
    "x-request-id",
];

fn headers(table: &Table<'_>, folder: &Path) -> Vec<(String, Secret)> {
    let Some(inner) = table.table("headers", &TEXT_TABLE) else {
        return Vec::new();
    };
    let mut headers = Vec::new();
    for (name, value) in inner.entries() {
        let (name, span) = (name.value, value.span());
        let value = to_json(value.get_ref());
        match header(&name, &value, folder) {
            Ok(header) => headers.push(header),
            Err((why, mend)) => {
                let message = format!("header `{name}`: {why}");
                table.page().complain(span.clone(), message, mend);
            }
        }
        let looks_secret = ["authorization", "token", "key", "secret"]
            .iter()
            .any(|word| name.to_ascii_lowercase().contains(word));
        let plain = value
            .as_str()
            .is_some_and(|text| !text.starts_with("env:") && !text.starts_with("file:"));
        if looks_secret && plain {
            table.page().warn(
                span,
                format!("header `{name}` looks like a secret in plain text"),
                "write env:NAME or file:PATH",
            );
        }
    }
    headers
}

fn header(
    name: &str,
    value: &Value,
    folder: &Path,
) -> Result<(String, Secret), (String, &'static str)> {
    let lower = name.to_ascii_lowercase();
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if lower.is_empty() || !lower.bytes().all(token) {
        let mend = "a header's name has letters, digits and dashes";
        return Err(("not a header name".to_owned(), mend));
    }
    if RESERVED.contains(&lower.as_str()) {
        return Err((
            "the gateway sets this header itself".to_owned(),
            "leave it out",
        ));
    }
    let text = value
        .as_str()
        .ok_or(("the value must be a text".to_owned(), "put it in quotes"))?;
    let secret = secret::resolve(text, folder).unwrap_or_else(|| Ok(Secret::new(text)));
    let secret = secret.map_err(|why| (why, ""))?;
    let visible = |byte: u8| byte == b'\t' || (b' '..=b'~').contains(&byte);
    if !secret.expose().bytes().all(visible) {
        let mend = "ASCII without line breaks only";
        return Err((
            "the value has a character that no header may have".to_owned(),
            mend,
        ));
    }
    Ok((lower, secret))
}

fn certificates(table: &Table<'_>, folder: &Path) -> Certificates {
    let mut sources = Sources::default();
    sources.take(table, folder);
    sources.read().unwrap_or_else(|(key, why)| {
        table.complain(key, why, "");
        Certificates::default()
    })
}

fn keys(table: &Table<'_>, folder: &Path) -> Vec<SigningKey> {
    let mut keys = Vec::new();
    for placed in table.texts("secrets") {
        let resolved = match secret::resolve(&placed.value, folder) {
            Some(resolved) => resolved,
            None => {
                let message = "a secret in plain text would be read by whoever reads this file";
                table
                    .page()
                    .warn(placed.span.clone(), message, "write env:NAME or file:PATH");
                Ok(Secret::new(placed.value.as_str()))
            }
        };
        let secret = match resolved {
            Ok(secret) => secret,
            Err(why) => {
                table.page().complain(placed.span, why, "");
                continue;
            }
        };
        match SigningKey::parse(&secret) {
            Ok(key) => keys.push(key),
            Err(why) => table.page().complain(
                placed.span,
                why,
                "a secret is `whsec_` and the base64 of 24 to 64 random bytes",
            ),
        }
    }
    keys
}
