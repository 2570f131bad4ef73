//! Who waits for an entry to reach enough members. Writers look, and wait, without a round through the driver; the driver writes down
//! how far everybody is and wakes those who have what they wait for, in the order of the log. All waits of an office end with it.

use crate::core::config::{MemberId, SetConfig};
use crate::core::message::Position;
use crate::core::write_concern::Reached;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;
use types::concern::W;
use types::{Code, Fault, OpTime};

/// How far everybody is, as this member knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    pub(crate) config: Option<Arc<SetConfig>>,
    /// The term in which this member governs and takes writes.
    pub(crate) office: Option<i64>,
    pub(crate) commit_point: OpTime,
    /// This member.
    pub(crate) own: Option<MemberId>,
    /// Everybody with data, this member with the end of its log.
    pub(crate) positions: Vec<(MemberId, Position)>,
}

impl Progress {
    /// The driver looks at the log here when something else happens; a writer knows before.
    fn has_written(&mut self, at: OpTime) {
        let Some(own) = self.own else { return };
        if let Some((_, position)) = self.positions.iter_mut().find(|(member, _)| *member == own) {
            position.applied = position.applied.max(at);
        }
    }

    fn is_satisfied(&self, at: OpTime, w: &W, journal: bool) -> Result<bool, Fault> {
        let Some(term) = self.office else { return Err(stepped_down()) };
        if at.term > term {
            return Err(stepped_down());
        }
        let reached = Reached { config: self.config.as_deref(), term, commit_point: self.commit_point };
        reached.is_satisfied(at, w, journal, |id| {
            let found = self.positions.iter().find(|(member, _)| *member == id);
            found.map(|(_, position)| *position).unwrap_or_default()
        })
    }
}

pub(crate) fn stepped_down() -> Fault {
    Fault::new(Code::PrimarySteppedDown, "Primary stepped down while waiting for replication")
}

/// Those who wait for the same, by the entry they wait for.
#[derive(Debug)]
struct Class {
    w: W,
    journal: bool,
    waiting: BTreeMap<(OpTime, u64), oneshot::Sender<Result<(), Fault>>>,
}

#[derive(Debug, Default)]
struct Inner {
    progress: Progress,
    classes: Vec<Class>,
    next: u64,
}

/// The board.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<Inner>);

/// A wait that was begun; given up when dropped.
#[derive(Debug)]
pub(crate) struct Wait<'a> {
    board: &'a Board,
    key: (OpTime, u64),
    w: W,
    journal: bool,
    pub(crate) outcome: oneshot::Receiver<Result<(), Fault>>,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut inner = self.board.0.lock();
        if let Some(class) =
            inner.classes.iter_mut().find(|class| class.w == self.w && class.journal == self.journal)
        {
            class.waiting.remove(&self.key);
        }
        inner.classes.retain(|class| !class.waiting.is_empty());
    }
}

impl Board {
    /// `None` if the entry is there already. It is in this log: who wrote it asks.
    pub(crate) fn wait(&self, at: OpTime, w: &W, journal: bool) -> Result<Option<Wait<'_>>, Fault> {
        let mut inner = self.0.lock();
        inner.progress.has_written(at);
        if inner.progress.is_satisfied(at, w, journal)? {
            return Ok(None);
        }
        inner.next += 1;
        let key = (at, inner.next);
        let (done, outcome) = oneshot::channel();
        match inner.classes.iter_mut().find(|class| class.w == *w && class.journal == journal) {
            Some(class) => drop(class.waiting.insert(key, done)),
            None => {
                let class = Class { w: w.clone(), journal, waiting: BTreeMap::from([(key, done)]) };
                inner.classes.push(class);
            }
        }
        Ok(Some(Wait { board: self, key, w: w.clone(), journal, outcome }))
    }

    /// The driver writes down what is new, and whoever has what they wait for goes on.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Progress)) {
        let mut inner = self.0.lock();
        let Inner { progress, classes, .. } = &mut *inner;
        change(progress);
        for class in classes.iter_mut() {
            while let Some(first) = class.waiting.first_entry() {
                let outcome = match progress.is_satisfied(first.key().0, &class.w, class.journal) {
                    Ok(false) => break,
                    Ok(true) => Ok(()),
                    Err(fault) => Err(fault),
                };
                first.remove().send(outcome).ok(); // nobody waits any more
            }
        }
        classes.retain(|class| !class.waiting.is_empty());
    }

    /// A look at what is written down.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Progress) -> T) -> T {
        look(&self.0.lock().progress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::MemberConfig;
    use bson::oid::ObjectId;
    use types::Timestamp;

    fn at(term: i64, ts: u64) -> OpTime {
        OpTime { ts: Timestamp(ts), term }
    }

    fn governing() -> Board {
        let members = (0..3).map(|id| MemberConfig::new(id, &format!("m{id}:1"))).collect();
        let config = SetConfig::of("rs", members, false, ObjectId::from_bytes([1; 12]));
        let board = Board::default();
        board.update(|progress| {
            progress.config = Some(Arc::new(config));
            progress.office = Some(2);
        });
        board
    }

    fn has(board: &Board, id: MemberId, applied: OpTime, durable: OpTime) {
        board.update(|progress| {
            progress.positions.retain(|(member, _)| *member != id);
            progress.positions.push((id, Position { applied, durable }));
        });
    }

    #[test]
    fn who_waits_is_woken_when_enough_have_it() {
        let board = governing();
        let mut two = board.wait(at(2, 5), &W::Count(2), false).unwrap().unwrap();
        let mut later = board.wait(at(2, 6), &W::Count(2), false).unwrap().unwrap();
        let mut synced = board.wait(at(2, 5), &W::Count(2), true).unwrap().unwrap();
        let mut majority = board.wait(at(2, 5), &W::Majority, true).unwrap().unwrap();
        has(&board, 0, at(2, 9), at(2, 5));
        assert!(two.outcome.try_recv().is_err());
        has(&board, 1, at(2, 5), at(2, 4));
        assert_eq!(two.outcome.try_recv().unwrap(), Ok(()));
        assert!(later.outcome.try_recv().is_err() && synced.outcome.try_recv().is_err());
        has(&board, 2, at(2, 5), at(2, 5));
        assert_eq!(synced.outcome.try_recv().unwrap(), Ok(()));
        assert!(majority.outcome.try_recv().is_err());
        board.update(|progress| progress.commit_point = at(2, 5));
        assert_eq!(majority.outcome.try_recv().unwrap(), Ok(()));
        assert!(board.wait(at(2, 5), &W::Majority, true).unwrap().is_none());
        board.update(|progress| progress.office = None);
        assert_eq!(later.outcome.try_recv().unwrap().unwrap_err().code, Code::PrimarySteppedDown);
        assert_eq!(board.wait(at(2, 5), &W::Count(1), false).unwrap_err().code, Code::PrimarySteppedDown);
    }

    #[test]
    fn what_cannot_be_is_told_at_once_and_who_gives_up_leaves_nothing() {
        let board = governing();
        let code = |w: W| board.wait(at(2, 5), &w, false).unwrap_err().code;
        assert_eq!(code(W::Count(4)), Code::CannotSatisfyWriteConcern);
        assert_eq!(code(W::Mode("nope".to_owned())), Code::UnknownReplWriteConcern);
        drop(board.wait(at(2, 5), &W::Majority, true).unwrap());
        assert!(board.0.lock().classes.is_empty());
    }
}
