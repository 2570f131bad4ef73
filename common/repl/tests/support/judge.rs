//! The judge: sees what every member did and says what must never be.

use repl::core::config::MemberId;
use types::OpTime;

/// What was seen so far.
#[derive(Debug, Clone, PartialEq, Hash, Default)]
pub struct Judge {
    /// Who governed in which term.
    leaders: Vec<(i64, MemberId)>,
    /// What is committed: entry, and the term of the member that said so first.
    pub committed: Vec<(OpTime, i64)>,
    pub violation: Option<&'static str>,
}

/// The properties, as the violations name them.
pub const TWO_PRIMARIES: &str = "at most one primary per term";
pub const LOST: &str = "committed entries survive";
pub const FORKED: &str = "committed logs agree";
pub const INCOMPLETE: &str = "a primary has all that was committed before";
pub const MISMATCH: &str = "log matching";
pub const HALTED: &str = "no member finds its own invariants broken";

impl Judge {
    fn blame(&mut self, what: &'static str) {
        self.violation.get_or_insert(what);
    }

    /// That member became primary.
    pub fn elected(&mut self, term: i64, member: MemberId, log: &[OpTime]) {
        match self.leaders.binary_search_by_key(&term, |leader| leader.0) {
            Ok(index) if self.leaders[index].1 != member => self.blame(TWO_PRIMARIES),
            Ok(_) => {}
            Err(index) => self.leaders.insert(index, (term, member)),
        }
        self.primary_has_all(term, log);
    }

    /// A primary of that term has that log.
    pub fn primary_has_all(&mut self, term: i64, log: &[OpTime]) {
        let lacks = |(entry, by): &(OpTime, i64)| *by < term && log.binary_search(entry).is_err();
        if self.committed.iter().any(lacks) {
            self.blame(INCOMPLETE);
        }
    }

    /// A member says that everything in its log up to `point` is committed.
    pub fn commit(&mut self, term: i64, point: OpTime, log: &[OpTime]) {
        let end = log.partition_point(|entry| *entry <= point);
        for (index, entry) in log[..end].iter().enumerate() {
            match self.committed.get(index) {
                Some((before, _)) if before != entry => {
                    self.blame(FORKED);
                    return;
                }
                Some(_) => {}
                None => self.committed.push((*entry, term)),
            }
        }
    }

    /// A member cuts these entries off.
    pub fn cut(&mut self, entries: &[OpTime]) {
        if entries.iter().any(|entry| self.committed.binary_search_by_key(entry, |one| one.0).is_ok()) {
            self.blame(LOST);
        }
    }

    pub fn halted(&mut self) {
        self.blame(HALTED);
    }

    /// An entry at one place has the same history everywhere.
    pub fn logs(&mut self, a: &[OpTime], b: &[OpTime]) {
        if !logs_match(a, b) {
            self.blame(MISMATCH);
        }
    }
}

/// Whether the last entry that both have has the same entries before it in both.
pub fn logs_match(a: &[OpTime], b: &[OpTime]) -> bool {
    let common = a.iter().rposition(|entry| b.binary_search(entry).is_ok());
    let Some(index) = common else { return true };
    b.binary_search(&a[index]).is_ok_and(|other| a[..=index] == b[..=other])
}
