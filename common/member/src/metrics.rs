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
            (
                "shoal_storage_checkpoints_urgent",
                "Checkpoints begun because memory filled",
                stats.checkpoints_urgent,
            ),
            ("shoal_storage_throttled", "Writers slowed because memory was short", stats.throttled),
            (
                "shoal_storage_throttled_micros",
                "Microseconds that writers were held back altogether",
                stats.throttled_micros,
            ),
            (
                "shoal_storage_spilled_bytes",
                "Bytes of versions that memory had no room for",
                stats.spilled_total_bytes,
            ),
            (
                "shoal_storage_snapshots_expired",
                "Snapshots let go because memory ran out",
                stats.snapshots_expired,
            ),
            (
                "shoal_storage_write_conflicts",
                "Commits refused because of a newer version",
                stats.write_conflicts,
            ),
        ] {
            let encoder = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(encoder)?;
        }
        for (name, help, value) in [
            ("shoal_storage_versions_bytes", "Recent versions in memory", stats.versions_bytes as u64),
            ("shoal_storage_base_bytes", "Size of the base on disk", stats.base_bytes),
            ("shoal_storage_oplog_bytes", "Size of the log on disk", stats.oplog_bytes),
            ("shoal_storage_snapshots_pinned", "Snapshots that are held", stats.pinned_snapshots as u64),
            ("shoal_storage_spill_bytes", "Versions in the spill space now", stats.spilled_bytes),
            ("shoal_storage_spill_versions", "Number of versions in the spill space", stats.spilled_versions),
            (
                "shoal_storage_floor_seconds",
                "Oldest time that can be read, in seconds since 1970",
                u64::from(stats.floor.seconds()),
            ),
            (
                "shoal_storage_oldest_pinned_seconds",
                "Oldest time that somebody reads, in seconds since 1970, or 0",
                stats.oldest_pinned.map_or(0, |oldest| u64::from(oldest.seconds())),
            ),
            (
                "shoal_storage_durable_seconds",
                "Time up to which the log is synced, in seconds since 1970",
                u64::from(stats.durable.seconds()),
            ),
        ] {
            let encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(encoder)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;
    use std::time::{Duration, Instant};
    use storage::{Clock, CommitMeta, EngineKind, Options};
    use types::{Namespace, Timestamp};

    struct Wall;

    impl Clock for Wall {
        fn wall_millis(&self) -> i64 {
            1_700_000_000_000
        }
    }

    fn figure(metrics: &Metrics, name: &str) -> i64 {
        let text = metrics.encode();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in\n{text}")).parse().unwrap()
    }

    /// Of a store that memory is too small for, while no majority has anything.
    #[test]
    fn what_memory_cannot_hold_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Options {
            engine: EngineKind::Memory,
            versions_bytes_max: 1 << 20,
            history_window: Duration::ZERO,
            snapshot_age_max: Duration::ZERO,
            majority_point: Some(Arc::new(|| Timestamp::ZERO)),
            ..Options::new(dir.path(), Arc::new(Wall))
        })
        .unwrap();
        let metrics = Metrics::default();
        metrics.register(|registry| registry.register_collector(Box::new(StoreCollector(store.clone()))));
        let ns = Namespace::parse("d.c").unwrap();
        store.create_collection(&ns, None, &rawdoc! {}).unwrap();
        let collection = store.catalog().get(&ns).unwrap().clone();
        let insert = |id: i32, snapshot| {
            let mut batch = store.batch(snapshot);
            batch.insert(&collection, &rawdoc! { "_id": id, "pad": "p".repeat(50_000) })?;
            batch.commit(CommitMeta::default())
        };
        let held = store.snapshot();
        insert(1000, store.snapshot()).unwrap();
        assert!(matches!(insert(1000, held.clone()), Err(storage::Error::WriteConflict)));
        for id in 0..100 {
            let start = Instant::now();
            while insert(id, store.snapshot()).is_err() {
                assert!(start.elapsed() < Duration::from_secs(20));
            }
        }
        let status = crate::host::storage(&store.metrics());
        let spill = status.get_document("spill").unwrap();
        assert!(spill.get_i64("bytes").unwrap() > 1 << 20, "{status}");
        assert!(spill.get_i64("totalBytes").unwrap() >= spill.get_i64("bytes").unwrap());
        assert!(spill.get_i64("versions").unwrap() > 20);
        assert!(status.get_i64("throttled").unwrap() > 0);
        assert!(status.get_i64("throttledMicros").unwrap() > 0);
        assert!(status.get_i64("writeConflicts").unwrap() > 0);
        assert!(status.get_document("checkpoint").unwrap().get_i64("urgent").unwrap() > 0);
        let snapshots = status.get_document("snapshots").unwrap();
        assert!(snapshots.get_i64("expired").unwrap() > 0, "{status}");
        assert!(snapshots.get_timestamp("floor").is_ok());
        assert!(status.get_document("oplog").unwrap().get_timestamp("durable").unwrap().time > 0);
        drop(held);
        let held = store.snapshot();
        assert!(figure(&metrics, "shoal_storage_spilled_bytes_total") > 1 << 20);
        assert!(figure(&metrics, "shoal_storage_spill_versions") > 20);
        for name in ["spill_bytes", "throttled_total", "throttled_micros_total", "checkpoints_urgent_total"] {
            assert!(figure(&metrics, &format!("shoal_storage_{name}")) > 0, "{name}");
        }
        assert!(figure(&metrics, "shoal_storage_snapshots_expired_total") > 0);
        assert!(figure(&metrics, "shoal_storage_write_conflicts_total") > 0);
        let pinned = figure(&metrics, "shoal_storage_oldest_pinned_seconds");
        assert_eq!(pinned, i64::from(held.timestamp().seconds()));
        assert!(figure(&metrics, "shoal_storage_durable_seconds") >= 1_700_000_000);
        assert!(figure(&metrics, "shoal_storage_floor_seconds") >= 0);
    }
}
