//! At most one primary per term, under every fault there is; and a seed replays exactly.

mod support;

use support::sim::{Options, each_seed, run};

#[test]
fn a_term_has_one_primary() {
    each_seed(60, &Options::default(), |seed, outcome| {
        assert_eq!(outcome.violation, None, "seed {seed}");
        assert!(outcome.elections > 0, "seed {seed}");
    });
}

#[test]
fn a_seed_replays_exactly() {
    let traces = |seed| run(seed, &Options::default()).trace;
    assert_eq!(traces(7), traces(7));
    assert_ne!(traces(7), traces(8));
}
