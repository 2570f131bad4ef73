//! The commit point: up to where a majority has everything, so that no election can lose it.
//! Only an entry of the primary's own term is committed by counting; what lies before it is committed with it. Only synced entries
//! of voters that hold data count, and only once a majority has the configuration by which they are counted.

use super::bug::Bug;
use super::config::MemberId;
use super::effect::Effect;
use super::member::{Member, Office, Role};
use super::message::{Body, Position, State};
use types::OpTime;

impl Member {
    /// What this member says of itself.
    pub(super) fn reported_position(&self) -> Position {
        let mut position = self.position;
        if self.has(Bug::CountUnsynced) {
            position.durable = self.written;
        }
        position
    }

    /// How far somebody's synced log goes, this member included.
    pub(super) fn durable_of(&self, id: MemberId) -> OpTime {
        if Some(id) == self.me {
            return self.reported_position().durable;
        }
        self.peer(id).map_or_else(OpTime::default, |peer| peer.position.durable)
    }

    /// A primary counts.
    pub(super) fn advance_commit_point(&mut self) {
        let Role::Primary(Office { config_committed, .. }) = &self.role else { return };
        if !config_committed && !self.has(Bug::CommitInPendingConfig) {
            return;
        }
        let Some(config) = &self.config else { return };
        let mut reached = match () {
            () if self.has(Bug::CommitBeforeMajority) => {
                config.reached_by(config.write_majority() - 1, |id| self.durable_of(id))
            }
            () if self.has(Bug::CountArbiters) => {
                let arbiters = config.voters().filter(|voter| voter.arbiter_only).count();
                config.reached_by(config.majority() - arbiters, |id| self.durable_of(id))
            }
            () => config.reached_by_majority(|id| self.durable_of(id)),
        };
        if reached.term != self.persistent.term && !self.has(Bug::CommitOlderTerm) {
            return;
        }
        reached = reached.min(self.written);
        self.raise_commit_point(reached);
    }

    /// A member that is not primary is told. From its own stream the point is about its own log; from elsewhere only if its last
    /// entry is of that point's term, for there is one log per term.
    pub(super) fn learn_commit_point(&mut self, point: OpTime, is_from_source: bool) {
        let is_own_branch =
            is_from_source || point.term == self.written.term || self.has(Bug::CommitPointUnchecked);
        if is_own_branch && matches!(self.role, Role::Secondary) {
            self.raise_commit_point(point.min(self.written));
        }
    }

    fn raise_commit_point(&mut self, to: OpTime) {
        if to > self.commit_point {
            self.commit_point = to;
            self.out.push(Effect::CommitPoint(to));
        }
    }

    /// Tells the source how far this member is, and those behind it.
    pub(super) fn report_positions(&mut self) {
        let (Some(me), Some(source)) = (self.me, self.source) else { return };
        if !source.is_open || self.state() == State::Rollback {
            return;
        }
        let mut positions = vec![(me, self.reported_position())];
        let others = self.peers.iter().filter(|peer| peer.id != source.id);
        positions.extend(
            others.filter(|peer| peer.position != Position::default()).map(|peer| (peer.id, peer.position)),
        );
        self.say(source.id, Body::Positions(positions));
    }

    pub(super) fn note_positions(&mut self, positions: Vec<(MemberId, Position)>) {
        let mut is_news = false;
        for (id, position) in positions {
            let Some(peer) = self.peer_mut(id) else { continue };
            let before = peer.position;
            peer.position.raise(position);
            peer.tip = peer.tip.max(position.written());
            is_news |= peer.position != before;
        }
        if is_news && !matches!(self.role, Role::Primary(_)) {
            self.report_positions();
        }
    }
}
