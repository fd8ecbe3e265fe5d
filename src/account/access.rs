//! The access log: one line for each request. Owns its fields and how they are written, as text or as JSON, so that
//! nothing a stranger sends can look like another line; getting lines to their file is left to
//! [`crate::account::writer`].

use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::Version;
use jiff::Timestamp;
use serde_json::Map;
use serde_json::Value;

use crate::account::writer::Target;
use crate::account::writer::Writer;
use crate::metrics::meters::TelemetryMeter;
use crate::model::event::Event;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `key=value`, for people and simple tools.
    Text,
    /// One JSON object a line.
    Json,
}

/// How much of a person's address is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Addresses {
    /// Nothing.
    #[default]
    None,
    /// The network: 24 bits of IPv4, 48 of IPv6.
    Short,
    /// All of it.
    Full,
}

/// What is written, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How lines look.
    pub format: Format,
    /// The file; standard output without one.
    pub file: Option<PathBuf>,
    /// How much of addresses is written.
    pub addresses: Addresses,
}

/// The access log.
#[derive(Debug)]
pub struct Access {
    addresses: Addresses,
    writer: Writer,
}

/// One request that is over.
#[derive(Debug)]
pub(in crate::account) struct Entry {
    pub(in crate::account) at: Timestamp,
    pub(in crate::account) method: Method,
    pub(in crate::account) path: String,
    pub(in crate::account) version: Version,
    pub(in crate::account) tls: Option<&'static str>,
    pub(in crate::account) status: Option<u16>,
    pub(in crate::account) received: u64,
    pub(in crate::account) sent: u64,
    pub(in crate::account) total: Duration,
    pub(in crate::account) backend: Duration,
    pub(in crate::account) hooks: Duration,
    pub(in crate::account) form: Option<String>,
    pub(in crate::account) event: Option<Event>,
    pub(in crate::account) outcome: Option<&'static str>,
    pub(in crate::account) request_id: Option<String>,
    pub(in crate::account) trace_id: Option<String>,
    pub(in crate::account) address: Option<String>,
}

impl Access {
    /// Begins to write; `output` is what is written to where no file is named.
    ///
    /// # Errors
    /// The file cannot be written, or there is no thread for it.
    pub fn begin(
        settings: &Settings,
        output: Box<dyn io::Write + Send>,
        meter: Arc<TelemetryMeter>,
    ) -> io::Result<Self> {
        let target = match &settings.file {
            Some(path) => Target::file(path.clone())?,
            None => Target::Output(output),
        };
        Ok(Self {
            addresses: settings.addresses,
            writer: Writer::begin(settings.format, target, meter)?,
        })
    }

    pub(in crate::account) fn wants_person(&self) -> bool {
        self.addresses != Addresses::None
    }

    /// What is written of an address.
    pub(in crate::account) fn shown(&self, address: IpAddr) -> Option<String> {
        shown(address, self.addresses)
    }

    pub(in crate::account) fn write(&self, entry: Entry) {
        self.writer.write(entry);
    }

    pub(in crate::account) fn reopen(&self) {
        self.writer.reopen();
    }

    pub(in crate::account) async fn flush(&self) {
        self.writer.flush().await;
    }
}

fn shown(address: IpAddr, addresses: Addresses) -> Option<String> {
    let address = match (addresses, address.to_canonical()) {
        (Addresses::None, _) => return None,
        (Addresses::Full, address) => address,
        (Addresses::Short, IpAddr::V4(address)) => {
            let [a, b, c, _] = address.octets();
            Ipv4Addr::new(a, b, c, 0).into()
        }
        (Addresses::Short, IpAddr::V6(address)) => {
            let [a, b, c, ..] = address.segments();
            Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into()
        }
    };
    Some(address.to_string())
}

/// The version of HTTP as it is written.
pub(in crate::account) const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

impl Entry {
    /// The fields, in the order in which they are written; one without a value is left out.
    fn fields(&self) -> Vec<(&'static str, Value)> {
        let text = |text: &Option<String>| text.clone().map(Value::from);
        let fields = [
            ("time", Some(time(self.at).into())),
            ("method", Some(self.method.as_str().into())),
            ("path", Some(self.path.as_str().into())),
            ("status", self.status.map(Value::from)),
            ("received_bytes", Some(self.received.into())),
            ("sent_bytes", Some(self.sent.into())),
            ("total_ms", Some(millis(self.total))),
            ("backend_ms", waited(self.backend)),
            ("hooks_ms", waited(self.hooks)),
            ("form", text(&self.form)),
            ("event", self.event.map(|event| event.name().into())),
            ("outcome", self.outcome.map(Value::from)),
            ("request_id", text(&self.request_id)),
            ("trace_id", text(&self.trace_id)),
            ("protocol", Some(protocol(self.version).into())),
            ("tls", self.tls.map(Value::from)),
            ("address", text(&self.address)),
        ];
        let fields = fields.into_iter();
        fields
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }

    /// Adds the line.
    pub(in crate::account) fn write_to(&self, lines: &mut String, format: Format) {
        match format {
            Format::Json => {
                let fields = self.fields().into_iter();
                let object: Map<String, Value> = fields
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect();
                push_tame(lines, &Value::Object(object).to_string());
            }
            Format::Text => {
                let mut between = "";
                for (name, value) in self.fields() {
                    // Writing into a text does not fail.
                    let _ = write!(lines, "{between}{name}=");
                    match &value {
                        Value::String(text) if is_plain(text) => lines.push_str(text),
                        other => push_tame(lines, &other.to_string()),
                    }
                    between = " ";
                }
            }
        }
        lines.push('\n');
    }
}

/// Whether a text can stand for itself in a line of text.
fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"\\=".contains(&byte);
    !text.is_empty() && text.bytes().all(plain)
}

/// Adds JSON, in which only control characters below the space are escaped, with all other characters escaped that end
/// a line or steer a terminal somewhere.
fn push_tame(lines: &mut String, json: &str) {
    for c in json.chars() {
        if c.is_control() || steers(c) {
            let _ = write!(lines, "\\u{:04x}", u32::from(c));
        } else {
            lines.push(c);
        }
    }
}

/// Whether a character that is no control character ends a line somewhere, or changes the direction of what is around it.
const fn steers(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// To the microsecond, always as long.
fn time(at: Timestamp) -> String {
    format!("{at:.6}")
}

/// To the microsecond.
fn millis(duration: Duration) -> Value {
    let micros = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    Value::from(f64::from(micros) / 1e3)
}

/// Time that was waited; nothing where nobody was waited for.
fn waited(duration: Duration) -> Option<Value> {
    (!duration.is_zero()).then(|| millis(duration))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, form: &str) -> Entry {
        Entry {
            at: "2026-11-25T20:00:00.5Z".parse().expect("a time"),
            method: Method::POST,
            path: path.to_owned(),
            version: Version::HTTP_2,
            tls: Some("TLSv1.3"),
            status: Some(303),
            received: 512,
            sent: 0,
            total: Duration::from_micros(12_345),
            backend: Duration::from_millis(8),
            hooks: Duration::ZERO,
            form: Some(form.to_owned()),
            event: Some(Event::Submit),
            outcome: Some("accepted"),
            request_id: Some("0193".to_owned()),
            trace_id: None,
            address: None,
        }
    }

    fn line(entry: &Entry, format: Format) -> String {
        let mut lines = String::new();
        entry.write_to(&mut lines, format);
        lines
    }

    #[test]
    fn a_line_says_what_there_is_to_say() {
        let entry = entry("/camps/lake/enroll", "enrollment");
        assert_eq!(
            line(&entry, Format::Text),
            "time=2026-11-25T20:00:00.500000Z method=POST path=/camps/lake/enroll status=303 received_bytes=512 \
             sent_bytes=0 total_ms=12.345 backend_ms=8.0 form=enrollment event=form_submit outcome=accepted \
             request_id=0193 protocol=2 tls=TLSv1.3\n"
        );
        let json: Value = serde_json::from_str(&line(&entry, Format::Json)).expect("JSON");
        assert_eq!(json["total_ms"], 12.345);
        assert_eq!(json["status"], 303);
        assert!(json.get("hooks_ms").is_none(), "no hook was waited for");
    }

    #[test]
    fn nothing_forges_a_line_or_steers_a_terminal() {
        let hostile = "/a\n2026 status=200 \u{1b}[2J\r\u{85}\u{2028}\u{9b}31m\u{202e}\u{2067}\u{200f}\u{61c}\u{7f}é\" outcome=x";
        for format in [Format::Text, Format::Json] {
            let line = line(&entry(hostile, hostile), format);
            let line = line.strip_suffix('\n').expect("a line");
            let wild =
                |c: char| c.is_control() || "\u{2028}\u{202e}\u{2067}\u{200f}\u{61c}".contains(c);
            assert!(!line.contains(wild), "{line:?}");
            assert!(line.contains('é'), "{line:?}");
        }
        let json = line(&entry(hostile, hostile), Format::Json);
        let json: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["path"], hostile);
        // In text the value is quoted, so that its own words are none of the line's.
        let text = line(&entry(hostile, "x"), Format::Text);
        assert!(text.contains("path=\"/a\\n2026 status=200 "), "{text}");
    }

    #[test]
    fn addresses_are_written_as_wanted() {
        let short = |text: &str| shown(text.parse().expect("an address"), Addresses::Short);
        assert_eq!(short("203.0.113.77").as_deref(), Some("203.0.113.0"));
        assert_eq!(short("::ffff:203.0.113.77").as_deref(), Some("203.0.113.0"));
        assert_eq!(
            short("2001:db8:12:3456::1").as_deref(),
            Some("2001:db8:12::")
        );
        let address = "203.0.113.77".parse().expect("an address");
        assert_eq!(
            shown(address, Addresses::Full).as_deref(),
            Some("203.0.113.77")
        );
        assert_eq!(shown(address, Addresses::None), None);
    }
}
