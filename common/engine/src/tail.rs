//! Tailable cursors: at the end of a capped collection or the log they stay open, and a getMore may wait there for more.

use crate::Engine;
use bson::RawDocument;
use command::{Context, Find};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use storage::Collection;
use types::{Fault, Uuid};

/// How long a getMore waits where the client does not say.
pub(crate) const AWAIT_DEFAULT: Duration = Duration::from_secs(1);
/// How often a waiting getMore looks whether it was killed.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What an open cursor knows about its tail.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tail {
    pub(crate) collection: Uuid,
    pub(crate) await_data: bool,
}

/// Checks that a collection can be tailed. `None` where there is no collection: the cursor ends at once.
///
/// # Errors
/// `BadValue` (2) for a collection that is not capped.
pub(crate) fn of(find: &Find, collection: Option<&Arc<Collection>>) -> Result<Option<Tail>, Fault> {
    if !find.tailable {
        return Ok(None);
    }
    let Some(collection) = collection else { return Ok(None) };
    if collection.capped.is_none() {
        let filter: &RawDocument = &find.filter;
        let filter = bson::Document::try_from(filter).map(|filter| filter.to_string()).unwrap_or_default();
        return Err(Fault::bad_value(format!(
            "error processing query: ns={} filter: {filter} tailable: 1 :: caused by :: tailable cursor requested on non capped collection",
            find.ns
        )));
    }
    Ok(Some(Tail { collection: collection.uuid, await_data: find.await_data }))
}

/// The place of the tail now; compared after a fill that found nothing.
pub(crate) fn place(engine: &Engine, tail: Tail) -> Result<Option<u64>, Fault> {
    let catalog = engine.store().catalog();
    let Some(collection) = catalog.by_uuid(tail.collection) else { return Ok(None) };
    Ok(Some(engine.store().tail(collection)?))
}

/// Ends when something was appended since `seen`, or after a moment, for the caller to look around. Whether it was appended.
///
/// # Errors
/// Interruption.
pub(crate) async fn wait(
    engine: &Engine,
    ctx: &Context,
    tail: Tail,
    seen: Option<u64>,
    until: Instant,
) -> Result<bool, Fault> {
    let mut commits = engine.store().oplog().watch();
    let until = until.min(Instant::now() + LOOK_EVERY);
    loop {
        commits.borrow_and_update();
        if place(engine, tail)? != seen {
            return Ok(true);
        }
        if ctx.killed.load(Ordering::Relaxed) {
            return Err(Fault::new(types::Code::Interrupted, "operation was interrupted"));
        }
        let bound = until.saturating_duration_since(Instant::now());
        // The sender lives as long as the store.
        match tokio::time::timeout(bound, commits.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Ok(false),
        }
    }
}
