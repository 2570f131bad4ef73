//! Builds indexes over what a collection holds, while writes go on.
//! Every batch maintains the index from the commit that adds it, so only records older than that are missing. They are added
//! stretch by stretch, each at the time of a fresh snapshot: later changes of the same records have later times and win.
//! Keys of a unique index that come twice are noted and looked at again when all is in.
//! None of this is logged: an index that was not complete at the last checkpoint is built again by recovery.

use super::unique;
use crate::Error;
use crate::batch::entry_value;
use crate::collection::{Collection, Index};
use crate::counts::Count;
use crate::keyspace::{self, Ident, Range};
use crate::scan::{Direction, Merge, RecordScan};
use crate::snapshot::Snapshot;
use crate::store::Shared;
use crate::versions::Visible;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use types::{Code, Timestamp};
use value::SharedDoc;

/// Records per stretch: the commit section is held while the entries of one are added.
const STRETCH_RECORDS: usize = 128;
/// What an entry is taken to need in memory.
const ENTRY_BYTES: usize = 512;

/// Adds entries for all records to the indexes with these idents.
pub(crate) fn run(shared: &Arc<Shared>, collection: Ident, indexes: &[Ident]) -> Result<(), Error> {
    let epoch = shared.log.epoch();
    build(shared, collection, indexes, epoch, &|| Ok(shared.snapshot()), &mut Manner::Checked)?;
    count(shared, indexes, epoch)
}

/// As [`run`], for an index that another member may complete: what would make the build fail there is only noted. Returns the
/// records that could have no entries.
pub(crate) fn run_accepted(
    shared: &Arc<Shared>,
    collection: Ident,
    indexes: &[Ident],
    epoch: u64,
) -> Result<Vec<Bytes>, Error> {
    let mut manner = Manner::Accepted(Vec::new());
    build(shared, collection, indexes, epoch, &|| Ok(shared.snapshot()), &mut manner)?;
    count(shared, indexes, epoch)?;
    match manner {
        Manner::Accepted(passed) => Ok(passed),
        Manner::Checked | Manner::Past => Ok(Vec::new()),
    }
}

fn count(shared: &Arc<Shared>, indexes: &[Ident], epoch: u64) -> Result<(), Error> {
    indexes.iter().try_for_each(|index| {
        let snapshot = shared.snapshot();
        shared.check_epoch(epoch)?;
        recount(shared, *index, &snapshot)
    })
}

/// Adds the entries that a complete index had at `at`, whatever became of it later. What changed later was put there by replaying the
/// log. At start-up, and while no checkpoint can begin: it would call the index complete.
pub(crate) fn run_at(
    shared: &Arc<Shared>,
    collection: &Arc<Collection>,
    index: &Arc<Index>,
    at: Timestamp,
) -> Result<(), Error> {
    let pin = shared.pins.pin_at(at);
    let pin = pin.map_err(|(oldest, newest)| Error::SnapshotUnavailable { at, oldest, newest })?;
    let snapshot = Snapshot::new(shared.clone(), pin);
    let all = Range::records(collection.id.0, &value::interval::KeyRange::all());
    let mut scan = RecordScan::new(snapshot.clone(), all, Direction::Forward);
    loop {
        shared.check_open()?;
        // Checkpoints would do it, but wait.
        let goal = shared.options.versions_bytes_max / 2;
        if shared.versions.bytes() > goal {
            shared.spill_in_pass(goal)?;
        }
        let records = scan.by_ref().take(STRETCH_RECORDS).collect::<Result<Vec<_>, Error>>()?;
        if records.is_empty() {
            break;
        }
        let stretch = Stretch { at, epoch: shared.log.epoch(), records: &records };
        add(shared, collection, index, &stretch, &mut Manner::Past)?;
    }
    recount(shared, index.id.0, &snapshot)
}

/// What a build does about what it meets.
enum Manner {
    /// Refuses documents that the index cannot hold, notes keys that come twice.
    Checked,
    /// Adds what the index had at a time in the past: later changes were applied already.
    Past,
    /// Passes over documents that the index cannot hold; which they are.
    Accepted(Vec<Bytes>),
}

fn build(
    shared: &Arc<Shared>,
    collection: Ident,
    indexes: &[Ident],
    epoch: u64,
    snapshot: &dyn Fn() -> Result<Snapshot, Error>,
    manner: &mut Manner,
) -> Result<(), Error> {
    let all = Range::records(collection, &value::interval::KeyRange::all());
    let mut start = all.start;
    loop {
        shared.check_open()?;
        let _admitted = shared.throttle(STRETCH_RECORDS * indexes.len() * ENTRY_BYTES, None)?;
        let snapshot = snapshot()?;
        let range = Range { start: start.clone(), end: all.end.clone() };
        let scan = RecordScan::new(snapshot.clone(), range, Direction::Forward);
        let records = scan.take(STRETCH_RECORDS).collect::<Result<Vec<_>, Error>>()?;
        let Some((last, _)) = records.last() else { return Ok(()) };
        // Right after the last key: no key lies between it and itself with a zero byte.
        start = keyspace::record(collection, last);
        start.push(0);
        let now = shared.catalog.load_full();
        let current = now.by_ident(collection).ok_or_else(dropped)?;
        for ident in indexes {
            let index = current.indexes.iter().find(|index| index.id.0 == *ident && !index.is_clustered());
            let index = index.ok_or_else(dropped)?;
            let stretch = Stretch { at: snapshot.timestamp(), epoch, records: &records };
            add(shared, current, index, &stretch, manner)?;
        }
    }
}

/// Records as of one time.
struct Stretch<'a> {
    at: Timestamp,
    epoch: u64,
    records: &'a [(Bytes, SharedDoc)],
}

/// Fails if a unique index has a key twice. Before the commit that makes it ready, and once more in it, for what came meanwhile.
pub(crate) fn check_unique(
    shared: &Arc<Shared>,
    collection: &Collection,
    index: &Index,
) -> Result<(), Error> {
    let suspects = if index.unique { index.suspects.take() } else { Vec::new() };
    if suspects.is_empty() {
        return Ok(());
    }
    let snapshot = shared.snapshot();
    for prefix in suspects {
        if let Some(violation) = unique::violation(&snapshot, collection, index, &prefix)? {
            return Err(violation);
        }
    }
    Ok(())
}

fn dropped() -> Error {
    Error::IndexSpec {
        code: Code::IndexBuildAborted,
        message: "the collection or index was dropped during the build".to_owned(),
    }
}

/// Adds the entries of a stretch of records as of one time.
fn add(
    shared: &Arc<Shared>,
    collection: &Arc<Collection>,
    index: &Arc<Index>,
    &Stretch { at, epoch, records }: &Stretch<'_>,
    manner: &mut Manner,
) -> Result<(), Error> {
    let mut entries = Vec::with_capacity(records.len());
    let mut multikey = 0;
    for (record_key, doc) in records {
        let yielded = match (index.yields(doc), &mut *manner) {
            (Err(Error::Unindexable { .. }), Manner::Accepted(passed)) => {
                passed.push(record_key.clone());
                continue;
            }
            (yielded, _) => yielded?,
        };
        multikey |= yielded.multikey;
        for key in yielded.keys {
            let mut full = keyspace::index_prefix(index.id.0);
            full.extend_from_slice(&key);
            let prefix_len = full.len();
            full.extend_from_slice(record_key);
            crate::batch::check_key(shared, full.len())?;
            entries.push((Bytes::from(full), prefix_len));
        }
    }
    let section = shared.commit.lock();
    shared.check_epoch(epoch)?;
    let still = shared.catalog.load();
    let live = still.by_ident(collection.id.0).and_then(|now| {
        now.indexes.iter().find(|other| other.id.0 == index.id.0 && !other.is_clustered()).cloned()
    });
    let past = matches!(manner, Manner::Past);
    let live = if past { live.unwrap_or_else(|| index.clone()) } else { live.ok_or_else(dropped)? };
    live.add_multikey(multikey);
    let latest = shared.snapshot();
    let mut spilled = Vec::new();
    let checked = matches!(manner, Manner::Checked);
    for (key, prefix_len) in entries {
        // What a batch has written about this entry since the index exists is newer knowledge.
        let known =
            shared.spill.newest_of(&shared.versions, &key, if past { at } else { Timestamp::MAX })?.is_some();
        if known {
            continue;
        }
        if index.unique && checked && unique::find_other(&latest, &BTreeMap::new(), &key, prefix_len, &[])? {
            live.suspects.note(&key, prefix_len);
        }
        let value = Some(entry_value(prefix_len));
        if past && shared.spill.has_newer(&key, at)? {
            // Replay moved there what came later. Memory must not have anything older than that.
            spilled.push(Visible { key, value, time: at });
        } else {
            shared.versions.put(&key, at, value);
        }
    }
    shared.spill.put(&spilled)?;
    drop(section);
    Ok(())
}

/// Counts an index that is complete: while it was built, batches removed entries that had never been counted.
fn recount(shared: &Arc<Shared>, index: Ident, snapshot: &Snapshot) -> Result<(), Error> {
    let mut count = Count::default();
    let range = Range::index(index, &value::interval::KeyRange::all());
    for pair in Merge::new(snapshot.clone(), range, Direction::Forward) {
        count.add(Count { records: 1, bytes: pair?.0.len() as i64 });
    }
    let _section = shared.commit.lock();
    shared.counts.reset(index, count, snapshot.timestamp());
    Ok(())
}

/// Notes every key of a unique index that has more than one entry, for [`check_unique`] to look at: of a build that did not look
/// while it went on.
pub(crate) fn suspect_all(shared: &Arc<Shared>, index: &Index) -> Result<(), Error> {
    let snapshot = shared.snapshot();
    let mut last: Option<(Bytes, usize)> = None;
    for pair in
        Merge::new(snapshot, Range::index(index.id.0, &value::interval::KeyRange::all()), Direction::Forward)
    {
        let (key, value) = pair?;
        let (own, _) = crate::scan::split_entry(&keyspace::strip(key.clone()), &value)?;
        let prefix_len = keyspace::PREFIX_BYTES + own.len();
        let again = last.as_ref().is_some_and(|(other, length)| {
            *length == prefix_len && other.get(..prefix_len) == key.get(..prefix_len)
        });
        if again {
            index.suspects.note(&key, prefix_len);
        }
        last = Some((key, prefix_len));
    }
    Ok(())
}
