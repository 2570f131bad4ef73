//! Configurations on their way: the first one, changes by the primary, forced ones, and those that arrive from others.
//!
//! A safe change asks that a majority has the configuration before it, that an entry of this term is committed, and that a write
//! majority of the new one has everything committed so far. Until a majority has the new one too, nothing is committed by it: an
//! election under the old one might still be won with the vote of an arbiter, which compares configurations but has no log.

use super::bug::Bug;
use super::config::{Change, MemberConfig, MemberId, Refused, SetConfig};
use super::effect::Effect;
use super::member::{Member, Office, Phase, Role};
use super::message::{Body, State};
use super::refusal::Refusal;
use super::timer::{Time, Timer};
use std::sync::Arc;

impl Member {
    /// Makes the configuration this member's own: durable first, then told to the others.
    pub(super) fn install(&mut self, config: Arc<SetConfig>, now: Time) {
        let dropped: Vec<MemberId> =
            self.peers.iter().map(|peer| peer.id).filter(|id| config.member(*id).is_none()).collect();
        if !self.has(Bug::ConfigNotStored) {
            self.out.push(Effect::StoreConfig(Arc::clone(&config)));
        }
        self.adopt(Arc::clone(&config));
        if let Role::Primary(office) = &mut self.role {
            office.config_committed = false;
            let body = Body::Config(config);
            self.say_all(&body);
            for id in dropped {
                self.say(id, body.clone());
            }
            self.await_majority(now);
        }
    }

    pub(super) fn receive_config(&mut self, from: MemberId, config: Arc<SetConfig>, now: Time) {
        if !config.config_id().is_newer_than(self.config_id()) {
            return;
        }
        if self.config.as_ref().is_some_and(|own| own.replica_set_id != config.replica_set_id) {
            return;
        }
        self.take_config(config, now);
        self.say(from, self.reply(0));
    }

    /// Votes asked for under the old configuration count for nothing under the new one.
    fn take_config(&mut self, config: Arc<SetConfig>, now: Time) {
        self.give_up_ballot();
        let was_electable = self.own().is_some_and(MemberConfig::is_electable);
        let was_initiated = self.config.is_some();
        self.install(config, now);
        let is_electable = self.own().is_some_and(MemberConfig::is_electable);
        if matches!(self.role, Role::Primary(_)) && !is_electable {
            self.leave_office(now);
        }
        if !was_initiated || self.state() != State::Primary {
            let waits = self.timers.is_set(Timer::Election);
            match (waits && was_electable == is_electable, self.own()) {
                // An election that is near must not be put off by every change.
                (true, Some(own)) if !own.arbiter_only => {}
                _ => self.assume_role(now),
            }
        }
    }

    pub(super) fn initiate(&mut self, request: u64, config: Arc<SetConfig>, now: Time) {
        if self.config.is_some() {
            self.answer(request, Err(Refusal::AlreadyInitiated));
            return;
        }
        let is_member = config.members.iter().any(|member| *member.host == *self.host);
        if !is_member {
            self.answer(request, Err(Refused::NotMember.into()));
            return;
        }
        self.take_config(Arc::clone(&config), now);
        if matches!(self.role, Role::Resync { .. }) {
            // The data of the set is what is here: its log begins with this entry.
            self.role = Role::Secondary;
            self.out.push(Effect::WriteNoop { term: 0 });
        }
        self.send_heartbeats(now);
        self.say_all(&Body::Config(config));
        // Nobody else has anything to wait for.
        self.timers.set(Timer::Silence, now);
        self.answer(request, Ok(()));
    }

    pub(super) fn reconfig(&mut self, request: u64, wanted: &SetConfig, force: bool, now: Time) {
        match self.check_reconfig(wanted, force) {
            Err(refusal) => self.answer(request, Err(refusal)),
            Ok(config) => {
                self.take_config(Arc::new(config), now);
                match &mut self.role {
                    Role::Primary(office) if !force => office.reconfig = Some(request),
                    _ => {
                        if let Some(config) = self.config.clone().filter(|_| force) {
                            self.say_all(&Body::Config(config));
                        }
                        if self.primary.is_none() {
                            // Whoever forces a configuration waits for a primary. The others still have a say.
                            self.timers.set(Timer::Silence, now);
                        }
                        self.answer(request, Ok(()));
                    }
                }
            }
        }
    }

    fn check_reconfig(&self, wanted: &SetConfig, force: bool) -> Result<SetConfig, Refusal> {
        let (Some(old), Some(me)) = (&self.config, self.me) else { return Err(Refusal::NotInitiated) };
        let term = self.persistent.term;
        if force {
            return Ok(wanted.clone().follow(old, Change::Forced, me, term)?);
        }
        let Role::Primary(office) = &self.role else { return Err(Refusal::NotPrimary("reconfig")) };
        if office.phase != Phase::Writable {
            return Err(Refusal::NotPrimary("reconfig"));
        }
        let config = match wanted.clone().follow(old, Change::Safe, me, term) {
            Err(Refused::Voters(_)) if self.has(Bug::ReconfigManyVoters) => {
                SetConfig { term, ..wanted.clone() }
            }
            followed => followed?,
        };
        self.check_safe(office, &config)?;
        Ok(config)
    }

    fn check_safe(&self, office: &Office, config: &SetConfig) -> Result<(), Refusal> {
        if !self.has(Bug::ReconfigTooEarly) {
            if office.reconfig.is_some() {
                return Err(Refusal::ReconfigInProgress);
            }
            if !office.config_committed {
                return Err(Refusal::ConfigNotCommitted);
            }
            if self.commit_point.term != self.persistent.term {
                return Err(Refusal::NothingCommitted);
            }
        }
        if config.reached_by_majority(|id| self.durable_of(id)) < self.commit_point
            && !self.has(Bug::ReconfigWithoutData)
        {
            return Err(Refusal::DataMissing);
        }
        Ok(())
    }

    /// A configuration is committed when a majority of its voters has it.
    pub(super) fn settle_config(&mut self) {
        let (Some(config), Role::Primary(Office { config_committed: false, .. })) =
            (&self.config, &self.role)
        else {
            return;
        };
        let id = config.config_id();
        let installed = config
            .voters()
            .filter(|voter| {
                Some(voter.id) == self.me || self.peer(voter.id).is_some_and(|peer| peer.config == id)
            })
            .count();
        if installed < config.majority() {
            return;
        }
        let Role::Primary(office) = &mut self.role else { return };
        office.config_committed = true;
        if let Some(request) = office.reconfig.take() {
            self.answer(request, Ok(()));
        }
    }

    /// Gives a new member its vote once it has the data, one at a time.
    pub(super) fn settle_newly_added(&mut self, now: Time) {
        let (Some(config), Role::Primary(office)) = (&self.config, &self.role) else { return };
        if office.phase != Phase::Writable || !config.members.iter().any(|member| member.newly_added) {
            return;
        }
        let caught_up = self.peers.iter().find(|peer| {
            config.member(peer.id).is_some_and(|member| member.newly_added)
                && peer.state == Some(State::Secondary)
                && peer.position.durable >= self.commit_point
        });
        let Some(ready) = caught_up.map(|peer| peer.id) else { return };
        let mut next = (**config).clone();
        next.version += 1;
        next.term = self.persistent.term;
        for member in &mut next.members {
            member.newly_added &= member.id != ready;
        }
        if self.check_safe(office, &next).is_ok() {
            self.take_config(Arc::new(next), now);
        }
    }
}
