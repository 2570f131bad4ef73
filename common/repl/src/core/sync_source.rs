//! From whom a member pulls: somebody ahead of it, near, and not pulling from it in turn. A member that nobody can serve any more,
//! because every log begins after its own ends, copies the data anew.

use super::bug::Bug;
use super::config::{MEMBERS_MAX, MemberConfig, MemberId};
use super::effect::Effect;
use super::event::Verdict;
use super::member::{Member, Office, Phase, Role, Source};
use super::message::State;
use super::refusal::Refusal;
use super::timer::{MILLISECOND, SECOND, Time, Timer};
use types::OpTime;

/// A source that could not serve is left alone for so long.
const AVOID_TIME: Time = SECOND;
/// A source that is further behind the best is left.
const LAG_SECONDS_MAX: u32 = 30;
/// Members whose round trips differ by no more are equally near.
const PING_ALIKE: Time = 5 * MILLISECOND;

impl Member {
    pub(super) fn drop_source(&mut self) {
        if self.source.take().is_some() {
            self.out.push(Effect::Fetch(None));
        }
    }

    /// Leaves a source that has become a bad one, and looks for one where there is none.
    pub(super) fn settle_source(&mut self, now: Time) {
        if let Role::Resync { source: None } = self.role {
            self.resync(now);
            return;
        }
        let is_pulling =
            matches!(self.role, Role::Secondary | Role::Primary(Office { phase: Phase::CatchUp, .. }));
        if !is_pulling {
            return;
        }
        if let Some(Source { id, .. }) = self.source {
            let is_forced = self.forced_source == Some(id);
            if is_forced && self.leads_here(id) {
                self.forced_source = None;
            }
            if !is_forced && self.is_bad_source(id, now) || is_forced && self.forced_source.is_none() {
                self.drop_source();
            }
        }
        if self.source.is_none() {
            let wanted = self.forced_source.filter(|id| self.peer(*id).is_some());
            if let Some(id) = wanted.or_else(|| self.best_source(now)) {
                self.source = Some(Source { id, is_open: false });
                self.timers.clear(Timer::Source);
                self.out.push(Effect::Fetch(Some(id)));
            } else {
                self.resync_if_too_old(now);
            }
        }
    }

    fn best_source(&self, now: Time) -> Option<MemberId> {
        let usable = |strict: bool| {
            self.peers.iter().filter(move |peer| self.is_usable(peer.id, strict, now)).collect::<Vec<_>>()
        };
        let mut found = usable(true);
        if found.is_empty() {
            found = usable(false);
        }
        let nearest = found.iter().map(|peer| peer.ping.unwrap_or(0)).min()?;
        found
            .iter()
            .filter(|peer| peer.ping.unwrap_or(0) <= nearest + PING_ALIKE)
            .min_by_key(|peer| (Some(peer.id) != self.primary, peer.ping.unwrap_or(0), peer.id))
            .map(|peer| peer.id)
    }

    /// `strict` also minds hidden members and lag, which is better than nothing if there is nobody else.
    fn is_usable(&self, id: MemberId, strict: bool, now: Time) -> bool {
        let (Some(config), Some(own), Some(peer)) = (&self.config, self.own(), self.peer(id)) else {
            return false;
        };
        let Some(theirs) = config.member(id) else { return false };
        let is_primary = self.primary == Some(id);
        let may_chain = config.settings.chaining_allowed || matches!(self.role, Role::Primary(_));
        theirs.holds_data()
            && self.is_up(id, now)
            && peer.avoid_until.is_none_or(|until| until <= now)
            && !peer.is_too_new
            && (is_primary || matches!(peer.state, Some(State::Primary | State::Secondary)))
            && (is_primary || may_chain && peer.tip > self.written)
            && (own.is_voter() <= theirs.is_voter() || is_primary)
            && (own.build_indexes <= theirs.build_indexes)
            && theirs.secondary_delay_seconds <= own.secondary_delay_seconds
            && !self.leads_here(id)
            && (!strict || own.hidden || !theirs.hidden)
            && (!strict || is_primary || !self.lags(peer.tip))
    }

    fn lags(&self, tip: OpTime) -> bool {
        let best = self.peers.iter().map(|peer| peer.tip.ts.seconds()).max().unwrap_or(0);
        tip.ts.seconds().saturating_add(LAG_SECONDS_MAX) < best
    }

    /// Whether what that member pulls comes, over however many others, from here.
    fn leads_here(&self, id: MemberId) -> bool {
        if self.has(Bug::SyncInCircles) {
            return false;
        }
        let mut next = Some(id);
        for _ in 0..MEMBERS_MAX {
            let Some(id) = next else { return false };
            if Some(id) == self.me {
                return true;
            }
            if self.primary == Some(id) {
                return false;
            }
            next = self.peer(id).and_then(|peer| peer.source);
        }
        // Others go round in a circle: nothing new comes from there either.
        true
    }

    fn is_bad_source(&self, id: MemberId, now: Time) -> bool {
        let (Some(config), Some(peer)) = (&self.config, self.peer(id)) else { return true };
        if self.primary == Some(id) {
            return !self.is_up(id, now);
        }
        let is_ahead = peer.tip > self.written;
        let chain_forbidden =
            !config.settings.chaining_allowed && self.primary.is_some() && self.primary != self.me;
        !config.member(id).is_some_and(MemberConfig::holds_data)
            || !self.is_up(id, now)
            || !matches!(peer.state, Some(State::Primary | State::Secondary))
            || chain_forbidden
            || self.leads_here(id)
            || (!is_ahead
                && peer.source.is_none()
                && self.best_source(now).is_some()
                && !self.has(Bug::SyncInCircles))
            || self.lags(peer.tip)
    }

    pub(super) fn stream_opened(&mut self, from: MemberId, verdict: Verdict, now: Time) {
        let end = self.end();
        let ignores = self.has(Bug::NoRollback);
        let rolls_anyway = self.has(Bug::RollbackForOlder);
        let Some(source) = self.source.as_mut().filter(|source| source.id == from) else { return };
        match verdict {
            Verdict::Found => {
                source.is_open = true;
                if let Some(peer) = self.peer_mut(from) {
                    peer.is_too_new = false;
                }
                self.report_positions();
            }
            Verdict::Diverged { .. } if ignores => source.is_open = true,
            Verdict::Diverged { last }
                if matches!(self.role, Role::Primary(_)) || last <= end && !rolls_anyway =>
            {
                // A primary undoes nothing; and a member that is behind will have to roll back itself.
                self.avoid(from, now);
                self.drop_source();
                self.end_catch_up();
            }
            Verdict::Diverged { .. } => self.begin_rollback(from),
            Verdict::TooOld { first } => {
                if let Some(peer) = self.peer_mut(from) {
                    peer.is_too_new = first > end;
                }
                self.avoid(from, now);
                self.drop_source();
                self.end_catch_up();
            }
            Verdict::Failed => {
                self.avoid(from, now);
                self.drop_source();
            }
        }
        if !matches!(verdict, Verdict::Found) && self.forced_source == Some(from) {
            self.forced_source = None;
        }
    }

    pub(super) fn stream_lost(&mut self, from: MemberId, now: Time) {
        if self.source.is_some_and(|source| source.id == from) {
            self.source = None;
            self.out.push(Effect::Fetch(None));
            self.avoid(from, now);
            if self.forced_source == Some(from) {
                self.forced_source = None;
            }
        }
        if let Role::Resync { source } = &mut self.role
            && *source == Some(from)
        {
            *source = None;
            self.avoid(from, now);
        }
        if let Role::Rollback { source } = self.role
            && source == from
        {
            // Nothing was cut yet that should not be; the next stream decides anew.
            self.role = Role::Secondary;
            self.avoid(from, now);
        }
    }

    fn avoid(&mut self, id: MemberId, now: Time) {
        if let Some(peer) = self.peer_mut(id) {
            peer.avoid_until = Some(now + AVOID_TIME);
            self.timers.set(Timer::Source, now + AVOID_TIME);
        }
    }

    /// Whether nobody who is ahead can serve this member any more.
    fn resync_if_too_old(&mut self, now: Time) {
        if !matches!(self.role, Role::Secondary) {
            return;
        }
        let ahead = || {
            self.peers.iter().filter(|peer| {
                (peer.tip > self.written || self.primary == Some(peer.id)) && self.is_up(peer.id, now)
            })
        };
        if ahead().next().is_some() && ahead().all(|peer| peer.is_too_new) {
            self.lose_data(now);
        }
    }

    /// Begins anew, but remembers how far it was: some majority may have been counted with it.
    pub(super) fn lose_data(&mut self, now: Time) {
        self.persistent.floor = self.persistent.floor.max(self.written);
        self.written = OpTime::default();
        self.position = super::message::Position::default();
        self.commit_point = OpTime::default();
        self.drop_source();
        self.role = Role::Resync { source: None };
        self.resync(now);
    }

    fn resync(&mut self, now: Time) {
        for peer in &mut self.peers {
            peer.is_too_new = false;
        }
        if let Some(id) = self.best_source(now) {
            self.role = Role::Resync { source: Some(id) };
            self.out.push(Effect::Resync { source: id });
        }
    }

    pub(super) fn resynced(&mut self, last: OpTime, now: Time) {
        if matches!(self.role, Role::Resync { source: Some(_) }) {
            self.written = last;
            self.position = super::message::Position { applied: last, durable: last };
            self.role = Role::Secondary;
            self.wait_for_primary(now);
            // The primary gives a new member its vote once it hears of this.
            self.send_heartbeats(now);
        }
    }

    pub(super) fn sync_from(&mut self, request: u64, id: MemberId) {
        let theirs = self.config.as_ref().and_then(|config| config.member(id));
        let refused = match (&self.role, theirs) {
            (Role::Primary(_), _) => Some("primaries don't sync"),
            (Role::Arbiter, _) => Some("arbiters don't sync"),
            (Role::Secondary, None) => Some("it is not in the configuration"),
            (Role::Secondary, Some(_)) if self.me == Some(id) => Some("it is this member"),
            (Role::Secondary, Some(theirs)) if theirs.arbiter_only => Some("it is an arbiter"),
            (Role::Secondary, Some(_)) if self.leads_here(id) => Some("it syncs from this member"),
            (Role::Secondary, Some(_)) => None,
            _ => Some("this member is no secondary"),
        };
        match refused {
            Some(why) => self.answer(request, Err(Refusal::BadSource(why))),
            None => {
                self.drop_source();
                self.forced_source = Some(id);
                self.answer(request, Ok(()));
            }
        }
    }
}
