//! Heartbeats and keep-alives: who is there, how far, with which configuration, and under which primary.

use super::config::{ConfigId, MemberId};
use super::member::{Member, Peer, Role};
use super::message::{Body, State, Status};
use super::step_down::ASK_INTERVAL;
use super::timer::{MILLISECOND, SECOND, Time, Timer};
use std::sync::Arc;
use types::OpTime;

impl Member {
    pub(super) fn send_heartbeats(&mut self, now: Time) {
        let Some(config) = &self.config else { return };
        if matches!(self.role, Role::Removed) {
            return;
        }
        let is_leaving = matches!(&self.role, Role::Primary(office) if office.step_down.is_some());
        let interval = match is_leaving {
            true => ASK_INTERVAL,
            false => config.settings.heartbeat_interval_millis.min(3600 * 1000) * MILLISECOND,
        };
        self.timers.set(Timer::Heartbeat, now + interval);
        let config = Arc::clone(config);
        self.say_all(&Body::Heartbeat { sent: now, status: self.status() });
        if matches!(self.role, Role::Primary(_)) {
            // A member that has no configuration cannot answer; and what was sent before may be lost.
            let behind = |peer: &&Peer| config.config_id().is_newer_than(peer.config);
            let behind: Vec<MemberId> = self.peers.iter().filter(behind).map(|peer| peer.id).collect();
            for id in behind {
                self.say(id, Body::Config(Arc::clone(&config)));
            }
        }
    }

    /// Somebody told how it is.
    pub(super) fn note_status(&mut self, from: MemberId, term: i64, status: Status, now: Time) {
        let own_config = self.config_id();
        let is_current = term == self.persistent.term;
        if let Some(peer) = self.peer_mut(from) {
            peer.state = Some(status.state);
            peer.source = status.source;
            peer.primary = status.primary;
            peer.config = status.config;
            peer.tip = status.position.written();
            peer.position.raise(status.position);
            peer.has_answered |= is_current;
        }
        if own_config.is_newer_than(status.config) {
            if let Some(config) = self.config.clone() {
                self.say(from, Body::Config(config));
            }
        } else if status.config.is_newer_than(own_config) {
            // It sends its own when it hears how old ours is.
            self.say(from, self.reply(0));
        }
        if is_current && status.state == State::Primary {
            self.heard_primary(from, now);
        } else if self.primary == Some(from) && is_current {
            // It was, and says that it is no longer.
            self.primary = None;
            self.hears_primary = false;
            self.wait_for_primary(now);
        }
        self.learn_commit_point(status.commit_point, false);
        self.consider_takeovers(now);
    }

    /// Somebody answered: the way is open in both directions.
    pub(super) fn note_reply(&mut self, from: MemberId, sent: Time, now: Time) {
        let Some(peer) = self.peer_mut(from) else { return };
        peer.replied = Some(now);
        if sent > 0 {
            let ping = now.saturating_sub(sent);
            peer.ping = Some(peer.ping.map_or(ping, |before| (before * 4 + ping) / 5));
        }
        self.await_majority(now);
    }

    pub(super) fn keep_alive(
        &mut self,
        from: MemberId,
        term: i64,
        commit_point: OpTime,
        config: ConfigId,
        now: Time,
    ) {
        if term < self.persistent.term {
            // A primary that has not heard of its successor.
            self.say(from, self.reply(0));
            return;
        }
        if let Some(peer) = self.peer_mut(from) {
            peer.state = Some(State::Primary);
        }
        self.heard_primary(from, now);
        self.learn_commit_point(commit_point, false);
        if config != self.config_id() {
            self.say(from, self.reply(0));
        }
    }

    /// Whether that member was heard of late.
    pub(super) fn is_up(&self, id: MemberId, now: Time) -> bool {
        let timeout =
            self.config.as_ref().map_or(10, |config| config.settings.heartbeat_timeout_seconds) * SECOND;
        self.peer(id).is_some_and(|peer| {
            peer.is_connected && peer.heard.is_some_and(|heard| now.saturating_sub(heard) < timeout)
        })
    }
}
