//! Whether the gateway should be sent requests, and why not. Owns reading it off what is measured; who is told, and in
//! which form, is left to [`crate::admin::routes`].

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::metrics::label::Key;
use crate::metrics::meters::ReloadMeter;
use crate::metrics::register::Metrics;
use crate::metrics::word::Reloaded;

/// Why no more requests should come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The rule files have not been loaded yet.
    Starting,
    /// The gateway is ending.
    Draining,
    /// There is no place for another connection.
    Full,
}

impl Reason {
    /// The word in answers.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Draining => "draining",
            Self::Full => "full",
        }
    }
}

/// Every reason why no more requests should come; none if they should. A bad rule file is none, since the good ones
/// before it are in force, and neither is a hook that fails: others would fail with it.
#[must_use]
pub fn reasons(metrics: &Metrics) -> Vec<Reason> {
    let starting = metrics.reload(Reloaded::Rules).last_good.get() == 0;
    let all = [
        (starting, Reason::Starting),
        (metrics.draining.get(), Reason::Draining),
        (metrics.listener.full.get(), Reason::Full),
    ];
    let so = all.into_iter().filter(|(is_so, _)| *is_so);
    so.map(|(_, reason)| reason).collect()
}

/// The same with what else is worth knowing, and nothing secret.
#[must_use]
pub fn report(metrics: &Metrics) -> Value {
    let reasons = reasons(metrics);
    let reloads = Reloaded::WORDS.iter().zip(&metrics.reloads);
    let read = reloads.filter(|(_, meter)| meter.last.get() != 0);
    let reloads: serde_json::Map<_, _> = read
        .map(|(what, meter)| ((*what).to_owned(), reload(meter)))
        .collect();
    let hooks = metrics.hooks.shown().into_iter();
    let alone = hooks.filter(|(_, meter)| meter.left_alone.get());
    let alone: Vec<Value> = alone.map(|(key, _)| hook(&key)).collect();
    json!({
        "ready": reasons.is_empty(),
        "reasons": reasons.iter().map(|reason| reason.word()).collect::<Vec<_>>(),
        "reloads": reloads,
        "breakers_open": alone,
        "connections": metrics.listener.open.get(),
        "requests_under_way": metrics.gate.under_way.get(),
        "version": env!("CARGO_PKG_VERSION"),
    })
}

fn reload(meter: &ReloadMeter) -> Value {
    let time = |seconds: i64| {
        Timestamp::from_second(seconds)
            .ok()
            .map(|time| time.to_string())
    };
    json!({
        "good": !meter.is_bad.get(),
        "last": time(meter.last.get()),
        "last_good": time(meter.last_good.get()),
    })
}

fn hook([file, hook]: &Key) -> Value {
    json!({"file": file, "hook": hook})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_reload_is_told_and_no_reason() {
        let metrics = Metrics::new();
        assert_eq!(reasons(&metrics), [Reason::Starting]);
        metrics.reload(Reloaded::Rules).note(true);
        assert_eq!(reasons(&metrics), []);
        metrics.reload(Reloaded::Rules).note(false);
        let report = report(&metrics);
        assert_eq!(report["ready"], true);
        assert_eq!(report["reloads"]["rules"]["good"], false);
        assert!(report["reloads"].get("certificate").is_none(), "{report}");
        metrics.draining.set(true);
        metrics.listener.full.set(true);
        assert_eq!(reasons(&metrics), [Reason::Draining, Reason::Full]);
    }
}
