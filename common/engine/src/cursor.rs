//! Cursors between two batches: what produces their documents, and the reply that opens or continues them.

use crate::batch::Batch;
use crate::exec::Producer;
use crate::tail::{self, Tail};
use crate::{Engine, HasEngine};
use command::{Context, GetMore, Reply};
use std::time::Instant;
use types::{Fault, Namespace};

/// A cursor that a client may ask for more.
pub struct OpenCursor {
    producer: Producer,
    tail: Option<Tail>,
}

/// How a client wants to go through a cursor.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wish {
    pub(crate) batch_size: Option<u64>,
    pub(crate) single_batch: bool,
    pub(crate) no_timeout: bool,
    pub(crate) tail: Option<Tail>,
}

impl Wish {
    pub(crate) fn batches_of(batch_size: Option<u64>) -> Wish {
        Wish { batch_size, ..Wish::default() }
    }
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
    wish: Wish,
) -> Result<Reply, Fault> {
    let mut batch = Batch::first(ns, wish.batch_size);
    batch.set_time(producer.view().and_then(|view| view.at_cluster_time()));
    let exhausted = producer.fill(engine, ctx, &mut batch).await?;
    if exhausted || wish.single_batch {
        return batch.finish(0);
    }
    let (ns, session) = (ns.clone(), ctx.envelope.session);
    if let Some(view) = producer.view() {
        view.rest();
    }
    let cursor = OpenCursor { producer, tail: wish.tail };
    let id = match wish.no_timeout {
        true => engine.cursors().insert_without_timeout(ns, session, cursor)?,
        false => engine.cursors().insert(ns, session, cursor)?,
    };
    batch.finish(id)
}

/// Fills the next batch of an open cursor.
///
/// # Errors
/// `CursorNotFound` (43) and its kin; those of the query, after which the cursor is gone.
pub(crate) async fn more(host: &dyn HasEngine, ctx: &Context, request: &GetMore) -> Result<Reply, Fault> {
    let engine: &Engine = host.engine();
    let mut taken = engine.cursors().take(request.cursor_id, &request.ns, ctx.envelope.session)?;
    let mut batch = Batch::next(&request.ns, request.batch_size.map(std::num::NonZeroU64::get));
    if let Some(view) = taken.producer.view() {
        view.refresh(host, ctx).await?;
        batch.set_time(view.at_cluster_time());
    }
    let waits = taken.tail.filter(|tail| tail.await_data);
    let exhausted = match waits {
        None if ctx.envelope.max_time.is_some() => {
            let error = "cannot set maxTimeMS on getMore command for a non-awaitData cursor";
            // The cursor stays as it is.
            taken.put_back();
            return Err(Fault::bad_value(error));
        }
        None => taken.producer.fill(engine, ctx, &mut batch).await?,
        Some(tail) => {
            // The time that is given is for waiting, not for the work.
            let until = Instant::now() + ctx.envelope.max_time.unwrap_or(tail::AWAIT_DEFAULT);
            let unbound = Context { deadline: None, ..ctx.clone() };
            'fill: loop {
                let seen = tail::place(engine, tail)?;
                if let Some(view) = taken.producer.view() {
                    view.refresh(host, ctx).await?;
                }
                let exhausted = taken.producer.fill(engine, &unbound, &mut batch).await?;
                if exhausted || !batch.is_empty() {
                    break exhausted;
                }
                while !tail::wait(engine, ctx, tail, seen, until).await? {
                    if Instant::now() >= until || taken.is_killed() {
                        break 'fill false;
                    }
                }
            }
        }
    };
    if exhausted {
        return batch.finish(0);
    }
    if let Some(view) = taken.producer.view() {
        view.rest();
    }
    // Killed meanwhile: the batch is still good, the cursor is gone.
    match taken.put_back() {
        None => batch.finish(request.cursor_id),
        Some(_) => batch.finish(0),
    }
}
