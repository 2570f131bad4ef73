//! The documents of a query in order: a scan, a sort where the scan does not give the order, skip and limit.
//! Goes on over several batches, each on a snapshot of its own. What becomes of a document is the taker's business.

use super::drive;
use super::scan::{Flow, Pace, Scan};
use crate::Engine;
use crate::view::View;
use command::Context;
use query::sort::{Sort, Sorted, Sorter};
use std::sync::Arc;
use storage::{Collection, Snapshot};
use types::{Code, Fault, Namespace, Uuid, limits};
use value::SharedDoc;

/// The collection that a cursor reads, which may be gone at the next batch.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) ns: Namespace,
    /// `None`: there was no such collection, and so no documents.
    pub(crate) uuid: Option<Uuid>,
}

impl Target {
    pub(crate) fn of(ns: &Namespace, collection: Option<&Arc<Collection>>) -> Target {
        Target { ns: ns.clone(), uuid: collection.map(|collection| collection.uuid) }
    }

    /// The collection as it is now.
    fn resolve(&self, engine: &Engine) -> Result<Option<Arc<Collection>>, Fault> {
        let Some(uuid) = self.uuid else { return Ok(None) };
        match engine.store().catalog().by_uuid(uuid) {
            Some(collection) => Ok(Some(Arc::clone(collection))),
            None => Err(Fault::new(
                Code::QueryPlanKilled,
                format!("collection dropped. UUID {uuid} of {}", self.ns),
            )),
        }
    }
}

/// A query's documents, and how far it is.
pub(crate) struct Feed {
    target: Target,
    pub(crate) view: View,
    pub(crate) scan: Scan,
    order: Order,
    skip: u64,
    limit: Option<u64>,
    exhausted: bool,
}

/// Sorted documents that are still to be given.
type Rest = std::iter::Peekable<Sorted<SharedDoc>>;

enum Order {
    AsScanned,
    /// Nothing was read yet.
    ToSort(Sort),
    Sorted(Box<Rest>),
}

impl Feed {
    /// `sort` is what the scan's plan does not do itself.
    pub(crate) fn new(
        target: Target,
        view: View,
        scan: Scan,
        sort: Option<Sort>,
        skip: u64,
        limit: Option<u64>,
    ) -> Feed {
        let order = sort.map_or(Order::AsScanned, Order::ToSort);
        Feed { target, view, scan, order, skip, limit, exhausted: false }
    }

    /// Whether every document was given.
    pub(crate) fn exhausted(&self) -> bool {
        self.exhausted
    }

    /// Gives documents to `taker` until it stops the flow or there are no more.
    ///
    /// # Errors
    /// `QueryPlanKilled` (175) if the collection or the index is gone; those of scan, sort and taker.
    pub(crate) async fn pull(
        &mut self,
        engine: &Engine,
        ctx: &Context,
        taker: &mut (dyn FnMut(&SharedDoc) -> Result<Flow, Fault> + Send),
    ) -> Result<(), Fault> {
        if self.exhausted {
            return Ok(());
        }
        if let Order::Sorted(rest) = &mut self.order {
            self.exhausted = drain(rest, &mut self.skip, &mut self.limit, taker)?;
            return Ok(());
        }
        let Some(collection) = self.target.resolve(engine)? else {
            self.exhausted = true;
            return Ok(());
        };
        self.view.check(Some(&collection))?;
        let snapshot = self.view.snapshot(engine)?;
        self.scan.check_index(&collection)?;
        match &self.order {
            Order::AsScanned => self.stream(engine, ctx, &snapshot, &collection, taker).await,
            Order::ToSort(sort) => {
                let wanted =
                    self.limit.and_then(|limit| usize::try_from(limit.saturating_add(self.skip)).ok());
                let mut sorter = Sorter::new(sort.clone(), wanted, limits::BLOCKING_STAGE_BYTES_MAX);
                drive(engine, ctx, &mut self.scan, &snapshot, &collection, &mut |hit| {
                    sorter.push(&hit.doc, hit.doc.clone(), hit.doc.as_bytes().len())?;
                    Ok(Flow::Continue)
                })
                .await?;
                let mut rest: Box<Rest> = Box::new(sorter.finish().peekable());
                self.exhausted = drain(&mut rest, &mut self.skip, &mut self.limit, taker)?;
                self.order = Order::Sorted(rest);
                Ok(())
            }
            Order::Sorted(_) => Ok(()),
        }
    }

    async fn stream(
        &mut self,
        engine: &Engine,
        ctx: &Context,
        snapshot: &Snapshot,
        collection: &Collection,
        taker: &mut (dyn FnMut(&SharedDoc) -> Result<Flow, Fault> + Send),
    ) -> Result<(), Fault> {
        let (skip, limit) = (&mut self.skip, &mut self.limit);
        if *limit == Some(0) {
            self.exhausted = true;
            return Ok(());
        }
        let pace = drive(engine, ctx, &mut self.scan, snapshot, collection, &mut |hit| {
            if *skip > 0 {
                *skip -= 1;
                return Ok(Flow::Continue);
            }
            let flow = taker(&hit.doc)?;
            if flow != Flow::Refuse
                && let Some(limit) = limit
            {
                *limit -= 1;
                if *limit == 0 {
                    return Ok(Flow::Stop);
                }
            }
            Ok(flow)
        })
        .await?;
        self.exhausted = (pace == Pace::Finished && !self.scan.may_go_on()) || self.limit == Some(0);
        Ok(())
    }
}

/// Gives what was sorted; whether it is at its end.
fn drain(
    rest: &mut Rest,
    skip: &mut u64,
    limit: &mut Option<u64>,
    taker: &mut (dyn FnMut(&SharedDoc) -> Result<Flow, Fault> + Send),
) -> Result<bool, Fault> {
    while *skip > 0 {
        *skip -= 1;
        if rest.next().is_none() {
            return Ok(true);
        }
    }
    while *limit != Some(0) {
        let Some(doc) = rest.peek() else { return Ok(true) };
        let flow = taker(doc)?;
        if flow == Flow::Refuse {
            return Ok(false);
        }
        rest.next();
        if let Some(limit) = limit {
            *limit -= 1;
        }
        if flow == Flow::Stop {
            return Ok(*limit == Some(0) || rest.peek().is_none());
        }
    }
    Ok(true)
}
