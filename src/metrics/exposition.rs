//! Giving out what is measured: every name and label, in the formats that Prometheus reads. Owns the names (docs/OPERATING.md
//! lists them) and both formats; `prometheus-client` writes `OpenMetrics`, and the older text is made of it.

use std::fmt;
use std::fmt::Write;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::NoLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::sync::Arc;

use crate::metrics::instrument::Counter;
use crate::metrics::instrument::Reading;
use crate::metrics::meters::FormMeter;
use crate::metrics::process::Process;
use crate::metrics::process::Runtime;
use crate::metrics::register::Metrics;
use crate::metrics::word::Broke;
use crate::metrics::word::Called;
use crate::metrics::word::Ended;
use crate::metrics::word::Flash;
use crate::metrics::word::OF_SUBMISSIONS;
use crate::metrics::word::Page;
use crate::metrics::word::Reloaded;
use crate::metrics::word::Skipped;

/// The content type of [`open_metrics`].
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The content type of [`prometheus`].
pub const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that is measured, as `OpenMetrics` 1.0.
#[must_use]
pub fn open_metrics(metrics: &Arc<Metrics>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Everything(Arc::clone(metrics))));
    let mut text = String::with_capacity(32 << 10);
    // A text takes whatever is written.
    let _ = encode(&mut text, &registry);
    text
}

/// The same in the text format that came before, 0.0.4.
#[must_use]
pub fn prometheus(metrics: &Arc<Metrics>) -> String {
    older(&open_metrics(metrics))
}

/// `OpenMetrics` names a family of counters without its suffix, and has an end.
fn older(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut help = None;
    for line in text.lines() {
        if line.starts_with("# HELP ") {
            help = line
                .strip_prefix("# HELP ")
                .and_then(|rest| rest.split_once(' '));
        } else if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                other => ("", other),
            };
            if let Some((_, help)) = help.take() {
                let _ = writeln!(out, "# HELP {name}{suffix} {help}");
            }
            let _ = writeln!(out, "# TYPE {name}{suffix} {kind}");
        } else if line != "# EOF" {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// Writes one family after the other.
#[derive(Debug)]
struct Everything(Arc<Metrics>);

impl Collector for Everything {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        let metrics = &self.0;
        requests(metrics, &mut out)?;
        hooks(metrics, &mut out)?;
        backends(metrics, &mut out)?;
        connections(metrics, &mut out)?;
        bodies(metrics, &mut out)?;
        running(metrics, &mut out)?;
        process(metrics, &mut out)
    }
}

fn requests(metrics: &Metrics, out: &mut Out<'_>) -> fmt::Result {
    let forms = metrics.forms.shown();
    let nobody = ("", &metrics.gate.nobody);
    let own = forms.iter().map(|([id, _], meter)| (id.as_str(), &**meter));
    let with_nobody = own.clone().chain([nobody]);
    out.counters(
        "formgate_requests",
        "Requests by form – none for what is nobody's form – and how they ended; each is counted once",
        with_nobody.flat_map(|(form, meter)| {
            let ends = Ended::WORDS.iter().zip(&meter.requests);
            ends.map(move |(word, count)| ([("form", form), ("outcome", word)], count.get()))
        }),
    )?;
    out.counters(
        "formgate_submissions",
        "Submissions that arrived whole, by form and what became of them, whether or not the person was still there",
        own.clone().flat_map(|(form, meter)| {
            OF_SUBMISSIONS.iter().map(move |ended| {
                let count = meter.submissions[*ended as usize].get();
                ([("form", form), ("outcome", ended.word())], count)
            })
        }),
    )?;
    out.gauges(
        "formgate_submissions_under_way",
        "Submissions that have arrived whole and have not ended",
        own.clone()
            .map(|(form, meter)| ([("form", form)], meter.under_way.get())),
    )?;
    let budget = |meter: &FormMeter| meter.budget_left.read();
    out.histograms(
        "formgate_event_budget_left_ratio",
        "Share of an event's time budget that was left after its hooks",
        own.map(|(form, meter)| ([("form", form)], budget(meter))),
    )?;
    out.gauge(
        "formgate_requests_under_way",
        "Requests whose answer has not begun",
        metrics.gate.under_way.get(),
    )?;
    out.counters(
        "formgate_limits_hit",
        "Requests and connections that came up against a limit, by its name",
        metrics
            .hits()
            .map(|(limit, count)| ([("limit", limit)], count)),
    )?;
    out.counter(
        "formgate_access_log_lost",
        "Lines of the access log that were lost",
        &metrics.telemetry.lines_lost,
    )?;
    out.counter(
        "formgate_spans_lost",
        "Spans that were lost on their way to the collector, or that it did not want",
        &metrics.telemetry.spans_lost,
    )?;
    out.counter(
        "formgate_panics",
        "Requests that panicked",
        &metrics.gate.panics,
    )
}

fn hooks(metrics: &Metrics, out: &mut Out<'_>) -> fmt::Result {
    let hooks = metrics.hooks.shown();
    let all = hooks.iter().map(|([file, hook], meter)| {
        ([("file", file.as_str()), ("hook", hook.as_str())], &**meter)
    });
    out.histograms(
        "formgate_hook_seconds",
        "Time of hook calls, waiting and a second attempt included, by rule file, hook and outcome",
        all.clone().flat_map(|(hook, meter)| {
            let outcomes = Called::WORDS.iter().zip(&meter.seconds);
            let came = outcomes.map(|(word, times)| (word, times.read()));
            // Most never come to pass, and each has many lines.
            let came = came.filter(|(_, read)| read.count > 0);
            came.map(move |(word, read)| (and(hook, "outcome", word), read))
        }),
    )?;
    out.counters(
        "formgate_hook_skipped",
        "Hook calls that were not made, by rule file, hook and reason",
        all.clone().flat_map(|(hook, meter)| {
            let reasons = Skipped::WORDS.iter().zip(&meter.skipped);
            reasons.map(move |(word, count)| (and(hook, "reason", word), count.get()))
        }),
    )?;
    out.counters(
        "formgate_hook_retries",
        "Hook calls that needed a second attempt",
        all.clone().map(|(hook, meter)| (hook, meter.retries.get())),
    )?;
    out.counters(
        "formgate_hook_let_through",
        "Events that went on although the hook could not be relied on (on_failure = continue)",
        all.clone()
            .map(|(hook, meter)| (hook, meter.let_through.get())),
    )?;
    out.gauges(
        "formgate_hook_breaker_open",
        "Whether the hook is left alone because it failed too often in a row",
        all.clone()
            .map(|(hook, meter)| (hook, i64::from(meter.left_alone.get()))),
    )?;
    out.gauges(
        "formgate_hook_under_way",
        "Hook calls under way",
        all.clone()
            .map(|(hook, meter)| (hook, meter.under_way.get())),
    )?;
    out.gauges(
        "formgate_hook_waiting",
        "Hook calls that wait for their turn (at_once)",
        all.map(|(hook, meter)| (hook, meter.waiting.get())),
    )
}

fn backends(metrics: &Metrics, out: &mut Out<'_>) -> fmt::Result {
    let backends = metrics.backends.shown();
    let all = backends
        .iter()
        .map(|([url, _], meter)| (url.as_str(), &**meter));
    out.histograms(
        "formgate_backend_seconds",
        "Time until a backend's answer began",
        all.clone()
            .map(|(url, meter)| ([("backend", url)], meter.seconds.read())),
    )?;
    out.counters(
        "formgate_backend_answers",
        "Answers of backends, by the class of their status",
        all.clone().flat_map(|(url, meter)| {
            let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"]
                .iter()
                .zip(&meter.answers);
            classes.map(move |(class, count)| ([("backend", url), ("status", class)], count.get()))
        }),
    )?;
    out.counters(
        "formgate_backend_failures",
        "Requests to backends without a whole answer, by the reason",
        all.flat_map(|(url, meter)| {
            let reasons = Broke::WORDS.iter().zip(&meter.failures);
            reasons.map(move |(word, count)| ([("backend", url), ("reason", word)], count.get()))
        }),
    )
}

fn connections(metrics: &Metrics, out: &mut Out<'_>) -> fmt::Result {
    let listener = &metrics.listener;
    out.counter(
        "formgate_connections",
        "Connections that were accepted",
        &listener.accepted,
    )?;
    out.gauge(
        "formgate_connections_open",
        "Connections that are open",
        listener.open.get(),
    )?;
    out.gauge(
        "formgate_connections_full",
        "Whether new connections wait for a place among limits.connections",
        i64::from(listener.full.get()),
    )?;
    out.counter(
        "formgate_tls_handshakes_failed",
        "TLS handshakes that came to nothing",
        &listener.handshakes,
    )
}

fn bodies(metrics: &Metrics, out: &mut Out<'_>) -> fmt::Result {
    let spool = &metrics.spool;
    out.gauge(
        "formgate_spool_files",
        "Temporary files of bodies",
        spool.files.get(),
    )?;
    out.gauge(
        "formgate_spool_bytes",
        "Bytes in temporary files of bodies",
        spool.bytes.get(),
    )?;
    out.counter(
        "formgate_spool_written_bytes",
        "Bytes that were written to temporary files of bodies",
        &spool.written,
    )?;
    out.counter(
        "formgate_spool_failures",
        "Temporary files of bodies that could not be written or read",
        &spool.failures,
    )?;
    let store = &metrics.store;
    let came = [("written", &store.written), ("lost", &store.lost)];
    out.counters(
        "formgate_store_records",
        "Jobs and timelines, by whether they were written",
        came.map(|(word, count)| ([("result", word)], count.get()))
            .into_iter(),
    )?;
    out.counter(
        "formgate_store_bodies_dropped",
        "Jobs whose bodies were left out because too much waited",
        &store.bodies_dropped,
    )?;
    out.gauge(
        "formgate_store_waiting_bytes",
        "Bytes of bodies that wait to be written",
        store.waiting_bytes.get(),
    )?;
    out.counter("formgate_store_rows", "Rows that were written", &store.rows)?;
    out.histogram(
        "formgate_store_commit_seconds",
        "Time of commits",
        &store.seconds.read(),
    )?;
    out.counter(
        "formgate_store_failures",
        "Commits that failed",
        &store.failures,
    )?;
    let pages = Page::WORDS.iter().zip(&metrics.pages.pages);
    out.counters(
        "formgate_pages",
        "Pages in which something was to be said, by what became of them",
        pages.map(|(word, count)| ([("outcome", *word)], count.get())),
    )?;
    let flash = Flash::WORDS.iter().zip(&metrics.pages.flash);
    out.counters(
        "formgate_flash_cookies",
        "Cookies that carry a message to the next page, by what happened to them",
        flash.map(|(word, count)| ([("outcome", *word)], count.get())),
    )
}

fn running(metrics: &Metrics, out: &mut Out<'_>) -> fmt::Result {
    let all = Reloaded::WORDS.iter().zip(&metrics.reloads);
    out.counters(
        "formgate_reloads",
        "Times that something was read again, by what it was and whether it is good",
        all.clone().flat_map(|(what, meter)| {
            [("good", &meter.good), ("bad", &meter.bad)]
                .map(|(result, count)| ([("what", *what), ("result", result)], count.get()))
        }),
    )?;
    out.gauges(
        "formgate_reload_bad",
        "Whether what was read last is no good, so that what was there before is still in force",
        all.clone()
            .map(|(what, meter)| ([("what", *what)], i64::from(meter.is_bad.get()))),
    )?;
    out.gauges(
        "formgate_reload_last_good_timestamp_seconds",
        "When it was last read and put in force",
        all.map(|(what, meter)| ([("what", *what)], meter.last_good.get())),
    )?;
    out.gauge(
        "formgate_draining",
        "Whether the gateway is ending",
        i64::from(metrics.draining.get()),
    )
}

fn process(metrics: &Metrics, out: &mut Out<'_>) -> fmt::Result {
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    out.gauges(
        "formgate_build_info",
        "The version, as a label; always 1",
        [(version, 1)].into_iter(),
    )?;
    if let Some(runtime) = Runtime::now() {
        for (name, help, value) in [
            (
                "formgate_runtime_workers",
                "Threads that do the work",
                runtime.workers,
            ),
            (
                "formgate_runtime_tasks",
                "Tasks that have not ended",
                runtime.tasks,
            ),
            (
                "formgate_runtime_queued",
                "Tasks that no thread has taken yet",
                runtime.queued,
            ),
        ] {
            out.gauge(name, help, i64::try_from(value).unwrap_or(i64::MAX))?;
        }
    }
    let process = Process::now();
    if let Some(cpu) = process.cpu {
        out.0
            .encode_descriptor(
                "process_cpu_seconds",
                "Time of processors that was used, in seconds",
                None,
                MetricType::Counter,
            )?
            .encode_counter::<NoLabelSet, _, f64>(&cpu, None)?;
    }
    out.gauge(
        "process_start_time_seconds",
        "When the process began, in seconds since 1970",
        metrics.began,
    )?;
    for (name, help, value) in [
        (
            "process_resident_memory_bytes",
            "Memory that is in use",
            process.resident,
        ),
        (
            "process_virtual_memory_bytes",
            "Memory that is reserved",
            process.virtual_memory,
        ),
        (
            "process_open_fds",
            "Open files and sockets",
            process.open_fds,
        ),
        (
            "process_max_fds",
            "How many open files and sockets there may be",
            process.max_fds,
        ),
    ] {
        if let Some(value) = value {
            out.gauge(name, help, i64::try_from(value).unwrap_or(i64::MAX))?;
        }
    }
    Ok(())
}

type Label<'l> = (&'l str, &'l str);

fn and<'l>([file, hook]: [Label<'l>; 2], name: &'l str, word: &'l str) -> [Label<'l>; 3] {
    [file, hook, (name, word)]
}

/// Where families are written to.
struct Out<'e>(DescriptorEncoder<'e>);

impl Out<'_> {
    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        all: impl Iterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, count) in all {
            let mut one = family.encode_family(&labels)?;
            one.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        Ok(())
    }

    fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        all: impl Iterator<Item = (L, i64)>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in all {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn histograms<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        all: impl Iterator<Item = (L, Reading)>,
    ) -> fmt::Result {
        let kind = MetricType::Histogram;
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, read) in all {
            let mut one = family.encode_family(&labels)?;
            one.encode_histogram::<NoLabelSet>(read.sum, read.count, &read.buckets, None)?;
        }
        Ok(())
    }

    fn histogram(&mut self, name: &str, help: &str, read: &Reading) -> fmt::Result {
        let kind = MetricType::Histogram;
        let mut one = self.0.encode_descriptor(name, help, None, kind)?;
        one.encode_histogram::<NoLabelSet>(read.sum, read.count, &read.buckets, None)
    }

    fn counter(&mut self, name: &str, help: &str, count: &Counter) -> fmt::Result {
        let mut one = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        one.encode_counter::<NoLabelSet, _, u64>(&count.get(), None)
    }

    fn gauge(&mut self, name: &str, help: &str, value: i64) -> fmt::Result {
        let mut one = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        one.encode_gauge(&value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_say_the_same() {
        let metrics = Metrics::new();
        metrics.hit("limits.body");
        let _ = metrics.forms.adopt([["a\"b\\".to_owned(), String::new()]]);
        let open = open_metrics(&metrics);
        assert!(open.ends_with("\n# EOF\n"), "{open}");
        assert!(
            open.contains("# TYPE formgate_requests counter\n"),
            "{open}"
        );
        assert!(open.contains("formgate_limits_hit_total{limit=\"limits.body\"} 1\n"));
        assert!(
            open.contains("{form=\"a\\\"b\\\\\",outcome=\"left\"} 0\n"),
            "{open}"
        );
        let text = prometheus(&metrics);
        assert!(
            text.contains("# TYPE formgate_requests_total counter\n"),
            "{text}"
        );
        assert!(text.contains("# HELP formgate_requests_total Requests by form"));
        let samples = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            // What the process takes changes all the time.
            let steady = lines.filter(|line| !line.starts_with("process_"));
            steady.map(str::to_owned).collect()
        };
        assert_eq!(samples(&open), samples(&text));
        assert!(!text.contains("# EOF"));
    }
}
