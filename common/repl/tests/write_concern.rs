//! How many members a primary takes to be enough, for each way of asking.

mod support;

use bson::doc;
use repl::core::Member;
use repl::core::config::SetConfig;
use std::collections::BTreeMap;
use support::sim::{Options, SECOND, Sim};
use types::Code;
use types::concern::W;

fn tune(config: &mut SetConfig) {
    for (index, place) in ["east", "east", "west"].into_iter().enumerate() {
        config.members[index].tags = doc! { "dc": place };
    }
    let modes = [("both", 2), ("one", 1)];
    let modes = modes.map(|(mode, count)| (mode.to_owned(), BTreeMap::from([("dc".to_owned(), count)])));
    config.settings.modes = BTreeMap::from(modes);
    config.members[2].priority = 0.0;
}

#[test]
fn concerns_are_met_by_who_has_the_entry() {
    let options = Options { members: 4, arbiters: 1, faults: 0, loss: 0, tune, ..Options::default() };
    let mut sim = Sim::new(1, options);
    assert!(sim.run_until(20 * SECOND, |sim| sim.primary().is_some()));
    sim.run_for(SECOND);
    let primary = sim.primary().unwrap();
    // The only member in the west is cut off: what is written now stays in the east.
    sim.set_isolated(2, true);
    sim.run_for(SECOND);
    let entry = sim.member(primary).map(Member::last_written).unwrap();
    sim.run_for(SECOND);
    let check = |sim: &Sim, w: W, expected: Result<bool, Code>| {
        let met = sim.member(primary).unwrap().is_satisfied(entry, &w, true);
        assert_eq!(met.map_err(|fault| fault.code), expected, "{w:?}");
    };
    check(&sim, W::Count(1), Ok(true));
    check(&sim, W::Count(2), Ok(true));
    check(&sim, W::Count(3), Ok(false));
    check(&sim, W::Count(4), Err(Code::CannotSatisfyWriteConcern));
    check(&sim, W::Mode("one".to_owned()), Ok(true));
    check(&sim, W::Mode("both".to_owned()), Ok(false));
    check(&sim, W::Mode("none".to_owned()), Err(Code::UnknownReplWriteConcern));
    sim.set_isolated(2, false);
    sim.run_for(3 * SECOND);
    check(&sim, W::Count(3), Ok(true));
    check(&sim, W::Mode("both".to_owned()), Ok(true));
    check(&sim, W::Majority, Ok(true));
}
