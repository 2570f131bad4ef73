//! The configuration of a replica set as a value: who is in it, who votes, who holds data, and which quorums follow.
//! Majorities are computed here and nowhere else.

mod document;
mod reconfig;
mod settings;

pub use reconfig::{Change, Refused};
pub use settings::Settings;

use bson::Document;
use bson::oid::ObjectId;
use std::hash::{Hash, Hasher};
use types::OpTime;

/// Most members of a set.
pub const MEMBERS_MAX: usize = 50;
/// Most voting members of a set.
pub const VOTERS_MAX: usize = 7;
/// Highest priority.
pub const ELECTABLE_PRIORITY_MAX: f64 = 1000.0;
/// The term of a configuration that was forced on a set without an election.
pub const FORCED_TERM: i64 = -1;

/// `_id` of a member in the configuration: its name in the protocol.
pub type MemberId = i32;

/// One member of the set.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberConfig {
    pub id: MemberId,
    /// `host:port`.
    pub host: String,
    pub arbiter_only: bool,
    pub build_indexes: bool,
    pub hidden: bool,
    pub priority: f64,
    pub tags: Document,
    pub secondary_delay_seconds: i64,
    pub votes: i32,
    /// Added as a voter, but without data yet: counts as priority 0, votes 0 until the primary saw it caught up.
    pub newly_added: bool,
}

/// A whole configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct SetConfig {
    /// `_id`: the name of the set.
    pub name: String,
    pub version: i64,
    pub term: i64,
    pub members: Vec<MemberConfig>,
    /// `configsvr: true` on the config server's set.
    pub configsvr: bool,
    pub replica_set_id: ObjectId,
    pub settings: Settings,
}

/// Which configuration: compared by [`ConfigId::is_newer_than`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConfigId {
    pub term: i64,
    pub version: i64,
}

impl ConfigId {
    /// Of a member that has none.
    pub const NONE: ConfigId = ConfigId { term: FORCED_TERM, version: 0 };

    /// The term decides, then the version; a forced configuration has no term, so there the version alone decides.
    pub fn is_newer_than(self, other: ConfigId) -> bool {
        if self.term == FORCED_TERM || other.term == FORCED_TERM {
            return self.version > other.version;
        }
        (self.term, self.version) > (other.term, other.version)
    }
}

impl MemberConfig {
    /// A plain voting member.
    pub fn new(id: MemberId, host: &str) -> MemberConfig {
        MemberConfig {
            id,
            host: host.to_owned(),
            arbiter_only: false,
            build_indexes: true,
            hidden: false,
            priority: 1.0,
            tags: Document::new(),
            secondary_delay_seconds: 0,
            votes: 1,
            newly_added: false,
        }
    }

    /// Has a vote now.
    pub fn is_voter(&self) -> bool {
        self.votes > 0 && !self.newly_added
    }

    /// Holds data.
    pub fn holds_data(&self) -> bool {
        !self.arbiter_only
    }

    /// May become primary.
    pub fn is_electable(&self) -> bool {
        self.is_voter() && self.holds_data() && self.priority > 0.0
    }
}

impl SetConfig {
    /// The configuration of a set of one: this member alone.
    pub fn single(name: &str, host: &str, configsvr: bool, replica_set_id: ObjectId) -> SetConfig {
        SetConfig::of(name, vec![MemberConfig::new(0, host)], configsvr, replica_set_id)
    }

    /// The first configuration of these members, with default settings.
    pub fn of(
        name: &str,
        members: Vec<MemberConfig>,
        configsvr: bool,
        replica_set_id: ObjectId,
    ) -> SetConfig {
        SetConfig {
            name: name.to_owned(),
            version: 1,
            term: 1,
            members,
            configsvr,
            replica_set_id,
            settings: Settings::default(),
        }
    }

    /// Which configuration this is.
    pub fn config_id(&self) -> ConfigId {
        ConfigId { term: self.term, version: self.version }
    }

    /// The member of that `_id`.
    pub fn member(&self, id: MemberId) -> Option<&MemberConfig> {
        self.members.iter().find(|member| member.id == id)
    }

    /// Those with a vote.
    pub fn voters(&self) -> impl Iterator<Item = &MemberConfig> {
        self.members.iter().filter(|member| member.is_voter())
    }

    /// How many votes elect a primary.
    pub fn majority(&self) -> usize {
        self.voters().count() / 2 + 1
    }

    /// How many voters that hold data must have an entry for `w: majority`: a majority of votes, or all of them where arbiters are so
    /// many that there are fewer. Either way an elected primary has the entry or got a vote from a member that has it.
    pub fn write_majority(&self) -> usize {
        self.majority().min(self.voters().filter(|member| member.holds_data()).count())
    }

    /// The newest point that a write majority has reached, given how far each member has come.
    pub fn reached_by_majority(&self, position: impl Fn(MemberId) -> OpTime) -> OpTime {
        self.reached_by(self.write_majority(), position)
    }

    /// The newest point that `count` voters that hold data have reached.
    pub(crate) fn reached_by(&self, count: usize, position: impl Fn(MemberId) -> OpTime) -> OpTime {
        let mut reached: Vec<OpTime> =
            self.voters().filter(|member| member.holds_data()).map(|member| position(member.id)).collect();
        reached.sort_unstable_by(|a, b| b.cmp(a));
        count.checked_sub(1).and_then(|index| reached.get(index).copied()).unwrap_or_default()
    }
}

// Tags and settings take no part: equal configurations have equal ids and members, which is all a hash has to keep.
impl Hash for SetConfig {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.config_id().hash(state);
        for member in &self.members {
            (member.id, member.votes, member.arbiter_only, member.hidden, member.newly_added).hash(state);
            member.priority.to_bits().hash(state);
        }
    }
}
