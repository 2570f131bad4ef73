//! Fills batches: from a find's documents with their projection, from a pipeline, or from documents that are there already.
//! This is what an open cursor holds between two batches.

use super::feed::Feed;
use super::scan::Flow;
use crate::Engine;
use crate::batch::Batch;
use crate::view::View;
use bson::{RawDocument, RawDocumentBuf};
use command::Context;
use query::matcher::Matcher;
use query::pipeline::Run;
use query::projection::Projection;
use query::sort::Sort;
use std::collections::VecDeque;
use std::sync::Arc;
use types::Fault;

/// Makes the documents of a cursor.
pub(crate) enum Producer {
    Find(Box<Find>),
    Pipeline(Box<Piped>),
    Documents(VecDeque<RawDocumentBuf>),
}

/// The documents of a find.
pub(crate) struct Find {
    pub(crate) feed: Feed,
    pub(crate) projection: Option<Projection>,
    /// The filter, where the projection asks which array element matched.
    pub(crate) positional: Option<Arc<Matcher>>,
    /// Append `$sortKey` for a router that merges.
    pub(crate) sort_key: Option<Sort>,
}

/// The results of a pipeline.
pub(crate) struct Piped {
    pub(crate) input: Input,
    pub(crate) run: Run,
    /// A result that the last batch had no room for.
    pub(crate) waiting: Option<RawDocumentBuf>,
    pub(crate) ended: bool,
    pub(crate) sort_key: Option<Sort>,
}

/// What a pipeline reads.
pub(crate) enum Input {
    Feed(Box<Feed>),
    Documents(VecDeque<RawDocumentBuf>),
}

impl Producer {
    /// Where it reads; `None` where it reads nothing of the store.
    pub(crate) fn view(&mut self) -> Option<&mut View> {
        match self {
            Producer::Find(find) => Some(&mut find.feed.view),
            Producer::Pipeline(piped) => match &mut piped.input {
                Input::Feed(feed) => Some(&mut feed.view),
                Input::Documents(_) => None,
            },
            Producer::Documents(_) => None,
        }
    }

    /// Appends documents to the batch until it is full; whether there are no more.
    ///
    /// # Errors
    /// Those of the query; the cursor is dead then.
    pub(crate) async fn fill(
        &mut self,
        engine: &Engine,
        ctx: &Context,
        batch: &mut Batch,
    ) -> Result<bool, Fault> {
        match self {
            Producer::Find(find) => find.fill(engine, ctx, batch).await,
            Producer::Pipeline(piped) => piped.fill(engine, ctx, batch).await,
            Producer::Documents(rest) => {
                while let Some(doc) = rest.front() {
                    if !batch.push(doc, None) {
                        break;
                    }
                    rest.pop_front();
                }
                Ok(rest.is_empty())
            }
        }
    }
}

impl Find {
    async fn fill(&mut self, engine: &Engine, ctx: &Context, batch: &mut Batch) -> Result<bool, Fault> {
        if batch.is_full() {
            return Ok(self.feed.exhausted());
        }
        let Find { feed, projection, positional, sort_key } = self;
        feed.pull(engine, ctx, &mut |doc| {
            let projected;
            let shown: &RawDocument = match projection {
                Some(projection) => {
                    let position = match positional {
                        Some(filter) => filter.matches_with_position(doc)?,
                        None => None,
                    };
                    projected = projection.apply(doc, position)?;
                    &projected
                }
                None => doc,
            };
            put(batch, shown, sort_key.as_ref(), doc)
        })
        .await?;
        Ok(feed.exhausted())
    }
}

impl Piped {
    async fn fill(&mut self, engine: &Engine, ctx: &Context, batch: &mut Batch) -> Result<bool, Fault> {
        if batch.is_full() {
            return Ok(false);
        }
        let Piped { input, run, waiting, ended, sort_key } = self;
        if !pour(run, waiting, batch, sort_key.as_ref())? {
            return Ok(false);
        }
        if !*ended {
            match input {
                Input::Feed(feed) => {
                    if run.wants_more() {
                        feed.pull(engine, ctx, &mut |doc| {
                            run.push(doc)?;
                            let room = pour(run, waiting, batch, sort_key.as_ref())?;
                            Ok(if room && run.wants_more() { Flow::Continue } else { Flow::Stop })
                        })
                        .await?;
                    }
                    *ended = feed.exhausted() || (waiting.is_none() && !batch.is_full() && !run.wants_more());
                }
                Input::Documents(documents) => {
                    while run.wants_more()
                        && let Some(doc) = documents.pop_front()
                    {
                        run.push_owned(doc)?;
                        if !pour(run, waiting, batch, sort_key.as_ref())? {
                            return Ok(false);
                        }
                    }
                    *ended = documents.is_empty() || !run.wants_more();
                }
            }
            if *ended {
                run.finish()?;
            }
        }
        if !pour(run, waiting, batch, sort_key.as_ref())? {
            return Ok(false);
        }
        Ok(*ended && waiting.is_none())
    }
}

/// Moves results to the batch; whether it has room for more.
fn pour(
    run: &mut Run,
    waiting: &mut Option<RawDocumentBuf>,
    batch: &mut Batch,
    sort_key: Option<&Sort>,
) -> Result<bool, Fault> {
    while !batch.is_full() {
        let next = match waiting.take() {
            Some(doc) => Some(doc),
            None => run.pop()?,
        };
        let Some(doc) = next else { return Ok(true) };
        if put(batch, &doc, sort_key, &doc)? == Flow::Refuse {
            *waiting = Some(doc);
            return Ok(false);
        }
    }
    Ok(false)
}

/// Appends a document, which says whether it was taken and whether more are wanted. `keyed` is what the sort key is made of.
fn put(
    batch: &mut Batch,
    shown: &RawDocument,
    sort: Option<&Sort>,
    keyed: &RawDocument,
) -> Result<Flow, Fault> {
    let key = sort.map(|sort| sort.key(keyed)).transpose()?;
    if !batch.push(shown, key.as_deref()) {
        return Ok(Flow::Refuse);
    }
    Ok(if batch.is_full() { Flow::Stop } else { Flow::Continue })
}
