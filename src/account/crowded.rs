//! Saying that something is lost because too much waits: once when that begins, and once when it is over. How much was
//! lost is counted by whoever loses it.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// Whether a queue has come up against its end.
#[derive(Debug)]
pub(in crate::account) struct Crowded {
    what: &'static str,
    is_so: AtomicBool,
}

impl Crowded {
    /// It has not yet; `what` waits in it.
    pub(in crate::account) const fn new(what: &'static str) -> Self {
        Self {
            what,
            is_so: AtomicBool::new(false),
        }
    }

    /// Something has found no room.
    pub(in crate::account) fn begins(&self) {
        if !self.is_so.swap(true, Ordering::Relaxed) {
            let what = self.what;
            tracing::warn!(target: "formgate::telemetry", "{what} are lost, since too many wait");
        }
    }

    /// Nothing waits any more.
    pub(in crate::account) fn ends(&self) {
        if self.is_so.load(Ordering::Relaxed) && self.is_so.swap(false, Ordering::Relaxed) {
            let what = self.what;
            tracing::info!(target: "formgate::telemetry", "no {what} are lost any more");
        }
    }
}
