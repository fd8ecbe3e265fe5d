//! What each part counts with: one meter for a form, a hook, a backend, the listener, the spool, pages. Owns what they
//! hold; what they are called when they are given out is [`crate::metrics::exposition`]'s.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use jiff::Timestamp;

use crate::metrics::instrument::Counter;
use crate::metrics::instrument::Flag;
use crate::metrics::instrument::Gauge;
use crate::metrics::instrument::Shares;
use crate::metrics::instrument::Times;
use crate::metrics::word::Broke;
use crate::metrics::word::Called;
use crate::metrics::word::Ended;
use crate::metrics::word::Flash;
use crate::metrics::word::Page;
use crate::metrics::word::Skipped;
use crate::model::job::Job;

/// One form, or everything that is nobody's.
#[derive(Debug, Default)]
pub struct FormMeter {
    /// Requests, by how they ended.
    pub requests: [Counter; Ended::WORDS.len()],
    /// Submissions that arrived whole, by how they ended.
    pub submissions: [Counter; Ended::WORDS.len()],
    /// Submissions that have arrived whole and have not ended.
    pub under_way: Gauge,
    /// How much of an event's budget was left after its hooks.
    pub budget_left: Shares,
}

/// A submission that has arrived whole. It is counted when it is dropped, whatever became of it.
#[derive(Debug)]
pub struct Submitted {
    meter: Arc<FormMeter>,
    ended: Option<Ended>,
}

impl Submitted {
    /// Counts it among those under way.
    #[must_use]
    pub fn new(meter: Arc<FormMeter>) -> Self {
        meter.under_way.add(1);
        Self { meter, ended: None }
    }

    /// Says how it ended.
    pub fn end(mut self, ended: Ended) {
        self.ended = Some(ended);
    }
}

impl Drop for Submitted {
    fn drop(&mut self) {
        self.meter.under_way.add(-1);
        let ended = self.ended.unwrap_or_else(Ended::unsaid);
        self.meter.submissions[ended as usize].inc();
    }
}

/// A request under way. It is counted when it is dropped: exactly once, whatever became of it.
#[derive(Debug)]
pub struct Asked<'m> {
    gate: &'m GateMeter,
    form: Option<Arc<FormMeter>>,
    /// How it ends if the backend's answer goes back.
    means: Ended,
    ended: Option<Ended>,
}

impl<'m> Asked<'m> {
    /// One more; as long as nothing else is said, it is nobody's and passes through.
    #[must_use]
    pub fn new(gate: &'m GateMeter) -> Self {
        gate.under_way.add(1);
        Self {
            gate,
            form: None,
            means: Ended::Passed,
            ended: None,
        }
    }

    /// Says whose it is, and how it ends if the backend's answer goes back.
    pub fn is_of(&mut self, form: Option<Arc<FormMeter>>, means: Ended) {
        self.form = form;
        self.means = means;
    }

    /// Says how it ends if the backend's answer goes back.
    pub const fn means(&mut self, means: Ended) {
        self.means = means;
    }

    /// Says how it ended; `None` with the backend's answer. Gives the word for others who are told.
    pub fn end(mut self, ended: Option<Ended>) -> Ended {
        let ended = ended.unwrap_or(self.means);
        self.ended = Some(ended);
        ended
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.gate.under_way.add(-1);
        let form = self.form.as_deref().unwrap_or(&self.gate.nobody);
        let ended = self.ended.unwrap_or_else(Ended::unsaid);
        form.requests[ended as usize].inc();
    }
}

/// All requests.
#[derive(Debug, Default)]
pub struct GateMeter {
    /// Requests that are nobody's form.
    pub nobody: FormMeter,
    /// Requests whose answer has not begun.
    pub under_way: Gauge,
    /// Requests that panicked.
    pub panics: Counter,
}

/// One hook.
#[derive(Debug, Default)]
pub struct HookMeter {
    /// How long calls took in all, attempts and waiting included, by what came of them.
    pub seconds: [Times; Called::WORDS.len()],
    /// Calls that were not made, by the reason.
    pub skipped: [Counter; Skipped::WORDS.len()],
    /// Calls that needed a second attempt.
    pub retries: Counter,
    /// Events that went on although the hook could not be relied on.
    pub let_through: Counter,
    /// Calls under way.
    pub under_way: Gauge,
    /// Calls that wait for their turn.
    pub waiting: Gauge,
    /// Whether it is left alone.
    pub left_alone: LeftAlone,
}

/// Whether a hook is left alone, as its present breaker has it. Calls that are still under way for a breaker of before
/// do not touch it.
#[derive(Debug, Default)]
pub struct LeftAlone(Mutex<Arc<Flag>>);

impl LeftAlone {
    /// Whose flag counts from now on.
    pub fn follow(&self, breaker: &Arc<Flag>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(breaker);
    }

    /// How it is.
    #[must_use]
    pub fn get(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get()
    }
}

impl HookMeter {
    /// Counts what a job says.
    pub fn note(&self, job: &Job) {
        match Called::of(job.would.unwrap_or(job.outcome)) {
            Some(called) => self.seconds[called as usize].observe(job.timings.total),
            None => {
                let place = job
                    .faults
                    .first()
                    .map_or("", |finding| finding.place.as_str());
                self.skipped[Skipped::of(place) as usize].inc();
            }
        }
        if job.run > 1 {
            self.retries.inc();
        }
        if job.let_through {
            self.let_through.inc();
        }
    }
}

/// One backend.
#[derive(Debug, Default)]
pub struct BackendMeter {
    /// How long it took to begin an answer.
    pub seconds: Times,
    /// Answers, by the first digit of their status, from 1.
    pub answers: [Counter; 5],
    /// Requests without a whole answer, by the reason.
    pub failures: [Counter; Broke::WORDS.len()],
}

/// Connections of people.
#[derive(Debug, Default)]
pub struct ListenerMeter {
    /// Connections that were accepted.
    pub accepted: Counter,
    /// Connections that are open.
    pub open: Gauge,
    /// TLS handshakes that came to nothing.
    pub handshakes: Counter,
    /// Whether new ones have to wait for a place among `limits.connections`.
    pub full: Flag,
}

/// Bodies on disk.
#[derive(Debug, Default)]
pub struct SpoolMeter {
    /// Temporary files there are.
    pub files: Gauge,
    /// Bytes in them.
    pub bytes: Gauge,
    /// Bytes that were written.
    pub written: Counter,
    /// Times that writing or reading failed.
    pub failures: Counter,
}

/// What is kept, where there is a store.
#[derive(Debug, Default)]
pub struct StoreMeter {
    /// Jobs and timelines that were written.
    pub written: Counter,
    /// Jobs and timelines that had no place in the queue, or could not be written.
    pub lost: Counter,
    /// Jobs whose bodies were left out because too much waited.
    pub bodies_dropped: Counter,
    /// Bytes of bodies that wait.
    pub waiting_bytes: Gauge,
    /// Rows of all commits.
    pub rows: Counter,
    /// How long commits took, those that failed included.
    pub seconds: Times,
    /// Commits that failed.
    pub failures: Counter,
}

/// What operators are told of requests.
#[derive(Debug, Default)]
pub struct TelemetryMeter {
    /// Lines of the access log that were lost.
    pub lines_lost: Counter,
    /// Spans that were lost, or that the collector did not want.
    pub spans_lost: Counter,
}

/// Pages in which something is to be said, and messages on their way to one.
#[derive(Debug, Default)]
pub struct PageMeter {
    /// Pages, by what became of them.
    pub pages: [Counter; Page::WORDS.len()],
    /// Cookies, by what happened to them.
    pub flash: [Counter; Flash::WORDS.len()],
}

impl PageMeter {
    /// Counts a page.
    pub fn note(&self, page: Page) {
        self.pages[page as usize].inc();
    }
}

/// Reading one thing again while serving.
#[derive(Debug, Default)]
pub struct ReloadMeter {
    /// Times that it was put in force.
    pub good: Counter,
    /// Times that it stayed as it was because what was there is no good.
    pub bad: Counter,
    /// When it was last put in force, in seconds since 1970.
    pub last_good: Gauge,
    /// When it was last read, whatever came of it.
    pub last: Gauge,
    /// Whether what was last read is no good.
    pub is_bad: Flag,
}

impl ReloadMeter {
    /// Notes that it was read at start.
    pub fn begin(&self) {
        let now = Timestamp::now().as_second();
        self.last.set(now);
        self.last_good.set(now);
    }

    /// Notes one.
    pub fn note(&self, is_good: bool) {
        let now = Timestamp::now().as_second();
        self.last.set(now);
        self.is_bad.set(!is_good);
        if is_good {
            self.good.inc();
            self.last_good.set(now);
        } else {
            self.bad.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_panics_is_counted_once_and_as_that() {
        let (gate, form) = (GateMeter::default(), Arc::<FormMeter>::default());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut asked = Asked::new(&gate);
            asked.is_of(Some(Arc::clone(&form)), Ended::Accepted);
            let _submitted = Submitted::new(Arc::clone(&form));
            std::panic::resume_unwind(Box::new("on purpose"));
        }));
        assert!(panicked.is_err());
        for counted in [&form.requests, &form.submissions] {
            assert_eq!(counted[Ended::Panicked as usize].get(), 1);
            assert_eq!(counted.iter().map(Counter::get).sum::<u64>(), 1);
        }
        assert_eq!((gate.under_way.get(), form.under_way.get()), (0, 0));
    }
}
