//! What stays in memory.

use super::harness::{ns, options, put};
use crate::Store;
use crate::options::EngineKind;
use bson::doc;
use std::time::Duration;

#[test]
fn an_idle_store_empties_its_memory() {
    let dir = tempfile::tempdir().unwrap();
    let options = crate::Options {
        history_window: Duration::from_secs(2),
        checkpoint_interval: Duration::from_millis(20),
        ..options(dir.path(), EngineKind::Memory)
    };
    let clock = options.clock.clone();
    let store = Store::open(options).unwrap();
    store.create_collection(&ns("d.c"), None, &bson::rawdoc! {}).unwrap();
    for id in 0..100 {
        put(&store, "d.c", id, Some(&doc! {"_id": id})).unwrap();
    }
    assert!(store.metrics().versions_count > 0);
    // Nothing is committed any more; only the wall's clock goes on, past the window.
    for _ in 0..3000 {
        clock.wall_millis();
    }
    let start = std::time::Instant::now();
    while store.metrics().versions_count > 0 {
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", store.metrics());
        std::thread::park_timeout(Duration::from_millis(5));
    }
    assert_eq!(store.metrics().versions_bytes, 0);
}
