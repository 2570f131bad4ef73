//! Which configuration may follow which. A safe change moves at most one vote, so majorities of the two always share a member;
//! what the primary must have seen before it makes such a change is in `core::reconfig`.

use super::{FORCED_TERM, MemberId, SetConfig};
use std::collections::BTreeSet;
use types::{Code, Fault};

/// How far a forced configuration jumps ahead, so that it wins over any that it has not heard of.
const FORCED_JUMP: i64 = 10_000;

/// What kind of change is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// One vote at a time, by the primary.
    Safe,
    /// By any member, whatever the others say. May lose majority-committed writes.
    Forced,
}

/// Why a configuration may not follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("New and old configurations differ in the field '{0}'")]
    Identity(&'static str),
    #[error("New configuration version {new} must be higher than the old version {old}")]
    Version { new: i64, old: i64 },
    #[error("Non force replica set reconfig can only add or remove at most 1 voting member, not {0}")]
    Voters(usize),
    #[error("members._id {0}: arbiterOnly cannot be changed; remove the member and add it under another _id")]
    Arbiter(MemberId),
    #[error("members {0} and {1} have the same host {2} in the old and the new configuration")]
    Renumbered(MemberId, MemberId, String),
    #[error("this member must stay electable in a configuration that it makes as the primary")]
    NotElectable,
    #[error("this member is not in the new configuration")]
    NotMember,
}

impl Refused {
    /// As the client sees it.
    pub fn fault(&self) -> Fault {
        let code = match self {
            Refused::Identity(_)
            | Refused::Version { .. }
            | Refused::Arbiter(_)
            | Refused::Renumbered(..) => Code::NewReplicaSetConfigurationIncompatible,
            Refused::Voters(_) | Refused::NotElectable => Code::InvalidReplicaSetConfig,
            Refused::NotMember => Code::NodeNotFound,
        };
        Fault::new(code, self.to_string())
    }
}

impl SetConfig {
    /// The configuration to install when a client asks for `self` after `old`: checked, numbered, new voters marked.
    ///
    /// # Errors
    /// What speaks against it.
    pub fn follow(
        mut self,
        old: &SetConfig,
        change: Change,
        me: MemberId,
        term: i64,
    ) -> Result<SetConfig, Refused> {
        if self.name != old.name {
            return Err(Refused::Identity("_id"));
        }
        if self.replica_set_id != old.replica_set_id {
            return Err(Refused::Identity("settings.replicaSetId"));
        }
        if self.configsvr != old.configsvr {
            return Err(Refused::Identity("configsvr"));
        }
        for member in &self.members {
            if let Some(before) = old.member(member.id)
                && before.arbiter_only != member.arbiter_only
            {
                return Err(Refused::Arbiter(member.id));
            }
            if let Some(before) = old.members.iter().find(|other| other.host == member.host)
                && before.id != member.id
                && change == Change::Safe
            {
                return Err(Refused::Renumbered(before.id, member.id, member.host.clone()));
            }
        }
        let own = self.member(me).ok_or(Refused::NotMember)?;
        match change {
            Change::Safe => {
                if !own.is_electable() {
                    return Err(Refused::NotElectable);
                }
                if self.version <= old.version {
                    return Err(Refused::Version { new: self.version, old: old.version });
                }
                self.mark_newly_added(old);
                let moved = self.votes_moved(old);
                if moved > 1 {
                    return Err(Refused::Voters(moved));
                }
                self.term = term;
            }
            Change::Forced => {
                self.version = self.version.max(old.version) + FORCED_JUMP;
                self.term = FORCED_TERM;
            }
        }
        Ok(self)
    }

    /// A member that gains a vote together with its place counts only once it has the data: an empty voter makes majorities larger
    /// without being able to help them.
    fn mark_newly_added(&mut self, old: &SetConfig) {
        for member in &mut self.members {
            member.newly_added = match old.member(member.id) {
                // What a client sends back after `rs.conf()` does not show the mark.
                Some(before) => before.newly_added,
                None => member.votes > 0 && !member.arbiter_only,
            };
        }
    }

    /// How many votes differ.
    pub fn votes_moved(&self, old: &SetConfig) -> usize {
        let voters =
            |config: &SetConfig| config.voters().map(|member| member.id).collect::<BTreeSet<MemberId>>();
        voters(self).symmetric_difference(&voters(old)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::{ConfigId, MemberConfig};
    use bson::oid::ObjectId;

    fn config(version: i64, members: &[(MemberId, i32, bool)]) -> SetConfig {
        let members = members
            .iter()
            .map(|&(id, votes, arbiter_only)| MemberConfig {
                votes,
                arbiter_only,
                priority: if votes > 0 && !arbiter_only { 1.0 } else { 0.0 },
                ..MemberConfig::new(id, &format!("m{id}:1"))
            })
            .collect();
        SetConfig { version, ..SetConfig::of("rs", members, false, ObjectId::from_bytes([1; 12])) }
    }

    fn check(old: SetConfig, new: SetConfig, change: Change, expected: Result<(), Refused>) {
        assert_eq!(new.follow(&old, change, 0, 3).map(|_| ()), expected);
    }

    #[test]
    fn changes_are_safe_or_refused() {
        let three = || config(1, &[(0, 1, false), (1, 1, false), (2, 1, false)]);
        check(three(), config(2, &[(0, 1, false), (1, 1, false)]), Change::Safe, Ok(()));
        check(three(), config(2, &[(0, 1, false)]), Change::Safe, Err(Refused::Voters(2)));
        check(three(), config(2, &[(0, 1, false)]), Change::Forced, Ok(()));
        check(three(), config(1, &[(0, 1, false)]), Change::Safe, Err(Refused::Version { new: 1, old: 1 }));
        check(
            three(),
            config(2, &[(0, 1, false), (1, 1, false), (2, 1, true)]),
            Change::Safe,
            Err(Refused::Arbiter(2)),
        );
        check(
            three(),
            config(2, &[(0, 0, false), (1, 1, false), (2, 1, false)]),
            Change::Safe,
            Err(Refused::NotElectable),
        );
        check(three(), config(2, &[(1, 1, false), (2, 1, false)]), Change::Forced, Err(Refused::NotMember));
        // Two members are added at once: neither votes yet.
        let five = config(2, &[(0, 1, false), (1, 1, false), (2, 1, false), (3, 1, false), (4, 1, false)]);
        let followed = five.follow(&three(), Change::Safe, 0, 3).unwrap();
        assert_eq!((followed.voters().count(), followed.term), (3, 3));
        // Two arbiters at once are two votes.
        check(
            config(1, &[(0, 1, false)]),
            config(2, &[(0, 1, false), (1, 1, true), (2, 1, true)]),
            Change::Safe,
            Err(Refused::Voters(2)),
        );
    }

    #[test]
    fn a_term_beats_a_version_unless_forced() {
        let id = |term, version| ConfigId { term, version };
        for (newer, older) in [
            (id(2, 1), id(1, 9)),
            (id(2, 2), id(2, 1)),
            (id(FORCED_TERM, 9), id(5, 8)),
            (id(5, 10), id(-1, 9)),
        ] {
            assert!(newer.is_newer_than(older), "{newer:?} {older:?}");
            assert!(!older.is_newer_than(newer), "{newer:?} {older:?}");
        }
        assert!(!id(1, 1).is_newer_than(id(1, 1)));
    }

    #[test]
    fn arbiters_vote_but_hold_nothing() {
        for (members, majority, write_majority) in [
            (&[(0, 1, false)][..], 1, 1),
            (&[(0, 1, false), (1, 1, false), (2, 1, true)][..], 2, 2),
            (&[(0, 1, false), (1, 1, true), (2, 1, true)][..], 2, 1),
            (&[(0, 1, false), (1, 1, false), (2, 1, false), (3, 0, false)][..], 2, 2),
        ] {
            let config = config(1, members);
            assert_eq!((config.majority(), config.write_majority()), (majority, write_majority));
        }
    }
}
