//! Everything that is measured, as one value. Owns which labels there may be and the names of limits; made once where
//! the program is put together, and handed to whoever counts.

use std::sync::Arc;

use jiff::Timestamp;

use crate::metrics::instrument::Counter;
use crate::metrics::instrument::Flag;
use crate::metrics::label::Shelf;
use crate::metrics::meters::BackendMeter;
use crate::metrics::meters::FormMeter;
use crate::metrics::meters::GateMeter;
use crate::metrics::meters::HookMeter;
use crate::metrics::meters::ListenerMeter;
use crate::metrics::meters::PageMeter;
use crate::metrics::meters::ReloadMeter;
use crate::metrics::meters::SpoolMeter;
use crate::metrics::meters::StoreMeter;
use crate::metrics::meters::TelemetryMeter;
use crate::metrics::word::Reloaded;

/// How many forms, hooks and backends have labels of their own.
const MOST: usize = 500;

/// The label of all forms that have no file of their own.
pub const DISCOVERED: &str = "(discovered)";

/// The limits that somebody can come up against, by their names in answers and logs.
pub const LIMITS: [&str; 19] = [
    "at_once",
    "backend_timeouts.connect",
    "backend_timeouts.response",
    "limits.body",
    "limits.body_pause",
    "limits.body_rate",
    "limits.connections",
    "limits.connections_per_address",
    "limits.depth",
    "limits.doc",
    "limits.field",
    "limits.fields",
    "limits.header_size",
    "limits.header_timeout",
    "limits.headers",
    "limits.part_header",
    "limits.submissions",
    "limits.unpack_ratio",
    "limits.values",
];

/// Everything that is measured.
#[derive(Debug)]
pub struct Metrics {
    /// All requests.
    pub gate: GateMeter,
    /// Forms, by their id.
    pub forms: Shelf<FormMeter>,
    /// Hooks, by their rule file and name.
    pub hooks: Shelf<HookMeter>,
    /// Backends, by their URL.
    pub backends: Shelf<BackendMeter>,
    /// Connections.
    pub listener: ListenerMeter,
    /// Bodies on disk.
    pub spool: Arc<SpoolMeter>,
    /// What is kept.
    pub store: Arc<StoreMeter>,
    /// Pages in which something is said.
    pub pages: Arc<PageMeter>,
    /// What operators are told of requests.
    pub telemetry: Arc<TelemetryMeter>,
    /// What is read again while serving.
    pub reloads: [ReloadMeter; Reloaded::WORDS.len()],
    /// Whether no more is taken than what is under way, or soon will not be.
    pub draining: Flag,
    limits: [Counter; LIMITS.len()],
    /// Limits whose name is not listed.
    other_limits: Counter,
    /// When the process began, in seconds since 1970.
    pub(in crate::metrics) began: i64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            gate: GateMeter::default(),
            forms: Shelf::new(MOST),
            hooks: Shelf::new(MOST),
            backends: Shelf::new(MOST),
            listener: ListenerMeter::default(),
            spool: Arc::default(),
            store: Arc::default(),
            pages: Arc::default(),
            telemetry: Arc::default(),
            reloads: Default::default(),
            draining: Flag::default(),
            limits: Default::default(),
            other_limits: Counter::default(),
            began: Timestamp::now().as_second(),
        }
    }
}

impl Metrics {
    /// Nothing has been measured yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// What is counted for reading one thing again.
    #[must_use]
    pub const fn reload(&self, what: Reloaded) -> &ReloadMeter {
        &self.reloads[what as usize]
    }

    /// Counts that somebody came up against a limit.
    pub fn hit(&self, limit: &str) {
        let at = LIMITS.iter().position(|known| *known == limit);
        at.map_or(&self.other_limits, |at| &self.limits[at]).inc();
    }

    /// Every limit, and how often somebody came up against it.
    pub(in crate::metrics) fn hits(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = LIMITS.iter().zip(&self.limits);
        let all = all.map(|(name, count)| (*name, count.get()));
        let other = self.other_limits.get();
        all.chain((other > 0).then_some(("other", other)))
    }
}
