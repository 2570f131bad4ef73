//! What this process is in its set, as everybody else in the process reads it: immutable, replaced whole when something of it changes.
//! What changes with every write (positions, the commit point) is asked of [`crate::Replication`] itself.

use crate::core::config::{MemberConfig, MemberId, SetConfig};
use crate::core::message::State;
use bson::oid::ObjectId;
use std::sync::Arc;
use types::{OpTime, Timestamp};

/// This member's part.
#[derive(Debug, Clone)]
pub struct View {
    pub state: State,
    /// The highest term heard of.
    pub term: i64,
    /// `None` before a configuration arrived.
    pub config: Option<Arc<SetConfig>>,
    /// This member's `_id`; `None` when it is in no configuration.
    pub me: Option<MemberId>,
    /// Whom this member takes for the primary.
    pub primary: Option<MemberId>,
    /// From whom it pulls.
    pub source: Option<MemberId>,
    /// Takes writes now.
    pub accepts_writes: bool,
    /// Where it takes writes: the id by which drivers tell a newer primary from an older one.
    pub election_id: Option<ObjectId>,
    /// The first entry of the term in which it governs.
    pub election_time: Timestamp,
    /// When it was elected, in milliseconds since 1970.
    pub elected_millis: i64,
    /// It is the only member that is ever to have anything: its own synced log is the majority.
    pub is_alone: bool,
}

impl View {
    /// Before a configuration arrived.
    pub fn uninitiated() -> View {
        View {
            state: State::Startup,
            term: 0,
            config: None,
            me: None,
            primary: None,
            source: None,
            accepts_writes: false,
            election_id: None,
            election_time: Timestamp::ZERO,
            elected_millis: 0,
            is_alone: false,
        }
    }

    /// This member in the configuration.
    pub fn own(&self) -> Option<&MemberConfig> {
        self.config.as_ref()?.member(self.me?)
    }

    /// `host:port` of the primary, if one is known.
    pub fn primary_host(&self) -> Option<&str> {
        let config = self.config.as_ref()?;
        config.member(self.primary?).map(|member| member.host.as_str())
    }

    /// `host:port` of this member, as the configuration calls it.
    pub fn own_host(&self) -> Option<&str> {
        self.own().map(|member| member.host.as_str())
    }

    /// Whether it is a secondary whose data can be read.
    pub fn is_secondary(&self) -> bool {
        self.state == State::Secondary
    }

    /// Rises with the term, as drivers compare it.
    pub fn election_id_of(term: i64) -> ObjectId {
        let mut id = [0_u8; 12];
        id[..4].copy_from_slice(&0x7fff_ffff_u32.to_be_bytes());
        id[4..].copy_from_slice(&term.to_be_bytes());
        ObjectId::from_bytes(id)
    }
}

/// How far a member has come, as this one knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberPosition {
    pub member: MemberId,
    pub applied: OpTime,
    pub durable: OpTime,
}

/// At which time to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadAt {
    /// Whatever is applied.
    Latest,
    /// Exactly then.
    At(Timestamp),
}
