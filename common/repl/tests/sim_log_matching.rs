//! Logs that have an entry in common have the same history before it.

mod support;

use repl::core::bug::Bug;
use support::judge::MISMATCH;
use support::sim::{Options, each_seed, run};

#[test]
fn logs_match() {
    each_seed(60, &Options { loss: 50, ..Options::default() }, |seed, outcome| {
        assert_eq!(outcome.violation, None, "seed {seed}");
    });
}

#[test]
fn a_member_that_never_rolls_back_is_caught() {
    let options = Options { bug: Some(Bug::NoRollback), ..Options::default() };
    let caught = (1..20).find(|seed| run(*seed, &options).violation.is_some());
    assert!(caught.is_some());
    println!("caught by seed {caught:?}: {MISMATCH}");
}
