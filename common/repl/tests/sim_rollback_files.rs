//! Every write acknowledged with `w: 1` that is lost is in a rollback file, or was never synced where it was made.

mod support;

use support::sim::{Options, each_seed};

#[test]
fn lost_writes_are_in_rollback_files() {
    let filed = std::cell::Cell::new(0);
    each_seed(40, &Options { crashes: false, ..Options::default() }, |seed, outcome| {
        assert_eq!(outcome.violation, None, "seed {seed}");
        let survives = |entry| outcome.logs.iter().any(|log| log.binary_search(entry).is_ok());
        for entry in &outcome.written {
            let is_explained =
                survives(entry) || outcome.filed.contains(entry) || outcome.crashed.contains(entry);
            assert!(is_explained, "seed {seed}: {entry} is gone");
        }
        filed.set(filed.get() + outcome.filed.len());
    });
    assert!(filed.get() > 0 || std::env::var("SHOAL_SEED").is_ok(), "no seed rolled anything back");
}
