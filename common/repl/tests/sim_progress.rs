//! Once the faults are lifted, writes are committed again within a bounded time, and all logs become one.

mod support;

use support::sim::{Options, SECOND, each_seed};

/// One election timeout with its spread, and an election, on the slowest clock.
const RECOVERY_MAX: u64 = 15 * SECOND;

#[test]
fn the_set_recovers() {
    let options = Options { calm: 25 * SECOND, ..Options::default() };
    each_seed(30, &options, |seed, outcome| {
        assert_eq!(outcome.violation, None, "seed {seed}");
        let after = outcome.recovered_after;
        assert!(after.is_some_and(|after| after <= RECOVERY_MAX), "seed {seed}: recovered after {after:?}");
        let data: Vec<_> = outcome.logs.iter().filter(|log| !log.is_empty()).collect();
        for log in &data {
            assert_eq!(log.last(), data[0].last(), "seed {seed}");
        }
    });
}
