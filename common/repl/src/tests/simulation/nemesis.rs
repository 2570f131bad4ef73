//! The faults of a run, all chosen before it begins.

use super::process::Place;
use rand::RngExt;
use rand::rngs::StdRng;
use std::sync::Arc;
use std::time::Duration;
use turmoil::Sim;

/// One thing that is done to the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// These members and the others do not hear each other.
    Split(Vec<usize>),
    /// What the first says does not come to the second.
    Deaf(usize, usize),
    /// That member hears everybody, and nobody hears it.
    Mute(usize),
    /// What two say to each other comes later.
    Hold(usize, usize),
    /// The process dies.
    Crash(usize),
    /// The way between two takes so many milliseconds.
    Slow(usize, usize, u64),
    /// Of so many messages one is lost, and the way with it for a while.
    Loss(u32),
}

/// What is done when; `false` ends it.
pub(super) type Plan = Vec<(Duration, Fault, bool)>;

const LOSS_REPAIR: u32 = 50;

/// Faults from `begin` to `end`, all ended by then.
pub(super) fn plan(chance: &mut StdRng, members: usize, begin: Duration, end: Duration) -> Plan {
    let mut plan = Plan::new();
    let mut at = begin;
    while at < end {
        let one = chance.random_range(0..members);
        let other = (one + chance.random_range(1..members)) % members;
        let fault = match chance.random_range(0..100) {
            0..20 => {
                let alone = chance.random_range(1..members);
                Fault::Split((0..alone).map(|step| (one + step) % members).collect())
            }
            20..32 => Fault::Deaf(one, other),
            32..44 => Fault::Mute(one),
            44..54 => Fault::Hold(one, other),
            54..82 => Fault::Crash(one),
            82..93 => Fault::Slow(one, other, chance.random_range(20..400)),
            _ => Fault::Loss(chance.random_range(100..2000)),
        };
        let length = Duration::from_millis(chance.random_range(100..3500));
        plan.push((at, fault.clone(), true));
        plan.push(((at + length).min(end), fault, false));
        at += Duration::from_millis(chance.random_range(100..1500));
    }
    plan.sort_by_key(|(at, ..)| *at);
    plan
}

pub(super) fn name(one: usize) -> String {
    format!("m{one}")
}

/// Begins or ends a fault. The end of one may end another one early.
pub(super) fn apply(sim: &mut Sim<'_>, places: &[Arc<Place>], fault: &Fault, begins: bool) {
    let members = places.len();
    let each_pair = |inside: &[usize], act: &dyn Fn(String, String)| {
        for one in inside {
            for other in (0..members).filter(|other| !inside.contains(other)) {
                act(name(*one), name(other));
            }
        }
    };
    match fault {
        Fault::Split(inside) if begins => each_pair(inside, &|a, b| sim.partition(a, b)),
        Fault::Mute(one) if begins => each_pair(&[*one], &|a, b| sim.partition_oneway(a, b)),
        Fault::Split(inside) => each_pair(inside, &|a, b| sim.release(a, b)),
        Fault::Mute(one) => each_pair(&[*one], &|a, b| sim.release(a, b)),
        Fault::Deaf(one, other) if begins => sim.partition_oneway(name(*one), name(*other)),
        Fault::Hold(one, other) if begins => sim.hold(name(*one), name(*other)),
        Fault::Deaf(one, other) | Fault::Hold(one, other) => sim.release(name(*one), name(*other)),
        Fault::Crash(one) if begins => {
            places[*one].die();
            sim.crash(name(*one));
        }
        Fault::Crash(one) => {
            if !sim.is_host_running(name(*one)) {
                sim.bounce(name(*one));
            }
        }
        Fault::Slow(one, other, millis) => {
            let millis = if begins { *millis } else { 0 };
            sim.set_link_max_message_latency(
                name(*one),
                name(*other),
                Duration::from_millis(super::LATENCY_MAX + millis),
            );
        }
        Fault::Loss(one_of) => sim.set_fail_rate(if begins { 1.0 / f64::from(*one_of) } else { 0.0 }),
    }
}

/// Lifts everything.
pub(super) fn heal(sim: &mut Sim<'_>, members: usize) {
    sim.set_fail_rate(0.0);
    for one in 0..members {
        for client in 0..members {
            sim.release(name(one), super::client::name(client));
        }
        for other in 0..one {
            sim.release(name(one), name(other));
            sim.set_link_max_message_latency(
                name(one),
                name(other),
                Duration::from_millis(super::LATENCY_MAX),
            );
        }
        if !sim.is_host_running(name(one)) {
            sim.bounce(name(one));
        }
    }
}

pub(super) fn repair_rate() -> f64 {
    1.0 / f64::from(LOSS_REPAIR)
}
