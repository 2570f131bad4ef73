//! What others may read of a member: for `hello`, `replSetGetStatus`, concerns and checks.

use super::config::{ConfigId, MemberId, SetConfig};
use super::effect::Persistent;
use super::member::{Member, Office, Phase, Role};
use super::message::{Body, Position, State, Status};
use super::timer::Time;
use std::sync::Arc;
use types::OpTime;

/// Another member, as this one sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerView {
    pub id: MemberId,
    pub state: Option<State>,
    pub position: Position,
    pub source: Option<MemberId>,
    pub config: ConfigId,
    pub heard: Option<Time>,
    pub ping: Option<Time>,
    pub is_connected: bool,
}

impl Member {
    /// What it is now.
    pub fn state(&self) -> State {
        match self.role {
            Role::Startup => State::Startup,
            Role::Removed => State::Removed,
            Role::Arbiter => State::Arbiter,
            Role::Resync { .. } => State::Startup2,
            Role::Rollback { .. } => State::Rollback,
            Role::Secondary => State::Secondary,
            Role::Primary(_) => State::Primary,
        }
    }

    /// Its `_id`, once it is in a configuration.
    pub fn id(&self) -> Option<MemberId> {
        self.me
    }

    /// The highest term it has heard of.
    pub fn term(&self) -> i64 {
        self.persistent.term
    }

    /// What outlives a crash.
    pub fn persistent(&self) -> Persistent {
        self.persistent
    }

    /// Its configuration.
    pub fn config(&self) -> Option<&Arc<SetConfig>> {
        self.config.as_ref()
    }

    /// Which one.
    pub fn config_id(&self) -> ConfigId {
        self.config.as_ref().map_or(ConfigId::NONE, |config| config.config_id())
    }

    /// Whom it takes for the primary.
    pub fn primary(&self) -> Option<MemberId> {
        self.primary
    }

    /// Whether it takes writes; not while it is stepping down.
    pub fn accepts_writes(&self) -> bool {
        matches!(&self.role, Role::Primary(Office { phase: Phase::Writable, step_down: None, .. }))
    }

    /// Up to where a majority has everything, as far as it knows.
    pub fn commit_point(&self) -> OpTime {
        self.commit_point
    }

    /// How far it is itself.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The end of its log, synced or not.
    pub fn last_written(&self) -> OpTime {
        self.written
    }

    /// Whom it pulls from.
    pub fn source(&self) -> Option<MemberId> {
        self.source.map(|source| source.id)
    }

    /// Whether entries from that member may be written here now.
    pub fn is_pulling_from(&self, source: MemberId) -> bool {
        self.source.is_some_and(|own| own.id == source && own.is_open)
    }

    /// When it wants [`super::Event::Tick`] next.
    pub fn next_deadline(&self) -> Option<Time> {
        self.timers.next()
    }

    /// The others, in the order of the configuration.
    pub fn peers(&self) -> impl Iterator<Item = PeerView> {
        self.peers.iter().map(|peer| PeerView {
            id: peer.id,
            state: peer.state,
            position: peer.position,
            source: peer.source,
            config: peer.config,
            heard: peer.heard,
            ping: peer.ping,
            is_connected: peer.is_connected,
        })
    }

    /// How it is, as it tells others.
    pub fn status(&self) -> Status {
        Status {
            state: self.state(),
            primary: self.primary,
            position: self.reported_position(),
            commit_point: self.commit_point,
            config: self.config_id(),
            source: self.source(),
        }
    }

    pub(super) fn reply(&self, sent: Time) -> Body {
        Body::HeartbeatReply { sent, status: self.status() }
    }
}
