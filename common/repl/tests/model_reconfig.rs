//! Exhausts reconfiguration with an arbiter within small bounds: a data-bearing member loses and gains its vote while primaries
//! change and members die (what is in memory is gone, votes and configurations on disk are not), and nothing that a write majority
//! had is lost.

mod support;

use repl::core::bug::Bug;
use support::Kind::{Arbiter, Passive, Voter};
use support::model::{Bounds, check, check_caught};

fn bounds(
    first: &[(i32, support::Kind)],
    then: &[&[(i32, support::Kind)]],
    candidates: &[&[usize]],
) -> Bounds {
    Bounds {
        reconfigs: then.iter().map(|members| support::shared(2, members)).collect(),
        ..Bounds::of(support::shared(1, first), candidates)
    }
}

const FULL: &[(i32, support::Kind)] = &[(0, Voter), (1, Voter), (2, Arbiter)];
const WITHOUT: &[(i32, support::Kind)] = &[(0, Voter), (1, Passive), (2, Arbiter)];
const ALONE: &[(i32, support::Kind)] = &[(0, Voter), (1, Passive), (2, Passive)];
const THREE: &[(i32, support::Kind)] = &[(0, Voter), (1, Voter), (2, Voter)];
const TWO: &[(i32, support::Kind)] = &[(0, Voter), (1, Voter), (2, Passive)];

/// Primary, secondary, arbiter: the secondary loses its vote and may get it back.
fn takes_vote() -> Bounds {
    Bounds { writes_max: 1, ..bounds(FULL, &[WITHOUT, FULL], &[&[0, 1]]) }
}

/// Primary and arbiter: the secondary gets a vote.
fn gives_vote() -> Bounds {
    Bounds { writes_max: 1, ..bounds(WITHOUT, &[FULL, WITHOUT], &[&[0, 1]]) }
}

/// One voter becomes three.
fn grows() -> Bounds {
    Bounds { writes_max: 1, ..bounds(ALONE, &[TWO, THREE], &[&[0, 1]]) }
}

/// Three voters become one.
fn shrinks() -> Bounds {
    bounds(THREE, &[TWO, ALONE], &[&[1, 2]])
}

/// The secondary loses its vote while anybody may die, once: what is in memory is gone, votes and configurations are not.
fn takes_vote_and_dies() -> Bounds {
    Bounds { crashes_max: 1, ..takes_vote() }
}

/// The same without a write, and two deaths.
fn takes_vote_and_dies_twice() -> Bounds {
    Bounds { crashes_max: 2, ..bounds(FULL, &[WITHOUT], &[&[0, 1]]) }
}

/// The secondary gets a vote while anybody may die, once.
fn gives_vote_and_dies() -> Bounds {
    Bounds { crashes_max: 1, ..gives_vote() }
}

/// The same in one step, which is refused.
fn at_once() -> Bounds {
    Bounds { writes_max: 1, ..bounds(THREE, &[ALONE], &[&[1, 2]]) }
}

#[test]
fn a_vote_is_taken_safely() {
    check(takes_vote());
}

#[test]
fn a_vote_is_given_safely() {
    check(gives_vote());
}

#[test]
fn a_set_grows_safely() {
    check(grows());
}

#[test]
fn a_set_shrinks_safely() {
    check(shrinks());
}

#[test]
fn a_vote_is_taken_safely_though_members_die() {
    check(takes_vote_and_dies());
    check(takes_vote_and_dies_twice());
}

#[test]
fn a_vote_is_given_safely_though_members_die() {
    check(gives_vote_and_dies());
}

#[test]
fn what_a_crash_must_not_take_is_missed() {
    check_caught(Bug::ConfigNotStored, takes_vote_and_dies());
    check_caught(Bug::VoteNotPersisted, takes_vote_and_dies_twice());
}

#[test]
fn seeded_faults_are_caught() {
    check_caught(Bug::CountArbiters, takes_vote());
    check_caught(Bug::CommitInPendingConfig, takes_vote());
    check_caught(Bug::IgnoreConfigOrder, takes_vote());
    check_caught(Bug::ReconfigWithoutData, gives_vote());
    check_caught(Bug::ReconfigTooEarly, shrinks());
    check_caught(Bug::ReconfigManyVoters, at_once());
}
