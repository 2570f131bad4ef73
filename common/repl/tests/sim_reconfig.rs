//! Members come and go while clients write: new ones copy the data before they get their vote, one vote moves at a time, and a
//! configuration is told to everybody.

mod support;

use repl::core::config::{Refused, SetConfig};
use repl::core::{Command, Refusal};
use std::sync::Arc;
use support::Kind::Voter;
use support::sim::{Options, SECOND, Sim};

fn voters(version: i64, count: i32) -> Arc<SetConfig> {
    support::shared(version, &(0..count).map(|id| (id, Voter)).collect::<Vec<_>>())
}

fn reconfig(
    sim: &mut Sim,
    request: u64,
    config: &Arc<SetConfig>,
    force: bool,
) -> Option<Result<(), Refusal>> {
    let primary = sim.primary()?;
    let version = sim.member(primary)?.config_id().version + 1;
    let config = Arc::new(SetConfig { version, ..(**config).clone() });
    sim.command(primary, request, Command::Reconfig { config, force });
    sim.run_until(5 * SECOND, |sim| sim.replies.iter().any(|reply| reply.0 == request));
    sim.replies.iter().find(|reply| reply.0 == request).map(|reply| reply.1.clone())
}

fn voting(sim: &Sim, one: usize) -> usize {
    sim.member(one).and_then(|member| member.config()).map_or(0, |config| config.voters().count())
}

#[test]
fn a_set_grows_and_shrinks_under_load() {
    for seed in 1..6 {
        let options = Options { members: 5, spares: 4, faults: 0, loss: 0, ..Options::default() };
        let mut sim = Sim::new(seed, options);
        assert!(sim.run_until(20 * SECOND, |sim| sim.primary().is_some()), "seed {seed}");
        sim.run_for(2 * SECOND);
        assert_eq!(reconfig(&mut sim, 1, &voters(2, 5), false), Some(Ok(())), "seed {seed}");
        let all_vote = |sim: &Sim| (0..5).all(|one| voting(sim, one) == 5);
        assert!(sim.run_until(30 * SECOND, all_vote), "seed {seed}");
        // The first member is no longer needed.
        let primary = sim.primary().unwrap_or_default();
        sim.kill(primary);
        assert!(sim.run_until(10 * SECOND, |sim| sim.primary().is_some()), "seed {seed}");
        sim.restart(primary);
        sim.run_for(5 * SECOND);
        let members: Vec<_> = (0..5)
            .filter(|id| Some(*id as usize) == sim.primary() || *id < 3)
            .map(|id| (id, Voter))
            .collect();
        let fewer = support::shared(2, &members);
        let refused = Some(Err(Refusal::Config(Refused::Voters(5 - members.len()))));
        if members.len() == 3 {
            assert_eq!(reconfig(&mut sim, 2, &fewer, false), refused, "seed {seed}");
        }
        assert_eq!(reconfig(&mut sim, 3, &fewer, true), Some(Ok(())), "seed {seed}");
        sim.run_for(20 * SECOND);
        assert!(sim.primary().is_some(), "seed {seed}");
        assert_eq!(sim.finish().violation, None, "seed {seed}");
    }
}
