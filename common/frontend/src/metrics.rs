//! The front end's counters as Prometheus metrics. Read when they are asked for; nothing is counted twice.

use crate::Front;
use runtime::metrics::Metrics;
use runtime::metrics::prometheus_client::collector::Collector;
use runtime::metrics::prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use runtime::metrics::prometheus_client::metrics::MetricType;
use runtime::metrics::prometheus_client::metrics::counter::ConstCounter;
use runtime::metrics::prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::Arc;

/// Label sets are given where there are labels; this stands for none.
type NoLabels = [(&'static str, &'static str); 0];

impl Front {
    /// Shows this state's counters on the metrics endpoint.
    pub fn register_metrics(self: &Arc<Self>, metrics: &Metrics) {
        let collector = Box::new(FrontCollector(Arc::clone(self)));
        metrics.register(|registry| registry.register_collector(collector));
    }
}

#[derive(Debug)]
struct FrontCollector(Arc<Front>);

impl Collector for FrontCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counters = &self.0.counters;
        for (name, help, value) in [
            ("shoal_requests", "Requests received", counters.requests.get()),
            ("shoal_received_bytes", "Bytes of requests", counters.bytes_in.get()),
            ("shoal_sent_bytes", "Bytes of replies", counters.bytes_out.get()),
            ("shoal_bad_input", "Messages that were no messages", counters.bad_input.get()),
            ("shoal_faults", "Error replies", counters.faults.get()),
            ("shoal_unknown_commands", "Commands of no known name", counters.unknown_commands.get()),
            ("shoal_panics", "Commands that panicked", counters.panics.get()),
            ("shoal_connections_created", "Connections accepted", counters.connections_created.get()),
            (
                "shoal_connections_rejected",
                "Connections above the bound",
                counters.connections_rejected.get(),
            ),
            ("shoal_accept_failures", "Accepts that failed", counters.accept_failures.get()),
        ] {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        for (name, help, value) in [
            ("shoal_connections", "Drivers connected now", self.0.connection_count()),
            ("shoal_operations", "Commands running now", self.0.operations.count()),
        ] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        self.encode_commands(&mut encoder)
    }
}

impl FrontCollector {
    fn encode_commands(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let catalogue = self.0.catalogue();
        let used = || catalogue.iter().filter(|listed| listed.counters.total.get() > 0);
        let help = "Commands that answered with an error";
        let mut failed =
            encoder.encode_descriptor("shoal_command_failures", help, None, MetricType::Counter)?;
        for listed in used() {
            let labels = [("command", listed.name)];
            failed
                .encode_family(&labels)?
                .encode_counter::<NoLabels, _, u64>(&listed.counters.failed.get(), None)?;
        }
        let help = "Time from a request's arrival to its answer";
        let mut seconds =
            encoder.encode_descriptor("shoal_command_seconds", help, None, MetricType::Histogram)?;
        for listed in used() {
            let labels = [("command", listed.name)];
            let latency = &listed.counters.latency;
            let mut buckets: Vec<(f64, u64)> =
                latency.buckets().map(|(micros, count)| (micros as f64 / 1e6, count)).collect();
            // The last bucket has no upper bound.
            if let Some(last) = buckets.last_mut() {
                last.0 = f64::MAX;
            }
            let sum = latency.sum_micros() as f64 / 1e6;
            seconds.encode_family(&labels)?.encode_histogram::<NoLabels>(
                sum,
                latency.count(),
                &buckets,
                None,
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FrontOptions;

    #[test]
    fn counters_are_shown() {
        let front = Front::new(FrontOptions::default());
        let metrics = Metrics::default();
        front.register_metrics(&metrics);
        front.counters.requests.add(3);
        let text = metrics.encode();
        assert!(text.contains("shoal_requests_total 3\n"), "{text}");
        assert!(text.contains("shoal_connections 0\n"), "{text}");
    }
}
