//! Who may depose whom, on scripted partitions; and what single members must not do. Each rule is shown to be needed.

mod support;

use repl::core::bug::Bug;
use repl::core::config::SetConfig;
use repl::core::effect::Persistent;
use repl::core::message::{Body, Denial, Reason, VoteRequest};
use repl::core::{Command, Effect, Event, Member, Message, Refusal, Restored};
use support::Kind::Voter;
use support::at;
use support::sim::{MS, Options, SECOND, Sim};

fn quiet(bug: Option<Bug>) -> Options {
    Options { faults: 0, loss: 0, skew: 1, bug, ..Options::default() }
}

fn governed(seed: u64, options: Options) -> (Sim, usize) {
    let mut sim = Sim::new(seed, options);
    assert!(sim.run_until(20 * SECOND, |sim| sim.primary().is_some()), "seed {seed}");
    sim.run_for(3 * SECOND);
    let primary = sim.primary().unwrap_or(usize::MAX);
    (sim, primary)
}

/// One secondary loses the primary; the other still hears it.
fn deposed_by_one(bug: Option<Bug>) -> bool {
    (1..10).any(|seed| {
        let (mut sim, primary) = governed(seed, quiet(bug));
        let cut = (primary + 1) % 3;
        sim.set_cut(primary, cut, true);
        sim.set_cut(cut, primary, true);
        sim.run_for(30 * SECOND);
        sim.offices.len() > 1
    })
}

#[test]
fn a_primary_that_a_majority_hears_stays() {
    assert!(!deposed_by_one(None));
    assert!(deposed_by_one(Some(Bug::DeposeHeardPrimary)));
}

/// A primary that can speak but not hear.
fn stays_deaf(bug: Option<Bug>) -> bool {
    let (mut sim, primary) = governed(1, quiet(bug));
    for other in (0..3).filter(|other| *other != primary) {
        sim.set_cut(other, primary, true);
    }
    sim.run_for(15 * SECOND);
    sim.member(primary).is_some_and(Member::accepts_writes)
}

#[test]
fn a_primary_without_a_majority_steps_down() {
    assert!(!stays_deaf(None));
    assert!(stays_deaf(Some(Bug::StayWithoutMajority)));
}

/// Two secondaries that do not reach the primary must not pull from each other for ever.
fn circles(bug: Option<Bug>) -> bool {
    (1..10).any(|seed| {
        let (mut sim, primary) = governed(seed, Options { members: 5, ..quiet(bug) });
        let others: Vec<usize> = (0..5).filter(|other| *other != primary).collect();
        for one in &others {
            for other in others.iter().filter(|other| *other != one) {
                let source = *other as i32;
                sim.command(*one, 9, Command::SyncFrom { source });
                sim.run_for(MS);
            }
        }
        sim.run_for(20 * SECOND);
        let source = |one: usize| sim.member(one).and_then(Member::source).map(|id| id as usize);
        others.iter().any(|one| source(*one).is_some_and(|other| source(other) == Some(*one)))
    })
}

#[test]
fn nobody_pulls_in_circles() {
    assert!(!circles(None));
    assert!(circles(Some(Bug::SyncInCircles)));
}

fn three() -> std::sync::Arc<SetConfig> {
    support::shared(1, &[(0, Voter), (1, Voter), (2, Voter)])
}

/// A member lost data that a majority was counted with; a candidate without it asks for its vote.
fn votes_below_floor(bug: Option<Bug>) -> bool {
    let persistent = Persistent { term: 5, voted_for: None, floor: at(5, 90) };
    let restored = Restored { persistent, config: Some(three()), last: at(0, 0) };
    let mut member = Member::new(&support::host(2), restored, 1);
    if let Some(bug) = bug {
        member = member.with_bug(bug);
    }
    member.on(Event::Start, 0);
    let config = three().config_id();
    let request =
        VoteRequest { dry_run: false, election: 6, last: at(5, 80), config, reason: Reason::PrimaryLost };
    let message = Message { from: 1, term: 6, body: Body::VoteRequest(request) };
    let effects = member.on(Event::Receive(message), SECOND);
    let granted = |effect: &Effect| match effect {
        Effect::Send(1, Message { body: Body::VoteReply(reply), .. }) => reply.refused != Some(Denial::Stale),
        _ => false,
    };
    effects.iter().any(granted)
}

#[test]
fn lost_data_is_not_voted_away() {
    assert!(!votes_below_floor(None));
    assert!(votes_below_floor(Some(Bug::ForgetFloor)));
}

/// A deposed primary has an entry that nobody else has, and hears from its successor what is committed there.
fn believes_foreign_commit_point(bug: Option<Bug>) -> bool {
    let persistent = Persistent { term: 2, voted_for: None, floor: at(0, 0) };
    let restored = Restored { persistent, config: Some(three()), last: at(1, 7) };
    let mut member = Member::new(&support::host(2), restored, 1);
    if let Some(bug) = bug {
        member = member.with_bug(bug);
    }
    member.on(Event::Start, 0);
    let body = Body::KeepAlive { commit_point: at(2, 8), config: three().config_id() };
    member.on(Event::Receive(Message { from: 1, term: 2, body }), SECOND);
    member.commit_point() == at(1, 7)
}

#[test]
fn a_commit_point_of_another_branch_is_not_believed() {
    assert!(!believes_foreign_commit_point(None));
    assert!(believes_foreign_commit_point(Some(Bug::CommitPointUnchecked)));
}

#[test]
fn a_member_of_higher_priority_takes_over() {
    let prefer = |config: &mut SetConfig| config.members[2].priority = 5.0;
    let mut sim = Sim::new(3, Options { tune: prefer, ..quiet(None) });
    assert!(sim.run_until(40 * SECOND, |sim| sim.primary() == Some(2)));
    sim.kill(2);
    assert!(sim.run_until(5 * SECOND, |sim| sim.primary().is_some_and(|primary| primary != 2)));
    sim.restart(2);
    assert!(sim.run_until(40 * SECOND, |sim| sim.primary() == Some(2)));
}

#[test]
fn a_frozen_member_does_not_stand() {
    let (mut sim, primary) = governed(1, quiet(None));
    for other in (0..3).filter(|other| *other != primary) {
        sim.command(other, 1, Command::Freeze { period: 5 * SECOND });
    }
    sim.kill(primary);
    sim.run_for(4 * SECOND);
    assert_eq!(sim.primary(), None);
    assert!(sim.run_until(5 * SECOND, |sim| sim.primary().is_some()));
    let again = sim.primary().unwrap();
    sim.command(again, 2, Command::Freeze { period: SECOND });
    assert_eq!(sim.replies.last().map(|reply| reply.1.clone()), Some(Err(Refusal::Governing)));
}

#[test]
fn a_step_down_that_nobody_can_follow_is_refused() {
    let (mut sim, primary) = governed(1, quiet(None));
    sim.set_isolated(primary, true);
    let command = |force| Command::StepDown { period: 60 * SECOND, catch_up: 200 * MS, force };
    sim.run_for(100 * MS);
    sim.command(primary, 1, command(false));
    sim.run_for(300 * MS);
    assert_eq!(sim.replies.last().map(|reply| reply.1.clone()), Some(Err(Refusal::NobodyCaughtUp)));
    assert!(sim.member(primary).is_some_and(Member::accepts_writes));
    sim.command(primary, 2, command(true));
    sim.run_for(300 * MS);
    assert_eq!(sim.replies.last().map(|reply| reply.1.clone()), Some(Ok(())));
    assert!(!sim.member(primary).is_some_and(Member::accepts_writes));
}
