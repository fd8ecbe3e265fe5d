//! How logs are written: text for people, or JSON lines. Owns the subscriber; what is logged is decided where it
//! happens.

use std::backtrace::Backtrace;
use std::backtrace::BacktraceStatus;
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
    let begun = match config.telemetry.log {
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

/// Logs the place of every panic, wherever it happens, instead of its words: these may hold what a person typed.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let thread = std::thread::current();
        // Only where the environment asks for one (RUST_BACKTRACE).
        let trace = Backtrace::capture();
        let trace = (trace.status() == BacktraceStatus::Captured).then_some(trace);
        tracing::error!(
            target: "formgate::panic",
            place, thread = thread.name(), backtrace = trace.map(tracing::field::display),
            "a fault of the gateway itself: it panicked",
        );
    }));
}

/// Whether the log may have colours: it goes to a terminal whose owner has not said no (no-color.org).
fn wants_colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !refused
}

/// Says what is wrong in files: as pictures where the log is text, as events where it is for machines.
pub fn complaints(complaints: &[Complaint], config: &Config) {
    if config.telemetry.log == LogFormat::Text {
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
    let text = on_one_line(format!("{value:?}"));
    if name == "message" {
        return writer.write_str(&text);
    }
    let says_no = matches!(name, "let_through" | "conflict" | "messages")
        && matches!(text.as_str(), "false" | "0");
    if says_no || SAID.contains(&name) {
        return Ok(());
    }
    write!(writer, " {name}={}", bare(&text))
}

/// A text that cannot be taken for another line of the log, nor change how a terminal shows it, whoever wrote it.
fn on_one_line(text: String) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if !text.contains(breaks) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if breaks(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::Arc;
    use std::sync::Mutex;
    use std::sync::PoisonError;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_text_forges_another_line() {
        let written = Written::default();
        let to = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || to.clone())
            .with_ansi(false)
            .fmt_fields(debug_fn(write_field))
            .finish();
        let foreign = "a\r\n2026 INFO forged\u{85}\u{1b}[2J\u{2028}é";
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(shown = %foreign, text = foreign, "{foreign} says");
        });
        let all = written
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let all = String::from_utf8(all).expect("UTF-8");
        let line = all.strip_suffix('\n').expect("a line");
        let breaks = |c: char| c.is_control() || c == '\u{2028}';
        assert!(!line.contains(breaks), "{line:?}");
        assert!(line.contains("forged") && line.contains('é'), "{line:?}");
    }
}
