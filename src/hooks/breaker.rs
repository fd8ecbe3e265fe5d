//! The breaker of one hook: after some failures in a row the hook is left alone, and one call is tried from time to
//! time. Owns the state; the clock is passed in, and what happens instead of a call is left to `flow`.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use tokio::time::Instant;

use crate::metrics::instrument::Flag;
use crate::rules::hook::Breaker as Settings;

/// The state of one hook.
#[derive(Debug)]
pub struct Breaker {
    settings: Settings,
    /// Shared with the same hook of books before and after: calls that began before a reload count.
    state: Arc<Mutex<State>>,
    /// Whether it is left alone, for whoever only looks.
    left_alone: Arc<Flag>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    failures: u32,
    /// Set while the hook is left alone: when the next call may be tried.
    next_try: Option<Instant>,
}

impl Breaker {
    /// Calls go through.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: Arc::default(),
            left_alone: Arc::default(),
        }
    }

    /// The same state under new settings, after a reload; nothing of it where there is to be no breaker any more.
    #[must_use]
    pub fn carried_over(&self, settings: Settings) -> Self {
        if settings.failures == 0 {
            return Self::new(settings);
        }
        Self {
            settings,
            state: Arc::clone(&self.state),
            left_alone: Arc::clone(&self.left_alone),
        }
    }

    /// Whether the hook is left alone, as it is shown.
    #[must_use]
    pub const fn left_alone(&self) -> &Arc<Flag> {
        &self.left_alone
    }

    /// Whether it is certain that no call may be made now.
    pub fn is_open(&self, now: Instant) -> bool {
        self.lock().next_try.is_some_and(|next| now < next)
    }

    /// Whether a call may be made now. While the hook is left alone, one call per `retry_after` may.
    pub fn lets_through(&self, now: Instant) -> bool {
        let mut state = self.lock();
        match state.next_try {
            None => true,
            Some(next) if now < next => false,
            Some(_) => {
                state.next_try = Some(now + self.settings.retry_after);
                true
            }
        }
    }

    /// Notes how a call went; whether the hook is left alone from now on.
    pub fn note(&self, failed: bool, now: Instant) -> bool {
        let mut state = self.lock();
        if !failed {
            *state = State::default();
            self.left_alone.set(false);
            return false;
        }
        state.failures = state.failures.saturating_add(1);
        let limit = self.settings.failures;
        if limit > 0 && state.failures >= limit {
            state.next_try = Some(now + self.settings.retry_after);
        }
        let left_alone = state.next_try.is_some();
        self.left_alone.set(left_alone);
        left_alone
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn the_breaker_opens_probes_and_closes() {
        let settings = Settings {
            failures: 2,
            retry_after: Duration::from_secs(10),
        };
        let breaker = Breaker::new(settings);
        let start = Instant::now();
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        assert!(!breaker.note(true, start));
        assert!(breaker.lets_through(start), "one failure is no reason");
        assert!(breaker.note(true, start), "two are");
        assert!(!breaker.lets_through(after(9)) && breaker.is_open(after(9)));
        assert!(!breaker.is_open(after(10)), "which asks for nothing");
        assert!(breaker.lets_through(after(10)), "one probe");
        assert!(!breaker.lets_through(after(10)), "and only one");
        assert!(breaker.note(true, after(10)));
        assert!(!breaker.lets_through(after(19)));
        let carried = breaker.carried_over(settings);
        assert!(carried.lets_through(after(20)), "a reload keeps the state");
        assert!(!carried.note(false, after(20)));
        assert!(carried.lets_through(after(20)));
        let never = Breaker::new(Settings {
            failures: 0,
            ..settings
        });
        (0..100).for_each(|_| assert!(!never.note(true, start)));
        assert!(never.lets_through(start));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_breaker_nothing_is_left_alone_any_more() {
        let settings = |failures| Settings {
            failures,
            retry_after: Duration::from_secs(10),
        };
        let (breaker, now) = (Breaker::new(settings(1)), Instant::now());
        assert!(breaker.note(true, now) && breaker.left_alone().get());
        let off = breaker.carried_over(settings(0));
        assert!(off.lets_through(now) && !off.left_alone().get());
    }
}
