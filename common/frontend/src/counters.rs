//! Counters that the front end keeps: messages, operations, refusals, and latency by command. All relaxed atomics: they are
//! read for people, and order nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets of a latency histogram: the last one holds everything from about 67 seconds.
const BUCKET_COUNT: usize = 28;

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Latencies in buckets by powers of two of a microsecond.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKET_COUNT],
    sum_micros: Counter,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { buckets: [const { AtomicU64::new(0) }; BUCKET_COUNT], sum_micros: Counter::default() }
    }
}

impl Histogram {
    /// Adds one latency.
    pub fn record(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let bucket = (u64::BITS - micros.leading_zeros()) as usize;
        if let Some(bucket) = self.buckets.get(bucket.min(BUCKET_COUNT - 1)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_micros.add(micros);
    }

    /// The sum of all latencies.
    pub fn sum_micros(&self) -> u64 {
        self.sum_micros.get()
    }

    /// The latencies counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// `(upper bound in microseconds, count)` of each bucket; the last one has no bound in truth.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        self.buckets
            .iter()
            .enumerate()
            .map(|(power, bucket)| (1_u64 << power, bucket.load(Ordering::Relaxed)))
    }

    /// The upper bound of the bucket that holds the quantile `q` (0 to 1).
    pub fn quantile_micros(&self, q: f64) -> u64 {
        let rank = ((self.count() as f64 * q).ceil() as u64).max(1);
        let mut seen = 0;
        for (bound, count) in self.buckets() {
            seen += count;
            if seen >= rank {
                return bound;
            }
        }
        0
    }
}

/// What is counted of one command.
#[derive(Debug, Default)]
pub struct CommandCounters {
    pub total: Counter,
    pub failed: Counter,
    pub latency: Histogram,
}

/// What is counted of a whole process.
#[derive(Debug, Default)]
pub struct Counters {
    pub bytes_in: Counter,
    pub bytes_out: Counter,
    pub requests: Counter,
    /// Messages that were no messages: bad frames, bad sections, bad BSON, bad compression.
    pub bad_input: Counter,
    /// Error replies, for whatever reason.
    pub faults: Counter,
    /// Commands of no known name.
    pub unknown_commands: Counter,
    /// Commands whose handler panicked.
    pub panics: Counter,
    pub connections_created: Counter,
    /// Connections closed at once because there were too many.
    pub connections_rejected: Counter,
    /// Accepts that failed for want of descriptors or memory.
    pub accept_failures: Counter,
    pub op_insert: Counter,
    pub op_query: Counter,
    pub op_update: Counter,
    pub op_delete: Counter,
    pub op_getmore: Counter,
    pub op_command: Counter,
}

impl Counters {
    /// Counts a command under the name that `opcounters` has for it.
    pub(crate) fn count_operation(&self, name: &str, statements: u64) {
        match name {
            "insert" => self.op_insert.add(statements),
            "update" => self.op_update.add(statements),
            "delete" => self.op_delete.add(statements),
            "find" => self.op_query.increment(),
            "getMore" => self.op_getmore.increment(),
            _ => self.op_command.increment(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_fall_into_their_buckets() {
        let histogram = Histogram::default();
        for micros in [0, 1, 3, 100, 100_000_000_000] {
            histogram.record(Duration::from_micros(micros));
        }
        assert_eq!(histogram.count(), 5);
        assert_eq!(histogram.quantile_micros(0.5), 4);
        let filled = histogram.buckets().filter(|(_, count)| *count > 0);
        assert_eq!(filled.map(|(bound, _)| bound).collect::<Vec<_>>(), [1, 2, 4, 128, 1 << 27]);
        assert_eq!(Histogram::default().quantile_micros(0.5), 0);
    }
}
