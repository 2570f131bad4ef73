//! Forgetting what sessions did that have been silent for so long that no driver repeats a statement of theirs.

use super::history::HISTORIES;
use crate::Engine;
use bson::RawBsonRef;
use storage::{Batch, CommitMeta, Direction};
use types::{Fault, Namespace, limits};
use value::interval::KeyRange;

/// Documents that one commit removes.
const COMMIT_COUNT_MAX: usize = 500;

/// Removes the history of sessions whose last write is older than a session lives. Returns how many documents went.
///
/// # Errors
/// What storage says; what was removed until then stays so.
pub fn forget_old_statements(engine: &Engine, now_millis: i64) -> Result<usize, Fault> {
    let fault = |error: storage::Error| error.fault();
    let horizon = now_millis - i64::from(limits::SESSION_TIMEOUT_MINUTES) * 60_000;
    let catalog = engine.store().catalog();
    let Some(collection) = catalog.get(&Namespace::parse(HISTORIES)?) else { return Ok(0) };
    let mut removed = 0;
    let mut range = KeyRange::all();
    loop {
        let snapshot = engine.store().snapshot();
        let mut batch: Batch = engine.store().batch(snapshot.clone());
        let mut last = None;
        for record in snapshot.scan(collection, &range, Direction::Forward) {
            let (key, doc) = record.map_err(fault)?;
            let is_old = matches!(
                doc.get("lastWriteDate"),
                Ok(Some(RawBsonRef::DateTime(date))) if date.timestamp_millis() < horizon
            );
            if is_old {
                batch.delete(collection, &key, &doc).map_err(fault)?;
            }
            if batch.len() == COMMIT_COUNT_MAX {
                last = Some(key);
                break;
            }
        }
        let count = batch.len();
        match batch.commit(CommitMeta::default()) {
            Ok(_) => removed += count,
            // A session woke up just now: this portion is looked at again the next time.
            Err(storage::Error::WriteConflict) => {}
            Err(error) => return Err(error.fault()),
        }
        match last {
            Some(key) => range.start = key.to_vec(),
            None => return Ok(removed),
        }
    }
}
