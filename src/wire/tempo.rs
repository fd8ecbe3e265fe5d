//! How fast a person's body must come. Owns the two measures – the longest pause, and the least that must come in the
//! time of one – and the arithmetic; whoever reads the body keeps the clock.

use std::time::Duration;

use tokio::time::Instant;

/// How fast a body must come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tempo {
    /// The longest pause between two pieces.
    pub pause: Duration,
    /// How many bytes must come in a second that is spent waiting, measured over the longest pause; 0 for any.
    pub rate: u64,
}

/// What a body was too slow for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Late {
    /// Nothing came for too long.
    #[error("nothing came in time")]
    Pause,
    /// Something came, but too little.
    #[error("too little came in time")]
    Rate,
}

/// Measures one body. Only time spent waiting for the peer counts: a body that nobody takes is not slow.
#[derive(Debug, Clone, Copy)]
pub struct Meter {
    tempo: Tempo,
    /// How many bytes are still wanted.
    wanted: u64,
    /// How long they have been waited for, before the present wait.
    waited: Duration,
}

impl Late {
    /// The limit's name.
    #[must_use]
    pub const fn limit(self) -> &'static str {
        match self {
            Self::Pause => "limits.body_pause",
            Self::Rate => "limits.body_rate",
        }
    }
}

impl Tempo {
    /// What must come within the time of one pause.
    fn least(self) -> u64 {
        let millis = u64::try_from(self.pause.as_millis()).unwrap_or(u64::MAX);
        self.rate.saturating_mul(millis) / 1000
    }
}

impl Meter {
    /// A body of which nothing has come.
    #[must_use]
    pub fn new(tempo: Tempo) -> Self {
        Self {
            tempo,
            wanted: tempo.least(),
            waited: Duration::ZERO,
        }
    }

    /// The body is at its end; the next one begins.
    pub fn begin(&mut self) {
        *self = Self::new(self.tempo);
    }

    /// Bytes came, after so long a wait.
    pub fn came(&mut self, bytes: usize, waited: Duration) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        match self.wanted.checked_sub(bytes).filter(|rest| *rest > 0) {
            Some(rest) => {
                self.wanted = rest;
                self.waited += waited;
            }
            // Enough: the same time once more for the next of them.
            None => self.begin(),
        }
    }

    /// Until when more must come where a wait began at `since`, and what the body is too slow for then. One that has
    /// come well so far may pause; one that has used up half of the time by dripping gets the rest of it.
    #[must_use]
    pub fn deadline(&self, since: Instant) -> (Instant, Late) {
        let pause = self.tempo.pause;
        if self.waited <= pause / 2 {
            (since + pause, Late::Pause)
        } else {
            (since + pause.saturating_sub(self.waited), Late::Rate)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How long the wait may be that begins now, and what passes then.
    fn left(meter: &Meter) -> (Duration, Late) {
        let now = Instant::now();
        let (deadline, late) = meter.deadline(now);
        (deadline - now, late)
    }

    #[test]
    fn a_drip_uses_up_the_time_and_enough_gives_it_back() {
        let tempo = Tempo {
            pause: 30 * SECOND,
            rate: 100,
        };
        let mut meter = Meter::new(tempo);
        assert_eq!(left(&meter), (30 * SECOND, Late::Pause));
        for second in 1..30 {
            meter.came(1, SECOND);
            let expected = if second <= 15 {
                (30 * SECOND, Late::Pause)
            } else {
                ((30 - second) * SECOND, Late::Rate)
            };
            assert_eq!(left(&meter), expected, "{second}");
        }
        // All that is wanted comes in the last moment.
        meter.came(2971, SECOND / 2);
        assert_eq!(left(&meter), (30 * SECOND, Late::Pause));
        // What is there without waiting for it costs no time.
        meter.came(10, Duration::ZERO);
        assert_eq!(left(&meter), (30 * SECOND, Late::Pause));
        // A bad network: long silences, and then a little.
        for _ in 0..100 {
            meter.came(1400, 10 * SECOND);
            meter.came(1400, 10 * SECOND);
            meter.came(1400, 9 * SECOND);
            assert_eq!(left(&meter), (30 * SECOND, Late::Pause));
        }
    }

    #[test]
    fn without_a_rate_only_pauses_count() {
        let tempo = Tempo {
            pause: 30 * SECOND,
            rate: 0,
        };
        let mut meter = Meter::new(tempo);
        for _ in 0..100 {
            meter.came(1, 29 * SECOND);
            assert_eq!(left(&meter), (30 * SECOND, Late::Pause));
        }
    }
}
