//! `[telemetry]`: how logs are written, the access log, traces. Owns its values and taking them over; what is told, and
//! how, is left to `account`.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::account::Accounts;
use crate::account::access;
use crate::account::access::Access;
use crate::account::access::Addresses;
use crate::account::access::Format;
use crate::account::collector;
use crate::account::collector::Collector;
use crate::account::spans::Believed;
use crate::account::spans::Sampling;
use crate::account::spans::Traces;
use crate::config::Config;
use crate::config::LogFormat;
use crate::metrics::meters::TelemetryMeter;
use crate::model::origin::Origin;
use crate::model::secret::Secret;
use crate::source::measure::show_duration;
use crate::source::secret;
use crate::source::table::Table;
use crate::wire::connect::Connector;

/// What is told to operators, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Telemetry {
    /// How logs are written.
    pub log: LogFormat,
    /// How the access log is written, if it is.
    pub access_log: Option<Format>,
    /// Its file; standard output without one.
    pub access_log_file: Option<PathBuf>,
    /// How much of a person's address it has.
    pub access_log_addresses: Addresses,
    /// The collector of traces, and the path there.
    pub otlp: Option<(Origin, String)>,
    /// What it is sent besides the traces.
    pub otlp_headers: Vec<Header>,
    /// How long one batch may take.
    pub otlp_timeout: Duration,
    /// Which traces are written down.
    pub sampling: Sampling,
    /// What the gateway is called there.
    pub service: String,
    /// What else is said of it.
    pub resource: Vec<(String, String)>,
}

/// A header for the collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name, in lower case.
    pub name: String,
    /// Its value.
    pub value: Secret,
    /// Where the value comes from: `env:NAME` or `file:PATH`; `None` if it stands in the configuration.
    pub reference: Option<String>,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            log: LogFormat::Text,
            access_log: None,
            access_log_file: None,
            access_log_addresses: Addresses::None,
            otlp: None,
            otlp_headers: Vec::new(),
            otlp_timeout: Duration::from_secs(10),
            sampling: Sampling {
                share: 1.0,
                believed: Believed::Trusted,
            },
            service: "formgate".to_owned(),
            resource: Vec::new(),
        }
    }
}

const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];
const ACCESS: [(&str, Option<Format>); 3] = [
    ("off", None),
    ("text", Some(Format::Text)),
    ("json", Some(Format::Json)),
];
const ADDRESSES: [(&str, Addresses); 3] = [
    ("none", Addresses::None),
    ("short", Addresses::Short),
    ("full", Addresses::Full),
];
const BELIEVED: [(&str, Believed); 3] = [
    ("trusted", Believed::Trusted),
    ("always", Believed::Always),
    ("never", Believed::Never),
];

impl Telemetry {
    /// Takes over what a table says.
    pub(in crate::config) fn apply(&mut self, table: &Table<'_>, folder: &Path) {
        let word = |name: &str| table.text(name).map(|placed| placed.value);
        self.log = table.word("log", &FORMATS).unwrap_or(self.log);
        self.access_log = table.word("access_log", &ACCESS).unwrap_or(self.access_log);
        if let Some(file) = word("access_log_file") {
            self.access_log_file = Some(folder.join(file));
        }
        let addresses = table.word("access_log_addresses", &ADDRESSES);
        self.access_log_addresses = addresses.unwrap_or(self.access_log_addresses);
        if let Some(url) = table.text("otlp") {
            let collector = table.parsed(&url, collector);
            self.otlp = collector.map(|placed| placed.value).or(self.otlp.take());
        }
        if table.has("otlp_headers") {
            let headers = table.texts("otlp_headers").into_iter();
            let read = headers.filter_map(|text| {
                let value = text.value.split_once('=').map(|(_, value)| value.trim());
                if !value.is_some_and(secret::is_reference) {
                    table.page().conceal(text.span.clone());
                }
                let header = table.parsed(&text, |text| header(text, folder))?.value;
                if header.reference.is_none() && looks_secret(&header.name) {
                    table.page().warn(
                        text.span,
                        format!("header `{}` looks like a secret in plain text", header.name),
                        "write NAME=env:VARIABLE or NAME=file:PATH",
                    );
                }
                Some(header)
            });
            self.otlp_headers = read.collect();
        }
        let timeout = table.duration("otlp_timeout");
        self.otlp_timeout = timeout.map_or(self.otlp_timeout, |placed| placed.value);
        if let Some(share) = table.bound("sample") {
            let (number, wrong) = (number(&share.value), "a share is between 0 and 1");
            match number.filter(|share| (0.0..=1.0).contains(share)) {
                Some(share) => self.sampling.share = share,
                None => table.complain("sample", wrong, "write for example 0.1"),
            }
        }
        let believed = table.word("trace_context", &BELIEVED);
        self.sampling.believed = believed.unwrap_or(self.sampling.believed);
        self.service = word("service").unwrap_or(std::mem::take(&mut self.service));
        if table.has("resource") {
            let texts = table.texts("resource").into_iter();
            let read = texts.filter_map(|text| Some(table.parsed(&text, attribute)?.value));
            self.resource = read.collect();
        }
    }

    /// What the access log is written with.
    pub(in crate::config) fn access(&self) -> Option<access::Settings> {
        self.access_log.map(|format| access::Settings {
            format,
            file: self.access_log_file.clone(),
            addresses: self.access_log_addresses,
        })
    }

    /// Where traces go.
    pub(in crate::config) fn collector(&self) -> Option<collector::Settings> {
        let (origin, path) = self.otlp.clone()?;
        let headers = self.otlp_headers.iter();
        Some(collector::Settings {
            origin,
            path,
            headers: headers
                .map(|header| (header.name.clone(), header.value.clone()))
                .collect(),
            timeout: self.otlp_timeout,
            service: self.service.clone(),
            resource: self.resource.clone(),
        })
    }

    /// Every key that has a value, and its value as TOML.
    pub(in crate::config) fn shown(&self) -> Vec<(&'static str, String)> {
        let quoted = |text: &str| Value::from(text).to_string();
        let list = |texts: Vec<String>| Value::from(texts).to_string();
        let headers = self.otlp_headers.iter().map(|header| {
            let value = header.reference.as_deref().unwrap_or("***");
            format!("{}={value}", header.name)
        });
        let resource = self.resource.iter();
        let resource = resource.map(|(name, value)| format!("{name}={value}"));
        let mut shown = vec![
            ("telemetry.log", quoted(word_of(&FORMATS, self.log))),
            (
                "telemetry.access_log",
                quoted(word_of(&ACCESS, self.access_log)),
            ),
            (
                "telemetry.access_log_addresses",
                quoted(word_of(&ADDRESSES, self.access_log_addresses)),
            ),
            ("telemetry.otlp_headers", list(headers.collect())),
            (
                "telemetry.otlp_timeout",
                quoted(&show_duration(self.otlp_timeout)),
            ),
            (
                "telemetry.sample",
                Value::from(self.sampling.share).to_string(),
            ),
            (
                "telemetry.trace_context",
                quoted(word_of(&BELIEVED, self.sampling.believed)),
            ),
            ("telemetry.service", quoted(&self.service)),
            ("telemetry.resource", list(resource.collect())),
        ];
        let file = self.access_log_file.as_ref();
        shown.extend(file.map(|file| {
            let file = quoted(&file.display().to_string());
            ("telemetry.access_log_file", file)
        }));
        let otlp = self.otlp.as_ref();
        shown.extend(otlp.map(|(origin, path)| {
            let base = path.strip_suffix(TRACES).unwrap_or(path);
            ("telemetry.otlp", quoted(&format!("{origin}{base}")))
        }));
        shown
    }
}

/// How long it may take to connect to the collector.
const COLLECTOR_CONNECT: Duration = Duration::from_secs(2);

impl Config {
    /// Whoever is told of each request, on the present runtime; `output` takes the access log where it has no file, and
    /// `meter` counts what is lost.
    ///
    /// # Errors
    /// A file that cannot be written, or a collector that cannot be spoken to in this way.
    pub fn accounts(
        &self,
        output: Box<dyn io::Write + Send>,
        meter: &Arc<TelemetryMeter>,
    ) -> Result<Option<Arc<Accounts>>, String> {
        let access = self.telemetry.access().map(|settings| {
            Access::begin(&settings, output, Arc::clone(meter)).map_err(|error| {
                let file = settings.file.unwrap_or_default();
                format!("cannot write the access log `{}`: {error}", file.display())
            })
        });
        let traces = self.telemetry.collector().map(|settings| {
            let tls = self.usual_tls();
            let tls = tls.map_err(|(key, why)| format!("`{key}`: {why}"))?;
            let connector = Connector::open(tls, COLLECTOR_CONNECT);
            let collector = Collector::new(&settings, connector);
            collector.map(|collector| Traces::begin(&self.telemetry.sampling, collector, meter))
        });
        Ok(Accounts::of(access.transpose()?, traces.transpose()?))
    }
}

fn word_of<T: Copy + PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    let found = words.iter().find(|(_, known)| *known == value);
    found.map_or("", |(word, _)| word)
}

/// The path at which collectors take traces.
const TRACES: &str = "/v1/traces";

/// A collector's address: the base that is the same for all kinds of telemetry, or the whole of it.
fn collector(url: &str) -> Result<(Origin, String), String> {
    let (origin, path) = Origin::split(url)?;
    if path.contains('?') {
        return Err(
            "a collector's URL has no query; what it wants to know goes into `otlp_headers`"
                .to_owned(),
        );
    }
    let good = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
    if !path.bytes().all(good) {
        return Err(format!("`{path}` is not a path"));
    }
    let base = path.trim_end_matches('/');
    let base = base.strip_suffix(TRACES).unwrap_or(base);
    Ok((origin, format!("{base}{TRACES}")))
}

/// `NAME=value`, where the value may be a secret's `env:NAME` or `file:PATH`.
fn header(text: &str, folder: &Path) -> Result<Header, String> {
    let (name, value) = attribute(text)?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !name.bytes().all(token) {
        return Err(format!("`{name}` is not a header name"));
    }
    let (resolved, reference) = match secret::resolve(&value, folder) {
        Some(resolved) => (resolved?, Some(value)),
        None => (Secret::new(value), None),
    };
    let visible = |byte: u8| byte == b'\t' || (b' '..=b'~').contains(&byte);
    if !resolved.expose().bytes().all(visible) {
        return Err(format!(
            "the value of header `{name}` has a character that no header may have"
        ));
    }
    Ok(Header {
        name: name.to_ascii_lowercase(),
        value: resolved,
        reference,
    })
}

fn attribute(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=');
    let pair = pair.map(|(name, value)| (name.trim(), value.trim()));
    match pair.filter(|(name, value)| !name.is_empty() && !value.is_empty()) {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        // What was meant for a header may be a secret.
        None => Err("write NAME=VALUE".to_owned()),
    }
}

fn looks_secret(name: &str) -> bool {
    let words = ["authorization", "token", "key", "secret"];
    words.iter().any(|word| name.contains(word))
}

/// A number; one from the environment is a text.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collectors_are_named_as_elsewhere() {
        for (url, path) in [
            ("http://127.0.0.1:4318", "/v1/traces"),
            ("http://127.0.0.1:4318/", "/v1/traces"),
            ("https://otlp.example.org/otlp", "/otlp/v1/traces"),
            ("https://otlp.example.org/v1/traces", "/v1/traces"),
        ] {
            assert_eq!(collector(url).expect(url).1, path, "{url}");
        }
        for bad in [
            "127.0.0.1:4318",
            "http://x/?key=1",
            "grpc://x",
            "http://x/a b",
        ] {
            assert!(collector(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_error_about_a_header_shows_its_value() {
        let folder = Path::new(".");
        for bad in [
            "hunter2",
            "authorization=env:NO_SUCH_VARIABLE_HERE",
            "a b=hunter2",
            "x=hunter2é",
        ] {
            let why = header(bad, folder).expect_err(bad);
            assert!(!why.contains("hunter2"), "{why}");
        }
    }
}
