//! When two logs have parted: the search for the last entry both have, and what the member does about it.
//!
//! Nothing that a majority acknowledged is undone. The source is ahead of this member, so its last entry is of a later term or later
//! in the same; the primary of that term had everything committed before, and the source has that primary's log up to there.

use super::config::MemberId;
use super::effect::{Broken, Effect};
use super::member::{Member, Role};
use super::message::Position;
use super::timer::Time;
use types::OpTime;

impl Member {
    pub(super) fn begin_rollback(&mut self, source: MemberId) {
        self.drop_source();
        self.give_up_ballot();
        self.role = Role::Rollback { source };
        self.out.push(Effect::FindCommonPoint { source });
    }

    pub(super) fn common_point(&mut self, from: MemberId, found: Option<OpTime>, now: Time) {
        if self.role != (Role::Rollback { source: from }) {
            return;
        }
        match found {
            Some(common) if common < self.commit_point => {
                let broken = Broken::RollbackBehindCommitPoint { common, commit_point: self.commit_point };
                self.out.push(Effect::Halt(broken));
            }
            Some(common) => self.out.push(Effect::Rollback { to: common }),
            None => {
                // The logs have nothing in common that both still hold.
                self.role = Role::Secondary;
                self.lose_data(now);
            }
        }
    }

    pub(super) fn rolled_back(&mut self, last: OpTime, now: Time) {
        if matches!(self.role, Role::Rollback { .. }) {
            self.written = last;
            self.position = Position { applied: last, durable: last };
            self.role = Role::Secondary;
            self.wait_for_primary(now);
        }
    }
}

/// The search for the last common entry, as steps: it asks for pieces of the two logs, latest first, and never goes past what it was
/// given. Both logs rise strictly, and an entry of one place is the same entry in both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    ours: Piece,
    theirs: Piece,
}

/// What the search needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Entries of our log before that place (or from its end), latest first, through [`Search::give_ours`].
    Ours { before: Option<OpTime> },
    /// The same of the source's log, through [`Search::give_theirs`].
    Theirs { before: Option<OpTime> },
    /// The last entry in both.
    Found(OpTime),
    /// One of the logs ended first.
    Nothing,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Piece {
    /// Latest last, so that it is taken from the end.
    entries: Vec<OpTime>,
    oldest: Option<OpTime>,
    is_exhausted: bool,
}

impl Piece {
    fn give(&mut self, latest_first: &[OpTime]) {
        debug_assert!(self.entries.is_empty(), "entries were given that were not asked for");
        self.is_exhausted = latest_first.is_empty();
        self.entries = latest_first.iter().rev().copied().collect();
        self.oldest = latest_first.last().copied().or(self.oldest);
    }
}

impl Default for Search {
    fn default() -> Search {
        Search::new()
    }
}

impl Search {
    /// A search that has seen nothing yet.
    pub fn new() -> Search {
        Search { ours: Piece::default(), theirs: Piece::default() }
    }

    /// Our log before the place asked for; empty says that it begins there.
    pub fn give_ours(&mut self, latest_first: &[OpTime]) {
        self.ours.give(latest_first);
    }

    /// The same of theirs.
    pub fn give_theirs(&mut self, latest_first: &[OpTime]) {
        self.theirs.give(latest_first);
    }

    /// Goes on as far as the pieces allow.
    pub fn step(&mut self) -> Step {
        loop {
            let (ours, theirs) = match (self.ours.entries.last(), self.theirs.entries.last()) {
                (Some(ours), Some(theirs)) => (*ours, *theirs),
                (None, _) if self.ours.is_exhausted => return Step::Nothing,
                (None, _) => return Step::Ours { before: self.ours.oldest },
                (_, None) if self.theirs.is_exhausted => return Step::Nothing,
                (_, None) => return Step::Theirs { before: self.theirs.oldest },
            };
            match ours.cmp(&theirs) {
                std::cmp::Ordering::Equal => return Step::Found(ours),
                std::cmp::Ordering::Greater => self.ours.entries.pop(),
                std::cmp::Ordering::Less => self.theirs.entries.pop(),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Timestamp;

    fn check(ours: &[(i64, u64)], theirs: &[(i64, u64)], expected: Option<(i64, u64)>) {
        let log = |entries: &[(i64, u64)]| -> Vec<OpTime> {
            entries.iter().map(|&(term, ts)| OpTime { ts: Timestamp(ts), term }).collect()
        };
        let (ours, theirs) = (log(ours), log(theirs));
        for piece in 1..4 {
            let before = |log: &[OpTime], place: Option<OpTime>| -> Vec<OpTime> {
                let end = log.iter().take_while(|at| place.is_none_or(|place| **at < place)).count();
                log[..end].iter().rev().take(piece).copied().collect()
            };
            let mut search = Search::new();
            let found = loop {
                match search.step() {
                    Step::Ours { before: place } => search.give_ours(&before(&ours, place)),
                    Step::Theirs { before: place } => search.give_theirs(&before(&theirs, place)),
                    Step::Found(at) => break Some((at.term, at.ts.0)),
                    Step::Nothing => break None,
                }
            };
            assert_eq!(found, expected, "pieces of {piece}");
        }
    }

    #[test]
    fn the_last_common_entry_is_found() {
        let common = &[(1, 1), (1, 2), (1, 3)];
        check(common, common, Some((1, 3)));
        check(&[(1, 1), (1, 2), (1, 3), (1, 4)], &[(1, 1), (1, 2), (2, 3)], Some((1, 2)));
        check(&[(1, 1), (1, 9), (1, 10)], &[(1, 1), (2, 2), (2, 3), (2, 4), (3, 5)], Some((1, 1)));
        check(&[(1, 5), (1, 6)], &[(2, 7), (2, 8)], None);
        check(&[], &[(2, 7)], None);
        check(&[(1, 1)], &[(1, 1), (2, 2)], Some((1, 1)));
    }
}
