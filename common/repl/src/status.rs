//! `replSetGetStatus` and what else people and metrics are shown. Built from one look at the driver, when somebody asks.

use crate::core::config::MemberConfig;
use crate::core::message::{Position, State};
use crate::core::timer::{SECOND, Time};
use crate::shared::Shared;
use crate::view::View;
use bson::{Bson, Document, doc};
use types::{OpTime, Timestamp};

/// How everything is at one moment.
#[derive(Debug)]
pub(crate) struct Inspection {
    pub(crate) now: Time,
    pub(crate) state: State,
    pub(crate) position: Position,
    pub(crate) commit_point: OpTime,
    pub(crate) peers: Vec<crate::core::PeerView>,
}

/// How far an initial sync is.
#[derive(Debug, Clone)]
pub(crate) struct CopyStatus {
    pub(crate) source: String,
    pub(crate) started_millis: i64,
    pub(crate) begin: OpTime,
    pub(crate) until: Timestamp,
    pub(crate) applied: OpTime,
    pub(crate) ranges: u64,
    pub(crate) ranges_done: u64,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) bytes_expected: u64,
    pub(crate) failures: u32,
    pub(crate) last_failure: Option<String>,
}

impl CopyStatus {
    /// A copy from that source begins, or goes on.
    pub(crate) fn begin(shared: &Shared, source: &str) {
        let mut held = shared.copy.lock();
        match &mut *held {
            Some(copy) => copy.source = source.to_owned(),
            None => *held = Some(CopyStatus::begun(source)),
        }
    }

    fn begun(source: &str) -> CopyStatus {
        CopyStatus {
            source: source.to_owned(),
            started_millis: runtime::clock::now_millis(),
            begin: OpTime::default(),
            until: Timestamp::ZERO,
            applied: OpTime::default(),
            ranges: 0,
            ranges_done: 0,
            records: 0,
            bytes: 0,
            bytes_expected: 0,
            failures: 0,
            last_failure: None,
        }
    }

    fn document(&self) -> Document {
        let millis = runtime::clock::now_millis() - self.started_millis;
        let mut doc = doc! {
            "failedInitialSyncAttempts": i64::from(self.failures),
            "maxFailedInitialSyncAttempts": 0_i64,
            "initialSyncStart": bson::DateTime::from_millis(self.started_millis),
            "totalInitialSyncElapsedMillis": millis,
            "syncSourceHost": &self.source,
            "approxTotalDataSize": count(self.bytes_expected),
            "approxTotalBytesCopied": count(self.bytes),
            "recordsCopied": count(self.records),
            "ranges": { "total": count(self.ranges), "copied": count(self.ranges_done) },
            "initialSyncOplogStart": bson::Timestamp::from(self.begin.ts),
        };
        if self.until != Timestamp::ZERO {
            doc.insert("initialSyncOplogEnd", bson::Timestamp::from(self.until));
        }
        if self.applied != OpTime::default() {
            doc.insert("appliedUpTo", bson::Timestamp::from(self.applied.ts));
        }
        let left = self.bytes_expected.saturating_sub(self.bytes);
        if self.bytes > 0 && left > 0 {
            let per_byte = millis as f64 / self.bytes as f64;
            doc.insert("remainingInitialSyncEstimatedMillis", (left as f64 * per_byte) as i64);
        }
        if let Some(why) = &self.last_failure {
            doc.insert("lastFailure", why);
        }
        doc
    }
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn op_time(at: OpTime) -> Document {
    doc! { "ts": bson::Timestamp::from(at.ts), "t": at.term }
}

fn date(at: OpTime) -> bson::DateTime {
    bson::DateTime::from_millis(i64::from(at.ts.seconds()) * 1000)
}

/// The name of a state, as MongoDB has it.
pub fn state_name(state: State) -> &'static str {
    match state {
        State::Startup => "STARTUP",
        State::Primary => "PRIMARY",
        State::Secondary => "SECONDARY",
        State::Startup2 => "STARTUP2",
        State::Arbiter => "ARBITER",
        State::Rollback => "ROLLBACK",
        State::Removed => "REMOVED",
    }
}

/// `replSetGetStatus` of a member that has a configuration.
pub(crate) fn status(shared: &Shared, view: &View, seen: &Inspection) -> Document {
    let Some(config) = &view.config else { return Document::new() };
    let now_millis = runtime::clock::now_millis();
    let source = view.source.and_then(|source| config.member(source));
    let committed = if view.is_alone { shared.data.durable() } else { seen.commit_point };
    let (applied, durable) = match view.is_alone {
        true => (shared.data.last(), shared.data.durable()),
        false => (seen.position.applied, seen.position.durable),
    };
    let writable_voters = config.voters().filter(|voter| voter.holds_data()).count();
    let mut status = doc! {
        "set": &config.name,
        "date": bson::DateTime::from_millis(now_millis),
        "myState": seen.state as i32,
        "term": view.term,
        "syncSourceHost": source.map_or("", |source| source.host.as_str()),
        "syncSourceId": source.map_or(-1, |source| source.id),
        "heartbeatIntervalMillis": count(config.settings.heartbeat_interval_millis),
        "majorityVoteCount": config.majority() as i32,
        "writeMajorityCount": config.write_majority() as i32,
        "votingMembersCount": config.voters().count() as i32,
        "writableVotingMembersCount": writable_voters as i32,
        "optimes": {
            "lastCommittedOpTime": op_time(committed),
            "lastCommittedWallTime": date(committed),
            "readConcernMajorityOpTime": op_time(committed),
            "appliedOpTime": op_time(applied),
            "durableOpTime": op_time(durable),
            "lastAppliedWallTime": date(applied),
            "lastDurableWallTime": date(durable),
        },
    };
    if let Some(copy) = &*shared.copy.lock() {
        status.insert("initialSyncStatus", copy.document());
    }
    if view.accepts_writes {
        status.insert(
            "electionCandidateMetrics",
            doc! {
                "lastElectionReason": "electionTimeout",
                "lastElectionDate": bson::DateTime::from_millis(view.elected_millis),
                "electionTerm": view.term,
                "numVotesNeeded": config.majority() as i32,
                "priorityAtElection": view.own().map_or(1.0, |own| own.priority),
                "electionTimeoutMillis": count(config.settings.election_timeout_millis),
                "newTermStartDate": bson::DateTime::from_millis(view.elected_millis),
            },
        );
    }
    let members: Vec<Bson> = config
        .members
        .iter()
        .map(|member| {
            let shown = if Some(member.id) == view.me {
                own_member(shared, view, seen, member, applied, durable)
            } else {
                other_member(view, seen, member, now_millis)
            };
            Bson::Document(shown)
        })
        .collect();
    status.insert("members", members);
    status
}

fn own_member(
    shared: &Shared,
    view: &View,
    seen: &Inspection,
    member: &MemberConfig,
    applied: OpTime,
    durable: OpTime,
) -> Document {
    let config = view.config.as_ref();
    let source = view.source.and_then(|source| config?.member(source));
    let mut shown = doc! {
        "_id": member.id,
        "name": &member.host,
        "health": 1.0,
        "state": seen.state as i32,
        "stateStr": state_name(seen.state),
        "uptime": count((runtime::clock::now() - shared.started).as_secs()),
    };
    if member.holds_data() {
        shown.insert("optime", op_time(applied));
        shown.insert("optimeDate", date(applied));
        shown.insert("lastAppliedWallTime", date(applied));
        shown.insert("lastDurableWallTime", date(durable));
    }
    shown.insert("syncSourceHost", source.map_or("", |source| source.host.as_str()));
    shown.insert("syncSourceId", source.map_or(-1, |source| source.id));
    shown.insert("infoMessage", "");
    if view.accepts_writes {
        shown.insert("electionTime", bson::Timestamp::from(view.election_time));
        shown.insert("electionDate", bson::DateTime::from_millis(view.elected_millis));
    }
    add_config(
        &mut shown,
        config.map(|config| config.config_id()).unwrap_or(crate::core::config::ConfigId::NONE),
    );
    shown.insert("self", true);
    shown.insert("lastHeartbeatMessage", "");
    shown
}

fn add_config(shown: &mut Document, id: crate::core::config::ConfigId) {
    shown.insert("configVersion", i32::try_from(id.version).unwrap_or(i32::MAX));
    shown.insert("configTerm", i32::try_from(id.term).unwrap_or(i32::MAX));
}

fn other_member(view: &View, seen: &Inspection, member: &MemberConfig, now_millis: i64) -> Document {
    let peer = seen.peers.iter().find(|peer| peer.id == member.id);
    let config = view.config.as_ref();
    let timeout = config.map_or(10, |config| config.settings.heartbeat_timeout_seconds) * SECOND;
    let silence = |heard: Time| seen.now.saturating_sub(heard);
    let is_up = peer
        .is_some_and(|peer| peer.is_connected && peer.heard.is_some_and(|heard| silence(heard) < timeout));
    let state = peer.and_then(|peer| peer.state).filter(|_| is_up);
    let (number, name) = match state {
        Some(state) => (state as i32, state_name(state)),
        // It answers, but has not said what it is; or it does not answer.
        None if is_up => (0, "STARTUP"),
        None => (8, "(not reachable/healthy)"),
    };
    let mut shown = doc! {
        "_id": member.id,
        "name": &member.host,
        "health": if is_up { 1.0 } else { 0.0 },
        "state": number,
        "stateStr": name,
        "uptime": 0_i64,
    };
    let position = peer.map(|peer| peer.position).unwrap_or_default();
    if member.holds_data() {
        shown.insert("optime", op_time(position.written()));
        shown.insert("optimeDurable", op_time(position.durable));
        shown.insert("optimeDate", date(position.written()));
        shown.insert("optimeDurableDate", date(position.durable));
        shown.insert("lastAppliedWallTime", date(position.applied));
        shown.insert("lastDurableWallTime", date(position.durable));
    }
    let heard = peer.and_then(|peer| peer.heard);
    let heard_millis =
        heard.map_or(0, |heard| now_millis - i64::try_from(silence(heard) / 1000).unwrap_or(i64::MAX));
    shown.insert("lastHeartbeat", bson::DateTime::from_millis(heard_millis));
    shown.insert("lastHeartbeatRecv", bson::DateTime::from_millis(heard_millis));
    shown.insert("pingMs", peer.and_then(|peer| peer.ping).map_or(0, |ping| count(ping / 1000)));
    shown.insert("lastHeartbeatMessage", if is_up { "" } else { "no answer" });
    let source = peer.and_then(|peer| peer.source).and_then(|source| config?.member(source));
    shown.insert("syncSourceHost", source.map_or("", |source| source.host.as_str()));
    shown.insert("syncSourceId", source.map_or(-1, |source| source.id));
    shown.insert("infoMessage", "");
    add_config(&mut shown, peer.map_or(crate::core::config::ConfigId::NONE, |peer| peer.config));
    shown
}
