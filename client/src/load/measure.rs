//! Latencies and errors by operation, measured per thread and added up.

use super::workload::Operation;
use crate::failure::Failure;
use crate::progress::{grouped, rate};
use comfy_table::{CellAlignment, Table};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// Latencies are kept in nanoseconds with three digits.
const LATENCY_MIN: u64 = 1_000;
const LATENCY_MAX: u64 = 600_000_000_000;

/// What one thread, or all of them, saw.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    latencies: BTreeMap<Operation, Histogram<u64>>,
    errors: BTreeMap<(Operation, String), u64>,
    /// Reads that found nothing.
    pub(crate) not_found: u64,
    /// Why a thread ended before its work was done.
    pub(crate) stop_reason: Option<String>,
}

impl Measured {
    /// A measurement of these operations. The histograms are made here, not while the clock runs.
    pub(crate) fn of(operations: impl IntoIterator<Item = Operation>) -> Result<Measured, Failure> {
        let mut measured = Measured::default();
        for operation in operations {
            let histogram = Histogram::new_with_bounds(LATENCY_MIN, LATENCY_MAX, 3)
                .map_err(|error| Failure::new(format!("cannot measure latencies: {error}")))?;
            measured.latencies.insert(operation, histogram);
        }
        Ok(measured)
    }

    /// An operation that succeeded.
    pub(crate) fn record(&mut self, operation: Operation, latency: Duration) {
        if let Some(histogram) = self.latencies.get_mut(&operation) {
            histogram.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// An operation that failed.
    pub(crate) fn fail(&mut self, operation: Operation, cause: String) {
        *self.errors.entry((operation, cause)).or_insert(0) += 1;
    }

    /// Adds what another thread saw.
    pub(crate) fn add(&mut self, part: Measured) -> Result<(), Failure> {
        for (operation, histogram) in part.latencies {
            match self.latencies.get_mut(&operation) {
                Some(sum) => sum
                    .add(&histogram)
                    .map_err(|error| Failure::new(format!("cannot add up latencies: {error}")))?,
                None => drop(self.latencies.insert(operation, histogram)),
            }
        }
        for (key, count) in part.errors {
            *self.errors.entry(key).or_insert(0) += count;
        }
        self.not_found += part.not_found;
        if self.stop_reason.is_none() {
            self.stop_reason = part.stop_reason;
        }
        Ok(())
    }

    /// Operations that succeeded. A read-modify-write counts once, not also as its read and its update.
    pub(crate) fn succeeded(&self) -> u64 {
        let count = |operation| self.latencies.get(&operation).map_or(0, Histogram::len);
        let all: u64 = Operation::ALL.into_iter().map(count).sum();
        // Its two halves are recorded as READ and UPDATE besides.
        all - 2 * count(Operation::ReadModifyWrite).min(count(Operation::Update))
    }

    /// Operations that failed.
    pub(crate) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Latencies of one operation.
    pub(crate) fn latency(&self, operation: Operation) -> Option<&Histogram<u64>> {
        self.latencies.get(&operation)
    }

    /// `{READ: {count, mean, p50, p95, p99, max}}`, in microseconds.
    pub(crate) fn latencies_json(&self) -> serde_json::Value {
        let operations = self.latencies.iter().filter(|(_, histogram)| !histogram.is_empty());
        operations
            .map(|(operation, histogram)| (operation.name().to_owned(), latency_json(histogram)))
            .collect()
    }

    /// `{READ: {code: count}}`.
    pub(crate) fn errors_json(&self) -> serde_json::Value {
        let mut errors: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
        for ((operation, cause), count) in &self.errors {
            errors.entry(operation.name()).or_default().insert(cause, *count);
        }
        serde_json::json!(errors)
    }

    /// The table for people, and the errors below it.
    pub(crate) fn print(&self, seconds: f64) {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::UTF8_FULL_CONDENSED);
        table.set_header(["operation", "count", "ops/s", "p50 ms", "p95 ms", "p99 ms", "max ms"]);
        for (operation, histogram) in self.latencies.iter().filter(|(_, histogram)| !histogram.is_empty()) {
            let mut row = vec![
                operation.name().to_owned(),
                grouped(histogram.len()),
                grouped(rate(histogram.len(), seconds)),
            ];
            row.extend([0.5, 0.95, 0.99].map(|quantile| millis(histogram.value_at_quantile(quantile))));
            row.push(millis(histogram.max()));
            table.add_row(row);
        }
        for index in 1..7 {
            if let Some(column) = table.column_mut(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        say!("{}", table.trim_fmt());
        for ((operation, cause), count) in &self.errors {
            say!("{} {} failed: {cause}", grouped(*count), operation.name());
        }
        if self.not_found > 0 {
            say!("{} reads found nothing", grouped(self.not_found));
        }
    }
}

/// One histogram, in microseconds.
pub(crate) fn latency_json(histogram: &Histogram<u64>) -> serde_json::Value {
    let micros = |nanos: u64| nanos as f64 / 1_000.0;
    serde_json::json!({
        "count": histogram.len(),
        "mean": histogram.mean() / 1_000.0,
        "p50": micros(histogram.value_at_quantile(0.5)),
        "p95": micros(histogram.value_at_quantile(0.95)),
        "p99": micros(histogram.value_at_quantile(0.99)),
        "max": micros(histogram.max()),
    })
}

fn millis(nanos: u64) -> String {
    format!("{:.3}", nanos as f64 / 1_000_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measurements_add_up() {
        let mut total = Measured::default();
        for thread in 1..=2_u64 {
            let mut part = Measured::of([Operation::Read, Operation::Update]).unwrap();
            for micros in 1..=100 {
                part.record(Operation::Read, Duration::from_micros(micros * thread));
            }
            part.fail(Operation::Update, "NotWritablePrimary".to_owned());
            total.add(part).unwrap();
        }
        assert_eq!((total.succeeded(), total.failed()), (200, 2));
        let json = total.latencies_json();
        let p50 = json["READ"]["p50"].as_f64().unwrap();
        assert!((64.0..70.0).contains(&p50), "{json}");
        assert!(json.get("UPDATE").is_none());
        assert_eq!(total.errors_json(), serde_json::json!({ "UPDATE": { "NotWritablePrimary": 2 } }));
    }

    #[test]
    fn read_modify_writes_count_once() {
        let mut measured =
            Measured::of([Operation::Read, Operation::Update, Operation::ReadModifyWrite]).unwrap();
        for operation in [Operation::Read, Operation::Read, Operation::Update, Operation::ReadModifyWrite] {
            measured.record(operation, Duration::from_micros(5));
        }
        assert_eq!(measured.succeeded(), 2);
    }
}
