//! Elections: who stands when, who gets a vote, and what winning is.
//! A vote is durable before it is sent; a term has at most one winner because majorities share a voter and a voter votes once.

use super::bug::Bug;
use super::config::{ConfigId, MemberConfig, MemberId};
use super::effect::Effect;
use super::member::{Ballot, Member, Role};
use super::message::{Body, Denial, Reason, State, VoteReply, VoteRequest};
use super::refusal::Refusal;
use super::timer::{MILLISECOND, SECOND, Time, Timer};
use types::OpTime;

/// An election that is not decided by then is lost.
const BALLOT_TIMEOUT: Time = SECOND;
/// Members that see a connection reset stand at different moments within this.
const RESET_SPREAD: Time = 100 * MILLISECOND;
/// After a lost election: not at once, and not together.
const RETRY_WAIT: Time = 50 * MILLISECOND;
const RETRY_SPREAD: Time = 250 * MILLISECOND;
/// A member that is behind the primary by more than this does not take over from it.
const TAKEOVER_LAG_SECONDS_MAX: u32 = 2;

impl Member {
    pub(super) fn election_timeout_time(&self) -> Time {
        self.config
            .as_ref()
            .map_or(10 * SECOND, |config| config.settings.election_timeout_millis * MILLISECOND)
    }

    /// How long the primary may be silent before this member asks the others about it.
    fn detection_time(&self) -> Option<Time> {
        let millis = self.config.as_ref()?.settings.failure_detection_millis?;
        Some((millis * MILLISECOND).min(self.election_timeout_time()))
    }

    /// Starts the waits that end in an election, unless a primary is heard before.
    pub(super) fn wait_for_primary(&mut self, now: Time) {
        let timeout = self.election_timeout_time();
        let at = now + timeout + self.spread(timeout * 15 / 100);
        self.timers.set(Timer::Election, at);
        if let Some(detection) = self.detection_time() {
            let at = now + detection + self.spread(detection / 10);
            self.timers.set(Timer::Silence, at);
        }
    }

    /// The primary of this term spoke.
    pub(super) fn heard_primary(&mut self, from: MemberId, now: Time) {
        if matches!(self.role, Role::Primary(_)) {
            return;
        }
        self.primary = Some(from);
        self.hears_primary = true;
        let is_pointless = |ballot: &Ballot| !ballot.dry_run || ballot.reason.claims_no_primary();
        if self.ballot.as_ref().is_some_and(is_pointless) {
            self.give_up_ballot();
        }
        let detection = self.detection_time().unwrap_or_else(|| self.election_timeout_time());
        self.timers.set(Timer::Hush, now + detection / 2);
        self.wait_for_primary(now);
    }

    /// A reset is a hint: it shortens the wait, and a dry run finds out.
    pub(super) fn disconnected(&mut self, id: MemberId, now: Time) {
        if let Some(peer) = self.peer_mut(id) {
            peer.is_connected = false;
            // It may come back without its disk, and then knows of no configuration by which it could answer: it is sent ours.
            peer.config = ConfigId::NONE;
        }
        self.stream_lost(id, now);
        if self.primary == Some(id)
            && !matches!(self.role, Role::Primary(_))
            && self.detection_time().is_some()
        {
            self.hears_primary = false;
            self.timers.clear(Timer::Hush);
            let at = now + self.spread(RESET_SPREAD);
            self.timers.set(Timer::Silence, at);
        }
    }

    pub(super) fn silence(&mut self, now: Time) {
        self.hears_primary = false;
        // Votes that went to two candidates do not come back: better another term than the wait for who may be dead.
        let is_split = |ballot: &Ballot| !ballot.dry_run && !ballot.refused.is_empty();
        if self.ballot.as_ref().is_none_or(is_split) {
            self.stand(Reason::PrimaryLost, true, None, now);
        }
        if !matches!(self.role, Role::Primary(_)) {
            self.retry_later(now);
        }
    }

    fn retry_later(&mut self, now: Time) {
        if self.detection_time().is_some() {
            let at = now + RETRY_WAIT + self.spread(RETRY_SPREAD);
            self.timers.set(Timer::Silence, at.max(now + MILLISECOND));
        }
    }

    pub(super) fn election_timeout(&mut self, now: Time) {
        if matches!(self.role, Role::Primary(_)) {
            return;
        }
        self.hears_primary = false;
        let timeout = self.election_timeout_time();
        let at = now + timeout + self.spread(timeout * 15 / 100);
        self.timers.set(Timer::Election, at);
        if self.ballot.is_none() {
            self.stand(Reason::ElectionTimeout, true, None, now);
        }
    }

    /// Whether this member may stand now.
    pub(super) fn can_stand(&self, now: Time) -> Result<(), &'static str> {
        if !matches!(self.role, Role::Secondary) {
            return Err("not a secondary");
        }
        if !self.own().is_some_and(MemberConfig::is_electable) {
            return Err("not electable by its configuration");
        }
        if now < self.frozen_until {
            return Err("frozen");
        }
        if self.written < self.persistent.floor {
            return Err("its data was lost and is not complete again");
        }
        Ok(())
    }

    /// Stands for election: first to see whether it could be won, then in earnest.
    pub(super) fn stand(&mut self, reason: Reason, dry_run: bool, request: Option<u64>, now: Time) {
        let (Ok(()), Some(me)) = (self.can_stand(now), self.me) else { return };
        self.give_up_ballot();
        let election = self.persistent.term + 1;
        if !dry_run {
            self.persistent.term = election;
            self.persistent.voted_for = Some(me);
            self.primary = None;
            for peer in &mut self.peers {
                peer.has_answered = false;
            }
        }
        self.ballot =
            Some(Ballot { dry_run, election, reason, granted: vec![me], refused: Vec::new(), request });
        self.timers.set(Timer::Ballot, now + BALLOT_TIMEOUT);
        let body = Body::VoteRequest(VoteRequest {
            dry_run,
            election,
            last: self.written,
            config: self.config_id(),
            reason,
        });
        self.say_all(&body);
        self.count_ballot(now);
    }

    pub(super) fn vote_request(&mut self, from: MemberId, term: i64, request: VoteRequest, now: Time) {
        let refused = self.denial(from, term, request).err();
        if refused.is_none() && !request.dry_run {
            self.persistent.voted_for = Some(from);
            // Gives the winner time to be heard.
            self.wait_for_primary(now);
        }
        let reply =
            VoteReply { dry_run: request.dry_run, election: request.election, refused, last: self.written };
        self.say(from, Body::VoteReply(reply));
    }

    fn denial(&self, from: MemberId, term: i64, request: VoteRequest) -> Result<(), Denial> {
        let own_term = self.persistent.term;
        if term < own_term || request.election < own_term || request.dry_run && request.election <= own_term {
            return Err(Denial::OldTerm);
        }
        if self.config_id().is_newer_than(request.config) && !self.has(Bug::IgnoreConfigOrder) {
            return Err(Denial::OldConfig);
        }
        let floor = if self.has(Bug::ForgetFloor) { OpTime::default() } else { self.persistent.floor };
        if request.last < self.written.max(floor) && !self.has(Bug::IgnoreFreshness) {
            return Err(Denial::Stale);
        }
        if request.dry_run {
            let hears = self.hears_primary || matches!(self.role, Role::Primary(_));
            if request.reason.claims_no_primary() && hears && !self.has(Bug::DeposeHeardPrimary) {
                return Err(Denial::PrimaryHeard);
            }
            return Ok(());
        }
        match self.persistent.voted_for {
            Some(other) if other != from && !self.has(Bug::VoteTwice) => Err(Denial::AlreadyVoted),
            _ => Ok(()),
        }
    }

    pub(super) fn vote_reply(&mut self, from: MemberId, reply: VoteReply, now: Time) {
        if let Some(peer) = self.peer_mut(from) {
            peer.tip = reply.last;
            peer.has_answered |= !reply.dry_run;
            peer.replied = Some(now);
        }
        let Some(ballot) = &mut self.ballot else { return };
        if (ballot.dry_run, ballot.election) != (reply.dry_run, reply.election) {
            return;
        }
        let list = if reply.refused.is_none() { &mut ballot.granted } else { &mut ballot.refused };
        if !list.contains(&from) {
            list.push(from);
            list.sort_unstable();
        }
        if reply.refused.is_some() {
            self.check_lost(reply.refused, now);
        }
        self.count_ballot(now);
    }

    fn check_lost(&mut self, why: Option<Denial>, now: Time) {
        let (Some(config), Some(ballot)) = (&self.config, &self.ballot) else { return };
        // Who cannot be reached will not decide it either.
        let is_out = |id: MemberId| {
            ballot.refused.contains(&id)
                || !ballot.granted.contains(&id) && self.peer(id).is_some_and(|peer| !peer.is_connected)
        };
        let refused = config.voters().filter(|voter| is_out(voter.id)).count();
        if config.voters().count() - refused < config.majority() {
            self.ballot_lost(why, now);
        }
    }

    fn count_ballot(&mut self, now: Time) {
        let (Some(config), Some(ballot)) = (&self.config, &self.ballot) else { return };
        let granted = config.voters().filter(|voter| ballot.granted.contains(&voter.id)).count();
        if granted < config.majority() {
            return;
        }
        let (dry_run, reason, request) = (ballot.dry_run, ballot.reason, ballot.request);
        self.ballot = None;
        self.timers.clear(Timer::Ballot);
        if dry_run {
            self.stand(reason, false, request, now);
        } else {
            if let Some(request) = request {
                self.answer(request, Ok(()));
            }
            self.take_office(now);
        }
    }

    pub(super) fn ballot_lost(&mut self, why: Option<Denial>, now: Time) {
        let Some(ballot) = self.ballot.take() else { return };
        self.timers.clear(Timer::Ballot);
        if let Some(request) = ballot.request {
            self.answer(request, Err(Refusal::ElectionLost(why)));
        }
        if ballot.reason == Reason::PrimaryLost || !ballot.dry_run {
            self.retry_later(now);
        }
    }

    pub(super) fn give_up_ballot(&mut self) {
        self.timers.clear(Timer::Ballot);
        if let Some(Ballot { request: Some(request), .. }) = self.ballot.take() {
            self.out.push(Effect::Reply { request, result: Err(Refusal::ElectionLost(None)) });
        }
    }

    /// Called after every status: sets or ends the waits for a takeover.
    pub(super) fn consider_takeovers(&mut self, now: Time) {
        if self.wants_priority_takeover() {
            let timeout = self.election_timeout_time();
            if !self.timers.is_set(Timer::PriorityTakeover) {
                let rank = self.priority_rank();
                let at = now + timeout * (rank + 1) + self.spread(timeout * 15 / 100);
                self.timers.set(Timer::PriorityTakeover, at);
            }
        } else {
            self.timers.clear(Timer::PriorityTakeover);
        }
        let delay = self.config.as_ref().and_then(|config| config.settings.catch_up_takeover_delay_millis);
        match delay {
            Some(delay) if self.wants_catch_up_takeover() => {
                self.timers.set_once(Timer::CatchUpTakeover, now + delay * MILLISECOND);
            }
            _ => self.timers.clear(Timer::CatchUpTakeover),
        }
    }

    /// How many members have a higher priority than this one.
    fn priority_rank(&self) -> Time {
        let Some(own) = self.own().map(|own| own.priority) else { return 0 };
        let higher = self.config.iter().flat_map(|config| &config.members);
        higher.filter(|other| other.is_electable() && other.priority > own).count() as Time
    }

    fn primary_peer(&self) -> Option<&super::member::Peer> {
        self.primary.and_then(|primary| self.peer(primary)).filter(|peer| peer.state == Some(State::Primary))
    }

    fn wants_priority_takeover(&self) -> bool {
        let (Role::Secondary, Some(own), Some(primary)) = (&self.role, self.own(), self.primary_peer())
        else {
            return false;
        };
        let theirs = self
            .config
            .as_ref()
            .and_then(|config| config.member(primary.id))
            .map_or(0.0, |other| other.priority);
        own.is_electable()
            && own.priority > theirs
            && self.written.ts.seconds().saturating_add(TAKEOVER_LAG_SECONDS_MAX) >= primary.tip.ts.seconds()
    }

    /// The primary has written nothing in its term yet, and this member has entries that it lacks.
    fn wants_catch_up_takeover(&self) -> bool {
        let (Role::Secondary, Some(own), Some(primary)) = (&self.role, self.own(), self.primary_peer())
        else {
            return false;
        };
        own.is_electable() && primary.tip.term < self.persistent.term && self.written > primary.tip
    }

    pub(super) fn priority_takeover(&mut self, now: Time) {
        if self.wants_priority_takeover() && self.ballot.is_none() {
            self.stand(Reason::PriorityTakeover, true, None, now);
        }
        // Not won: the wait begins anew.
        self.consider_takeovers(now);
    }

    pub(super) fn catch_up_takeover(&mut self, now: Time) {
        if self.wants_catch_up_takeover() && self.ballot.is_none() {
            self.stand(Reason::CatchUpTakeover, true, None, now);
        }
    }
}
