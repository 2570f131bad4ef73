//! Exhausts elections, commits, rollbacks and crashes of three members within small bounds, and shows that each seeded fault in them
//! is found. Bounds are in the tests; DESIGN: the model is the production state machine.

mod support;

use repl::core::bug::Bug;
use support::Kind::Voter;
use support::model::{Bounds, check, check_caught};

fn bounds(candidates: &[&[usize]]) -> Bounds {
    Bounds::of(support::shared(1, &[(0, Voter), (1, Voter), (2, Voter)]), candidates)
}

/// Two stand against each other, then the first primary again.
fn three_terms() -> Bounds {
    bounds(&[&[1, 2], &[0]])
}

/// Two stand against each other while the old primary writes on.
fn two_terms() -> Bounds {
    Bounds { writes_max: 1, tells_commit_point: true, ..bounds(&[&[1, 2]]) }
}

/// Reports are late, doubled or lost.
fn late() -> Bounds {
    Bounds { late_reports: true, tells_commit_point: true, ..bounds(&[&[1]]) }
}

/// One crash that loses what was not synced.
fn crash() -> Bounds {
    Bounds { crashes_max: 1, slow_disks: true, ..bounds(&[&[1, 2]]) }
}

/// The way to a lost entry if older terms were committed by counting: terms 2, 3 and 4 alternate.
fn alternating() -> Bounds {
    bounds(&[&[1], &[0], &[1]])
}

#[test]
fn three_terms_are_safe() {
    check(three_terms());
}

#[test]
fn writes_beside_an_election_are_safe() {
    check(two_terms());
}

#[test]
fn late_and_doubled_reports_are_safe() {
    check(late());
}

#[test]
fn a_crash_is_safe() {
    check(crash());
}

#[test]
fn alternating_primaries_are_safe() {
    check(alternating());
}

#[test]
fn seeded_faults_are_caught() {
    check_caught(Bug::VoteTwice, two_terms());
    check_caught(Bug::VoteNotPersisted, crash());
    check_caught(Bug::IgnoreFreshness, three_terms());
    check_caught(Bug::IgnoreHigherTerm, three_terms());
    check_caught(Bug::CommitBeforeMajority, three_terms());
    check_caught(Bug::CommitOlderTerm, alternating());
    check_caught(Bug::CountUnsynced, crash());
    check_caught(Bug::NoRollback, three_terms());
    check_caught(Bug::RollbackForOlder, three_terms());
}
