//! What the models and the simulation share: configurations, logs and the judge that says what must never happen.
#![allow(dead_code, unreachable_pub)] // each test binary uses its part

pub mod judge;
pub mod model;
pub mod sim;

use bson::oid::ObjectId;
use repl::core::config::{MemberConfig, MemberId, SetConfig};
use std::sync::Arc;
use types::{OpTime, Timestamp};

/// What kind of member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Voter,
    Passive,
    Arbiter,
}

/// `host` of a member.
pub fn host(id: MemberId) -> String {
    format!("m{id}:1")
}

/// A configuration of these members.
pub fn config(version: i64, members: &[(MemberId, Kind)]) -> SetConfig {
    let members = members
        .iter()
        .map(|&(id, kind)| MemberConfig {
            arbiter_only: kind == Kind::Arbiter,
            votes: i32::from(kind != Kind::Passive),
            priority: if kind == Kind::Voter { 1.0 } else { 0.0 },
            ..MemberConfig::new(id, &host(id))
        })
        .collect();
    SetConfig { version, ..SetConfig::of("rs", members, false, ObjectId::from_bytes([1; 12])) }
}

/// The same, shared.
pub fn shared(version: i64, members: &[(MemberId, Kind)]) -> Arc<SetConfig> {
    Arc::new(config(version, members))
}

/// A place in the log.
pub fn at(term: i64, ts: u64) -> OpTime {
    OpTime { ts: Timestamp(ts), term }
}

/// The end of a log.
pub fn end(log: &[OpTime]) -> OpTime {
    log.last().copied().unwrap_or_default()
}

/// The next entry of a primary of that term.
pub fn next_entry(log: &[OpTime], term: i64) -> OpTime {
    OpTime { ts: end(log).ts.next(), term }
}
