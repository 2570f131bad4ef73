//! Walks the keys that a plan names and hands over the documents that match: the one loop under find, count, update, delete
//! and aggregate. Holds a position, not an iterator: it stops at any document and goes on later, on a newer snapshot.
//! Knows nothing of what is done with a document.

use crate::host::DocumentFilter;
use crate::op_context::Interrupt;
use crate::plan::{Access, Plan};
use bytes::Bytes;
use std::collections::HashSet;
use std::sync::Arc;
use storage::{Collection, Direction, RecordKey, Snapshot};
use types::{Code, Fault};
use value::SharedDoc;
use value::interval::KeyRange;

/// Record keys that a scan over a multikey index remembers, so that it gives each document once.
const SEEN_KEYS_BYTES_MAX: usize = types::limits::BLOCKING_STAGE_BYTES_MAX;

/// A document that matched.
#[derive(Clone)]
pub(crate) struct Hit {
    pub(crate) key: RecordKey,
    pub(crate) doc: SharedDoc,
}

/// What the taker of a hit says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Continue,
    /// Taken; no more for now.
    Stop,
    /// Not taken: give it again when the scan goes on.
    Refuse,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Nothing is left.
    Finished,
    /// The taker said so.
    Stopped,
    /// As many documents were looked at as the run was allowed.
    Paused,
}

/// Takes hits.
pub(crate) type Sink<'a> = dyn FnMut(&Hit) -> Result<Flow, Fault> + Send + 'a;

/// A scan and how far it is.
pub(crate) struct Scan {
    plan: Arc<Plan>,
    owner: Option<Arc<dyn DocumentFilter>>,
    /// Index of the current point or range.
    at: usize,
    /// The last key that was done with in the current range: an index key and its record key, or a record key and nothing.
    done: Option<(Bytes, RecordKey)>,
    seen: HashSet<RecordKey>,
    seen_bytes: usize,
    /// Gives a document at the first of its entries only, and remembers none.
    by_first_entry: bool,
    /// Stays at the end of the last range, for what is appended there.
    tail: bool,
    pub(crate) keys_examined: u64,
    pub(crate) docs_examined: u64,
    /// Documents that were owned and passed the filter.
    pub(crate) matched: u64,
}

impl Scan {
    pub(crate) fn new(plan: Arc<Plan>, owner: Option<Arc<dyn DocumentFilter>>) -> Scan {
        Scan {
            plan,
            // Where all that is stored is owned, nothing needs to be asked of each document.
            owner: owner.filter(|owner| !owner.owns_all()),
            at: 0,
            done: None,
            seen: HashSet::new(),
            seen_bytes: 0,
            by_first_entry: false,
            tail: false,
            keys_examined: 0,
            docs_examined: 0,
            matched: 0,
        }
    }

    /// A scan of records that does not end: at the end it has no more for now.
    pub(crate) fn tailing(self) -> Scan {
        Scan { tail: true, ..self }
    }

    /// A scan that needs no memory for the documents that it has given, however many they are. It looks at the keys of each instead,
    /// so that it is slower over arrays.
    pub(crate) fn by_first_entry(self) -> Scan {
        Scan { by_first_entry: true, ..self }
    }

    /// Whether the index that is gone through is still there, in the definition as it is now. Asked after a snapshot was taken.
    ///
    /// # Errors
    /// `QueryPlanKilled` (175).
    pub(crate) fn check_index(&self, collection: &Collection) -> Result<(), Fault> {
        if let Access::Index(access) = &self.plan.access
            && !collection.indexes.iter().any(|index| index.id == access.index.id)
        {
            return Err(Fault::new(
                Code::QueryPlanKilled,
                format!("query plan killed :: index '{}' dropped", access.index.name),
            ));
        }
        Ok(())
    }

    /// Whether there may be more at another time. A tail that met no record at all has no place to stay at, unless its range
    /// says from where it is to go on.
    pub(crate) fn may_go_on(&self) -> bool {
        self.tail && (self.done.is_some() || self.plan.bounds.is_some())
    }

    pub(crate) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Looks at up to `budget` keys and gives the matching documents to `sink`.
    ///
    /// # Errors
    /// Those of storage, of the filter and of the sink; interruption.
    pub(crate) fn run(
        &mut self,
        snapshot: &Snapshot,
        collection: &Collection,
        budget: u64,
        interrupt: &mut Interrupt<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<Pace, Fault> {
        let plan = Arc::clone(&self.plan);
        let mut left = budget;
        match &plan.access {
            Access::Nothing => Ok(Pace::Finished),
            Access::Points(keys) => {
                self.points(&plan, keys, snapshot, collection, &mut left, interrupt, sink)
            }
            Access::Records(ranges) => {
                self.records(&plan, ranges, snapshot, collection, &mut left, interrupt, sink)
            }
            Access::Index(access) => {
                self.index(&plan, access, snapshot, collection, &mut left, interrupt, sink)
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn points(
        &mut self,
        plan: &Plan,
        keys: &[RecordKey],
        snapshot: &Snapshot,
        collection: &Collection,
        left: &mut u64,
        interrupt: &mut Interrupt<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<Pace, Fault> {
        while let Some(key) = nth(keys, self.at, plan.direction) {
            if *left == 0 {
                return Ok(Pace::Paused);
            }
            *left -= 1;
            interrupt.tick()?;
            if let Some(doc) = snapshot.get(collection, key)? {
                self.keys_examined += 1;
                self.docs_examined += 1;
                match self.offer(key.clone(), doc, sink)? {
                    Flow::Continue => {}
                    Flow::Stop => {
                        self.at += 1;
                        return Ok(Pace::Stopped);
                    }
                    Flow::Refuse => return Ok(Pace::Stopped),
                }
            }
            self.at += 1;
        }
        Ok(Pace::Finished)
    }

    #[allow(clippy::too_many_arguments)]
    fn records(
        &mut self,
        plan: &Plan,
        ranges: &[KeyRange],
        snapshot: &Snapshot,
        collection: &Collection,
        left: &mut u64,
        interrupt: &mut Interrupt<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<Pace, Fault> {
        if self.tail
            && let Some((key, _)) = &self.done
            && snapshot.get(collection, key)?.is_none()
        {
            return Err(Fault::new(
                Code::CappedPositionLost,
                "CollectionScan died due to position in capped collection being deleted.",
            ));
        }
        while let Some(range) = nth(ranges, self.at, plan.direction) {
            let rest = rest_of(range, self.done.as_ref(), plan.direction);
            for record in snapshot.scan(collection, &rest, plan.direction) {
                if *left == 0 {
                    return Ok(Pace::Paused);
                }
                *left -= 1;
                interrupt.tick()?;
                let (key, doc) = record?;
                self.docs_examined += 1;
                self.keys_examined += u64::from(plan.bounds.is_some());
                match self.offer(key.clone(), doc, sink)? {
                    Flow::Continue => self.done = Some((key, Bytes::new())),
                    Flow::Stop => {
                        self.done = Some((key, Bytes::new()));
                        return Ok(Pace::Stopped);
                    }
                    Flow::Refuse => return Ok(Pace::Stopped),
                }
            }
            if self.tail && self.at + 1 == ranges.len() {
                return Ok(Pace::Finished);
            }
            self.at += 1;
            self.done = None;
        }
        Ok(Pace::Finished)
    }

    #[allow(clippy::too_many_arguments)]
    fn index(
        &mut self,
        plan: &Plan,
        access: &crate::plan::IndexAccess,
        snapshot: &Snapshot,
        collection: &Collection,
        left: &mut u64,
        interrupt: &mut Interrupt<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<Pace, Fault> {
        while let Some(range) = nth(&access.ranges, self.at, plan.direction) {
            let rest = rest_of(range, self.done.as_ref(), plan.direction);
            for entry in snapshot.scan_index(&access.index, &rest, plan.direction)? {
                if *left == 0 {
                    return Ok(Pace::Paused);
                }
                *left -= 1;
                interrupt.tick()?;
                let (entry_key, record_key) = entry?;
                self.keys_examined += 1;
                // Asked anew: the index may have met its first array since the plan was made.
                let multikey = access.index.multikey();
                if multikey && self.seen.contains(&record_key) {
                    self.done = Some((entry_key, record_key));
                    continue;
                }
                let Some(doc) = snapshot.get(collection, &record_key)? else {
                    return Err(Fault::internal(format!(
                        "{}: index {} names a record that is not there",
                        collection.ns, access.index.name
                    )));
                };
                self.docs_examined += 1;
                if multikey
                    && self.by_first_entry
                    && !is_first(access, plan.direction, &doc, &entry_key, &record_key)?
                {
                    self.done = Some((entry_key, record_key));
                    continue;
                }
                let flow = self.offer(record_key.clone(), doc, sink)?;
                if flow == Flow::Refuse {
                    return Ok(Pace::Stopped);
                }
                self.done = Some((entry_key, record_key.clone()));
                if multikey && !self.by_first_entry {
                    self.remember(record_key)?;
                }
                if flow == Flow::Stop {
                    return Ok(Pace::Stopped);
                }
            }
            self.at += 1;
            self.done = None;
        }
        Ok(Pace::Finished)
    }

    fn remember(&mut self, key: RecordKey) -> Result<(), Fault> {
        self.seen_bytes += key.len() + size_of::<RecordKey>();
        if self.seen_bytes > SEEN_KEYS_BYTES_MAX {
            return Err(Fault::new(
                Code::ExceededMemoryLimit,
                "index scan over arrays remembers more record keys than its memory limit allows",
            ));
        }
        self.seen.insert(key);
        Ok(())
    }

    /// Whether the document is owned and passes the filter.
    ///
    /// # Errors
    /// Those of the filter.
    pub(crate) fn wants(&self, doc: &SharedDoc) -> Result<bool, Fault> {
        if self.owner.as_ref().is_some_and(|owner| !owner.owns(doc)) {
            return Ok(false);
        }
        match &self.plan.filter {
            Some(filter) => filter.matches(doc),
            None => Ok(true),
        }
    }

    fn offer(&mut self, key: RecordKey, doc: SharedDoc, sink: &mut Sink<'_>) -> Result<Flow, Fault> {
        if !self.wants(&doc)? {
            return Ok(Flow::Continue);
        }
        let flow = sink(&Hit { key, doc })?;
        self.matched += u64::from(flow != Flow::Refuse);
        Ok(flow)
    }

    /// Whether the keys alone say how many documents there are: no document yields two.
    pub(crate) fn can_count_keys(&self) -> bool {
        matches!(&self.plan.access, Access::Index(access) if !access.index.multikey())
    }

    /// Counts index keys, no further than `wanted`.
    ///
    /// # Errors
    /// Those of storage; interruption.
    pub(crate) fn count_keys(
        &mut self,
        snapshot: &Snapshot,
        wanted: Option<u64>,
        interrupt: &mut Interrupt<'_>,
    ) -> Result<u64, Fault> {
        let plan = Arc::clone(&self.plan);
        let Access::Index(access) = &plan.access else { return Ok(0) };
        let mut counted = 0;
        for range in &access.ranges {
            for entry in snapshot.scan_index(&access.index, range, Direction::Forward)? {
                interrupt.tick()?;
                entry?;
                self.keys_examined += 1;
                counted += 1;
                if wanted == Some(counted) {
                    return Ok(counted);
                }
            }
        }
        Ok(counted)
    }
}

/// Whether no other entry of the document comes before this one in the ranges.
fn is_first(
    access: &crate::plan::IndexAccess,
    direction: Direction,
    doc: &SharedDoc,
    key: &[u8],
    record_key: &[u8],
) -> Result<bool, Fault> {
    let entries: Vec<Vec<u8>> = access
        .index
        .keys(doc)?
        .into_iter()
        .map(|mut key| {
            key.extend_from_slice(record_key);
            key
        })
        .collect();
    let mut at = 0;
    while let Some(range) = nth(&access.ranges, at, direction) {
        let inside = entries.iter().filter(|entry| range.contains(entry));
        let first = match direction {
            Direction::Forward => inside.min(),
            Direction::Backward => inside.max(),
        };
        if let Some(first) = first {
            return Ok(first.strip_suffix(record_key) == Some(key));
        }
        at += 1;
    }
    Ok(false)
}

fn nth<T>(items: &[T], at: usize, direction: Direction) -> Option<&T> {
    match direction {
        Direction::Forward => items.get(at),
        Direction::Backward => items.len().checked_sub(at + 1).and_then(|at| items.get(at)),
    }
}

/// What is left of a range after the key `done`.
fn rest_of(range: &KeyRange, done: Option<&(Bytes, RecordKey)>, direction: Direction) -> KeyRange {
    let Some((key, record_key)) = done else { return range.clone() };
    let mut done = Vec::with_capacity(key.len() + record_key.len() + 1);
    done.extend_from_slice(key);
    done.extend_from_slice(record_key);
    match direction {
        Direction::Forward => {
            // The next possible key.
            done.push(0);
            KeyRange { start: done, end: range.end.clone() }
        }
        Direction::Backward => KeyRange { start: range.start.clone(), end: Some(done) },
    }
}
