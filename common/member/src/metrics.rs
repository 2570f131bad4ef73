//! The figures of store and replication as Prometheus metrics, read when they are asked for.

use repl::Replication;
use runtime::metrics::Metrics;
use runtime::metrics::prometheus_client::collector::Collector;
use runtime::metrics::prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use runtime::metrics::prometheus_client::metrics::MetricType;
use runtime::metrics::prometheus_client::metrics::counter::ConstCounter;
use runtime::metrics::prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::Arc;
use storage::Store;

/// Shows the store's figures on the metrics endpoint.
pub(crate) fn register(store: &Store, replication: &Arc<Replication>, metrics: &Metrics) {
    let collector = Box::new(StoreCollector(store.clone()));
    let replication = Box::new(ReplicationCollector(replication.clone()));
    metrics.register(|registry| {
        registry.register_collector(collector);
        registry.register_collector(replication);
    });
}

struct ReplicationCollector(Arc<Replication>);

impl fmt::Debug for ReplicationCollector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ReplicationCollector")
    }
}

impl Collector for ReplicationCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, value) in self.0.counters() {
            let name = format!("shoal_repl_{name}");
            let encoder = encoder.encode_descriptor(&name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(encoder)?;
        }
        let view = self.0.view();
        for (name, help, value) in [
            ("shoal_repl_state", "State of this member, as replSetGetStatus numbers it", view.state as i64),
            ("shoal_repl_term", "Highest term heard of", view.term),
        ] {
            let encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(encoder)?;
        }
        Ok(())
    }
}

struct StoreCollector(Store);

impl fmt::Debug for StoreCollector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("StoreCollector")
    }
}

impl Collector for StoreCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = self.0.metrics();
        for (name, help, value) in [
            ("shoal_storage_syncs", "Syncs of the log", stats.syncs),
            ("shoal_storage_sync_waits", "Writers that waited for a sync", stats.sync_waits),
            ("shoal_storage_log_bytes_written", "Bytes appended to the log", stats.log_written_bytes),
            ("shoal_storage_checkpoints", "Checkpoints taken", stats.checkpoints),
            ("shoal_storage_throttled", "Writers slowed because memory was short", stats.throttled),
        ] {
            let encoder = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(encoder)?;
        }
        for (name, help, value) in [
            ("shoal_storage_versions_bytes", "Recent versions in memory", stats.versions_bytes as u64),
            ("shoal_storage_base_bytes", "Size of the base on disk", stats.base_bytes),
            ("shoal_storage_oplog_bytes", "Size of the log on disk", stats.oplog_bytes),
            ("shoal_storage_snapshots_pinned", "Snapshots that are held", stats.pinned_snapshots as u64),
        ] {
            let encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(encoder)?;
        }
        Ok(())
    }
}
