//! Whether enough members have an entry, for each way of saying how many are enough.

use super::config::{MemberId, SetConfig};
use super::member::Member;
use super::message::Position;
use bson::Bson;
use types::concern::W;
use types::{Code, Fault, OpTime};

/// What a primary counts by.
#[derive(Debug, Clone, Copy)]
pub struct Reached<'a> {
    pub config: Option<&'a SetConfig>,
    /// The term of the one who counts.
    pub term: i64,
    pub commit_point: OpTime,
}

impl Reached<'_> {
    /// Whether an entry that is in this primary's log has reached what `w` asks for; `journal` asks for synced copies. `position` says
    /// how far a member has come; this one's `applied` is the end of its log.
    ///
    /// # Errors
    /// What no waiting can bring: `CannotSatisfyWriteConcern` (100), `UnknownReplWriteConcern` (79), `NoSuchKey` (4).
    pub fn is_satisfied(
        &self,
        entry: OpTime,
        w: &W,
        journal: bool,
        position: impl Fn(MemberId) -> Position,
    ) -> Result<bool, Fault> {
        let Some(config) = self.config else {
            return Err(Fault::new(Code::NotYetInitialized, "no replset config has been received"));
        };
        let with_data = || config.members.iter().filter(|member| member.holds_data());
        let has_entry = |id| self.has_entry(position(id), entry, journal);
        match w {
            W::Majority | W::Default => Ok(self.commit_point >= entry),
            W::Count(count) => {
                let count = *count as usize;
                if count > with_data().count() {
                    return Err(Fault::new(Code::CannotSatisfyWriteConcern, "Not enough data-bearing nodes"));
                }
                Ok(with_data().filter(|member| has_entry(member.id)).count() >= count)
            }
            W::Mode(mode) => {
                let Some(tags) = config.settings.modes.get(mode) else {
                    return Err(Fault::new(
                        Code::UnknownReplWriteConcern,
                        format!("No write concern mode named '{mode}' found in replica set configuration"),
                    ));
                };
                if !tags.iter().all(|(tag, count)| values(config, tag, |_| true) >= *count as usize) {
                    return Err(Fault::new(
                        Code::CannotSatisfyWriteConcern,
                        format!("Not enough nodes match write concern mode \"{mode}\""),
                    ));
                }
                Ok(tags.iter().all(|(tag, count)| values(config, tag, has_entry) >= *count as usize))
            }
            W::Tags(tags) => {
                for (tag, count) in tags {
                    let there = values(config, tag, |_| true);
                    if there == 0 {
                        return Err(Fault::new(
                            Code::NoSuchKey,
                            format!("no member of the replica set has the tag '{tag}'"),
                        ));
                    }
                    if there < *count as usize {
                        return Err(Fault::new(
                            Code::CannotSatisfyWriteConcern,
                            format!("the members have {there} values of the tag '{tag}', not {count}"),
                        ));
                    }
                }
                Ok(tags.iter().all(|(tag, count)| values(config, tag, has_entry) >= *count as usize))
            }
        }
    }

    /// A place in another log says something about ours only within one term, or if it is of ours.
    fn has_entry(&self, position: Position, entry: OpTime, journal: bool) -> bool {
        let at = if journal { position.durable } else { position.written() };
        at >= entry && (at.term == entry.term || at.term == self.term)
    }
}

/// How many values of a tag there are among those with data of whom `counts` is true.
fn values(config: &SetConfig, tag: &str, counts: impl Fn(MemberId) -> bool) -> usize {
    let mut found: Vec<&Bson> = Vec::new();
    let having = config.members.iter().filter(|member| member.holds_data() && counts(member.id));
    for value in having.filter_map(|member| member.tags.get(tag)) {
        if !found.contains(&value) {
            found.push(value);
        }
    }
    found.len()
}

impl Member {
    /// As [`Reached::is_satisfied`], by what this member knows.
    ///
    /// # Errors
    /// As [`Reached::is_satisfied`].
    pub fn is_satisfied(&self, entry: OpTime, w: &W, journal: bool) -> Result<bool, Fault> {
        let reached = Reached {
            config: self.config.as_deref(),
            term: self.persistent.term,
            commit_point: self.commit_point,
        };
        reached.is_satisfied(entry, w, journal, |id| match Some(id) == self.me {
            true => Position { applied: self.written, durable: self.position.durable },
            false => self.peer(id).map(|peer| peer.position).unwrap_or_default(),
        })
    }
}
