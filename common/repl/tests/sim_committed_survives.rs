//! What is committed is in the log of every later primary, and nobody cuts it off. Each fault that breaks this is caught.

mod support;

use repl::core::bug::Bug;
use support::sim::{Options, each_seed, run};

#[test]
fn committed_entries_survive() {
    each_seed(60, &Options { skew: 20, ..Options::default() }, |seed, outcome| {
        assert_eq!(outcome.violation, None, "seed {seed}");
        assert!(outcome.logs.iter().any(|log| log.len() > 50), "seed {seed}: hardly anything was written");
    });
}

/// Some seed shows the fault.
fn check_caught(bug: Bug, options: Options) {
    let options = Options { bug: Some(bug), ..options };
    let caught = (1..60).find_map(|seed| run(seed, &options).violation.map(|what| (seed, what)));
    println!("{bug:?}: {caught:?}");
    assert!(caught.is_some(), "{bug:?} was not caught");
}

#[test]
fn seeded_faults_are_caught() {
    for bug in [Bug::IgnoreFreshness, Bug::CommitBeforeMajority, Bug::IgnoreHigherTerm] {
        check_caught(bug, Options::default());
    }
}
