//! How logs are written: text for people, or JSON lines. Owns the subscriber; what is logged is decided where it
//! happens.

use std::fmt;
use std::io::IsTerminal;

use tracing::Level;
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::format::debug_fn;

use crate::cli::out;
use crate::config::Config;
use crate::config::LogFormat;
use crate::source::complaint::Complaint;

/// Fields that a job's sentence says already, or that nobody reads in a terminal.
const SAID: [&str; 12] = [
    "id",
    "kind",
    "event",
    "hook",
    "outcome",
    "total_ms",
    "first_byte_ms",
    "connect_ms",
    "sent_bytes",
    "received_bytes",
    "run",
    "decision",
];

/// Begins to log as configured.
///
/// # Errors
/// The filter cannot be read.
pub fn begin(config: &Config) -> Result<(), String> {
    let filter = EnvFilter::try_new(&config.log)
        .map_err(|error| format!("`log` cannot be read: {error}"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let begun = match config.log_format {
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .try_init(),
        LogFormat::Text => builder
            .with_ansi(wants_colours())
            .fmt_fields(debug_fn(write_field))
            .try_init(),
    };
    begun.map_err(|error| format!("logging could not begin: {error}"))
}

/// Whether the log may have colours: it goes to a terminal whose owner has not said no (no-color.org).
fn wants_colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !refused
}

/// Says what is wrong in files: as pictures where the log is text, as events where it is for machines.
pub fn complaints(complaints: &[Complaint], config: &Config) {
    if config.log_format == LogFormat::Text {
        out::complaints(complaints, false);
        return;
    }
    macro_rules! write_down {
        ($level:expr, $complaint:expr) => {
            let place = $complaint.to_json();
            tracing::event!(
                target: "formgate::rules",
                $level,
                file = place["file"].as_str(),
                line = place["line"].as_u64(),
                column = place["column"].as_u64(),
                mend = %$complaint.label,
                picture = %$complaint.picture(false),
                "{}", $complaint.message
            )
        };
    }
    for complaint in complaints {
        if complaint.is_error() {
            write_down!(Level::ERROR, complaint);
        } else {
            write_down!(Level::WARN, complaint);
        }
    }
}

/// Writes a field with the space before it, so that one that is left out leaves no gap.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let name = field.name();
    if name == "message" {
        return write!(writer, "{value:?}");
    }
    let text = format!("{value:?}");
    let says_no = matches!(name, "let_through" | "conflict" | "messages")
        && matches!(text.as_str(), "false" | "0");
    if says_no || SAID.contains(&name) {
        return Ok(());
    }
    write!(writer, " {name}={}", bare(&text))
}

/// A text without its quotes, where it has nothing in it that needs them.
fn bare(text: &str) -> &str {
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    inner
        .filter(|inner| !inner.is_empty() && !inner.contains([' ', '"', '\\', '=']))
        .unwrap_or(text)
}
