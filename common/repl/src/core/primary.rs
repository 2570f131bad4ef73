//! A primary's way into office: hear who is fresher, pull what is missing, apply it, write the first entry of the term, open for writes.
//! Nothing that it takes before that entry is written in its term, so nothing of its own can be committed before.

use super::bug::Bug;
use super::effect::Effect;
use super::member::{Member, Office, Phase, Role};
use super::message::{Body, Position};
use super::timer::{MILLISECOND, Time, Timer};
use std::sync::Arc;
use types::OpTime;

/// How long a new primary waits to hear how far members are that have not said so yet.
const LISTEN_TIME: Time = 100 * MILLISECOND;
/// How often a primary says that it is there.
pub(super) const KEEP_ALIVE_INTERVAL: Time = 100 * MILLISECOND;

impl Member {
    pub(super) fn take_office(&mut self, now: Time) {
        self.role = Role::Primary(Office {
            phase: Phase::CatchUp,
            config_committed: false,
            step_down: None,
            reconfig: None,
        });
        self.primary = self.me;
        self.hears_primary = false;
        for timer in
            [Timer::Election, Timer::Silence, Timer::Hush, Timer::PriorityTakeover, Timer::CatchUpTakeover]
        {
            self.timers.clear(timer);
        }
        for peer in &mut self.peers {
            // What was heard before may be of a branch that is gone; only what is said in this term counts.
            peer.position = Position::default();
            peer.replied = Some(now);
        }
        self.drop_source();
        self.timers.set(Timer::Listen, now + LISTEN_TIME);
        let catch_up = self.config.as_ref().and_then(|config| config.settings.catch_up_timeout_millis);
        if let Some(millis) = catch_up {
            self.timers.set(Timer::CatchUp, now + millis * MILLISECOND);
        }
        self.await_majority(now);
        self.govern_config(now);
        self.send_heartbeats(now);
        self.send_keep_alives(now);
    }

    /// A configuration of an older term can win no election any more once a majority has this one of the new term.
    fn govern_config(&mut self, now: Time) {
        let Some(config) = &self.config else { return };
        let mut config = (**config).clone();
        if config.term == super::config::FORCED_TERM {
            config.version += 1;
        }
        config.term = self.persistent.term;
        self.install(Arc::new(config), now);
    }

    pub(super) fn send_keep_alives(&mut self, now: Time) {
        if matches!(self.role, Role::Primary(_)) {
            self.timers.set(Timer::KeepAlive, now + KEEP_ALIVE_INTERVAL);
            self.say_all(&Body::KeepAlive { commit_point: self.commit_point, config: self.config_id() });
        }
    }

    /// Ends the catch-up once nobody is known to be fresher.
    pub(super) fn settle_catch_up(&mut self) {
        let Role::Primary(Office { phase: Phase::CatchUp, .. }) = self.role else { return };
        let holds_data = |id| {
            self.config.as_ref().and_then(|config| config.member(id)).is_some_and(|one| one.holds_data())
        };
        let reachable = || self.peers.iter().filter(|peer| peer.is_connected && holds_data(peer.id));
        let is_listening = self.timers.is_set(Timer::Listen) && reachable().any(|peer| !peer.has_answered);
        let fresher = reachable().any(|peer| peer.has_answered && peer.tip > self.written);
        if !is_listening && !fresher {
            self.end_catch_up();
        }
    }

    pub(super) fn end_catch_up(&mut self) {
        let term = self.persistent.term;
        let Role::Primary(office) = &mut self.role else { return };
        if office.phase != Phase::CatchUp {
            return;
        }
        office.phase = Phase::Drain;
        self.timers.clear(Timer::Listen);
        self.timers.clear(Timer::CatchUp);
        self.drop_source();
        self.out.push(Effect::Drain { term });
    }

    pub(super) fn drained(&mut self, of: i64) {
        let term = self.persistent.term;
        let Role::Primary(office) = &mut self.role else { return };
        if office.phase == Phase::Drain && of == term {
            office.phase = Phase::Open;
            self.out.push(Effect::WriteNoop { term });
        }
    }

    /// Sets the moment at which a majority will not have answered for the election timeout.
    pub(super) fn await_majority(&mut self, now: Time) {
        let Some(config) = &self.config else { return };
        if !matches!(self.role, Role::Primary(_)) || config.majority() <= 1 {
            self.timers.clear(Timer::Majority);
            return;
        }
        let mut heard: Vec<Time> = config
            .voters()
            .map(|voter| match Some(voter.id) == self.me {
                true => now,
                false => self.peer(voter.id).and_then(|peer| peer.replied).unwrap_or(0),
            })
            .collect();
        heard.sort_unstable_by(|a, b| b.cmp(a));
        let last = heard.get(config.majority() - 1).copied().unwrap_or(0);
        self.timers.set(Timer::Majority, last + self.election_timeout_time());
    }

    pub(super) fn majority_lost(&mut self, now: Time) {
        if matches!(self.role, Role::Primary(_)) && !self.has(Bug::StayWithoutMajority) {
            self.leave_office(now);
        }
    }

    /// The end of the log that counts for the freshness of others: what is here, synced or not.
    pub(super) fn end(&self) -> OpTime {
        self.written
    }
}
