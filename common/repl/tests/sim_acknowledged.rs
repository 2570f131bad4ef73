//! No write that was acknowledged with `w: majority` is lost: after the faults it is in every log.

mod support;

use repl::core::bug::Bug;
use support::sim::{Options, Outcome, each_seed, run};

fn lost(outcome: &Outcome) -> usize {
    let in_all =
        |entry| outcome.logs.iter().filter(|log| !log.is_empty()).all(|log| log.binary_search(entry).is_ok());
    outcome.acknowledged.iter().filter(|entry| !in_all(*entry)).count()
}

#[test]
fn acknowledged_writes_survive() {
    each_seed(20, &Options { write_every: 10_000, ..Options::default() }, |seed, outcome| {
        assert_eq!((outcome.violation, lost(outcome)), (None, 0), "seed {seed}");
        assert!(outcome.acknowledged.len() > 100, "seed {seed}: {}", outcome.acknowledged.len());
    });
}

#[test]
fn acknowledging_too_early_is_caught() {
    let options = Options { bug: Some(Bug::CommitBeforeMajority), ..Options::default() };
    let is_caught = |outcome: Outcome| outcome.violation.is_some() || lost(&outcome) > 0;
    assert!((1..20).any(|seed| is_caught(run(seed, &options))));
}
