//! Cursors between two batches: what produces their documents, and the reply that opens or continues them.

use crate::batch::Batch;
use crate::exec::Producer;
use crate::Engine;
use command::{Context, GetMore, Reply};
use types::{Fault, Namespace};

/// A cursor that a client may ask for more.
pub struct OpenCursor {
    producer: Producer,
}

/// Fills the first batch, and keeps a cursor if there may be more.
///
/// # Errors
/// Those of the query; `ResourceExhausted` (402) where too many cursors are open.
pub(crate) async fn open(
    engine: &Engine,
    ctx: &Context,
    ns: &Namespace,
    mut producer: Producer,
    batch_size: Option<u64>,
    single_batch: bool,
) -> Result<Reply, Fault> {
    let mut batch = Batch::first(ns, batch_size);
    let exhausted = producer.fill(engine, ctx, &mut batch).await?;
    if exhausted || single_batch {
        return batch.finish(0);
    }
    let id = engine.cursors().insert(ns.clone(), ctx.envelope.session, OpenCursor { producer })?;
    batch.finish(id)
}

/// Fills the next batch of an open cursor.
///
/// # Errors
/// `CursorNotFound` (43) and its kin; those of the query, after which the cursor is gone.
pub(crate) async fn more(engine: &Engine, ctx: &Context, request: &GetMore) -> Result<Reply, Fault> {
    let mut taken = engine.cursors().take(request.cursor_id, &request.ns, ctx.envelope.session)?;
    let mut batch = Batch::next(&request.ns, request.batch_size.map(std::num::NonZeroU64::get));
    let exhausted = taken.producer.fill(engine, ctx, &mut batch).await?;
    if exhausted {
        return batch.finish(0);
    }
    // Killed meanwhile: the batch is still good, the cursor is gone.
    match taken.put_back() {
        None => batch.finish(request.cursor_id),
        Some(_) => batch.finish(0),
    }
}
