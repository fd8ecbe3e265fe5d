//! Counters, gauges, histograms. Owns how they count: with relaxed atomics, without locks or allocation.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many by now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that rises and falls.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Counts one until what is given is dropped.
    #[must_use]
    pub fn hold(&self) -> Held<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Held(self)
    }

    /// So much more; less if it is negative.
    pub fn add(&self, more: i64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Replaces the number.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One that is counted, until it is dropped.
#[derive(Debug)]
pub struct Held<'g>(&'g Gauge);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}

/// Something that is so or not.
#[derive(Debug, Default)]
pub struct Flag(AtomicBool);

impl Flag {
    /// Says whether it is so.
    pub fn set(&self, is_so: bool) {
        self.0.store(is_so, Ordering::Relaxed);
    }

    /// Whether it is so.
    #[must_use]
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The upper bounds of times, in nanoseconds: from half a millisecond to the longest that a hook can have.
pub const TIMES: [u64; 15] = [
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
];

/// How long things took.
#[derive(Debug, Default)]
pub struct Times {
    /// By the first bound that is not less; the last one for what is over all of them.
    counts: [AtomicU64; TIMES.len() + 1],
    nanos: AtomicU64,
}

impl Times {
    /// One that took so long.
    pub fn observe(&self, took: Duration) {
        // Five hundred years fit.
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let at = TIMES.partition_point(|bound| *bound < nanos);
        self.counts[at].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// How many there were up to each bound and over the one before it, and how long all of them took.
    #[must_use]
    pub fn read(&self) -> Reading {
        let seconds = |nanos: u64| Duration::from_nanos(nanos).as_secs_f64();
        let bounds = TIMES.iter().map(|bound| seconds(*bound));
        Reading::of(
            bounds,
            &self.counts,
            seconds(self.nanos.load(Ordering::Relaxed)),
        )
    }
}

/// The upper bounds of shares, in thousandths.
pub const SHARES: [u64; 7] = [0, 100, 250, 500, 750, 900, 1000];

/// What share of something was left.
#[derive(Debug, Default)]
pub struct Shares {
    counts: [AtomicU64; SHARES.len() + 1],
    thousandths: AtomicU64,
}

impl Shares {
    /// One of which so much of `whole` was left.
    pub fn observe(&self, left: Duration, whole: Duration) {
        let whole = whole.as_micros().max(1);
        let share = u64::try_from(left.as_micros() * 1000 / whole)
            .unwrap_or(1000)
            .min(1000);
        let at = SHARES.partition_point(|bound| *bound < share);
        self.counts[at].fetch_add(1, Ordering::Relaxed);
        self.thousandths.fetch_add(share, Ordering::Relaxed);
    }

    /// As for [`Times::read`].
    #[must_use]
    pub fn read(&self) -> Reading {
        let share = |thousandths: u64| Duration::from_millis(thousandths).as_secs_f64();
        let bounds = SHARES.iter().map(|bound| share(*bound));
        Reading::of(
            bounds,
            &self.counts,
            share(self.thousandths.load(Ordering::Relaxed)),
        )
    }
}

/// What a histogram holds at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Upper bounds and how many are in each bucket alone; the last bound is infinite.
    pub buckets: Vec<(f64, u64)>,
    /// All values together.
    pub sum: f64,
    /// How many there are.
    pub count: u64,
}

impl Reading {
    fn of(bounds: impl Iterator<Item = f64>, counts: &[AtomicU64], sum: f64) -> Self {
        let bounds = bounds.chain([f64::INFINITY]);
        let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        Self {
            buckets,
            sum,
            count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_put_below_the_first_bound_that_is_not_less() {
        let times = Times::default();
        for micros in [0, 500, 501, 30_000_000, 31_000_000] {
            times.observe(Duration::from_micros(micros));
        }
        let read = times.read();
        assert_eq!(read.buckets[0], (0.0005, 2), "500 µs are within 0.5 ms");
        assert_eq!(read.buckets[1], (0.001, 1));
        assert_eq!(read.buckets[14], (30.0, 1));
        assert_eq!(read.buckets[15], (f64::INFINITY, 1));
        assert_eq!(read.count, 5);
        assert!((read.sum - 61.001_001).abs() < 1e-6, "{}", read.sum);
    }

    #[test]
    fn shares_are_of_the_whole() {
        let shares = Shares::default();
        let second = Duration::from_secs(1);
        for left in [Duration::ZERO, second / 2, second, 2 * second] {
            shares.observe(left, second);
        }
        let read = shares.read();
        let counts: Vec<u64> = read.buckets.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [1, 0, 0, 1, 0, 0, 2, 0]);
        assert!((read.sum - 2.5).abs() < 1e-9, "{}", read.sum);
        shares.observe(second, Duration::ZERO);
        assert_eq!(
            shares.read().count,
            5,
            "no time at all is no reason to panic"
        );
    }

    #[test]
    fn what_is_held_counts_until_it_is_dropped() {
        let gauge = Gauge::default();
        let (one, two) = (gauge.hold(), gauge.hold());
        assert_eq!(gauge.get(), 2);
        drop(one);
        assert_eq!(gauge.get(), 1);
        drop(two);
        assert_eq!(gauge.get(), 0);
    }
}
