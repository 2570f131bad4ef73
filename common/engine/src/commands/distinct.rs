//! `distinct`: the different values of one path, in the order in which they are met.

use super::on_collection;
use crate::HasEngine;
use crate::exec::{Flow, Scan, drive};
use crate::op_context::{parse_context, refuse_transaction};
use crate::plan::{self, Plan, Query};
use crate::view::View;
use bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, cstr};
use command::{Access, Context, Distinct, Reply, Request, Spec};
use query::matcher::Matcher;
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use types::{Code, Fault, limits};
use value::Collator;
use value::path::{self, Path};

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    on_collection("distinct", Access::Read, "the different values of a path", |host, ctx, request| {
        Box::pin(async move { run(&*host, &ctx, &request).await })
    })
}

async fn run(host: &dyn HasEngine, ctx: &Context, request: &Request) -> Result<Reply, Fault> {
    let distinct = Distinct::parse(request, &ctx.envelope)?;
    refuse_transaction(ctx)?;
    let view = View::of(host, ctx).await?;
    let mut values = Values::new(&distinct.key);
    if let Some(collection) = host.engine().store().catalog().get(&distinct.ns).cloned() {
        view.check(Some(&collection))?;
        values.collation = distinct.collation.over(collection.collation.as_ref());
        let snapshot = view.snapshot(host.engine())?;
        let plan = plan_of(ctx, &distinct, &collection, snapshot.timestamp())?;
        let mut scan = Scan::new(Arc::new(plan), host.ownership(&distinct.ns));
        drive(host.engine(), ctx, &mut scan, &snapshot, &collection, &mut |hit| {
            values.add(&hit.doc)?;
            Ok(Flow::Continue)
        })
        .await?;
    }
    let mut reply = RawDocumentBuf::new();
    reply.append(cstr!("values"), values.found);
    if let Some(at) = view.at_cluster_time() {
        reply.append(cstr!("atClusterTime"), bson::Timestamp::from(at));
    }
    Ok(reply.into())
}

/// The plan of a distinct.
pub(crate) fn plan_of(
    ctx: &Context,
    distinct: &Distinct,
    collection: &Arc<storage::Collection>,
    at: types::Timestamp,
) -> Result<Plan, Fault> {
    let collation = distinct.collation.over(collection.collation.as_ref());
    let matcher = Matcher::parse(&distinct.filter, &parse_context(ctx, None, collation)?)?;
    let filter = Some(Arc::new(matcher)).filter(|matcher| !matcher.is_match_all());
    let hint = distinct.hint.as_ref();
    plan::choose(Some(collection), &Query { filter, sort: None, hint, even_hidden: false, at })
}

/// Values met so far; two are the same when their keys are.
struct Values {
    path: Path,
    seen: HashSet<Vec<u8>>,
    found: RawArrayBuf,
    collation: Option<Collator>,
}

impl Values {
    fn new(path: &str) -> Values {
        Values { path: Path::parse(path), seen: HashSet::new(), found: RawArrayBuf::new(), collation: None }
    }

    fn add(&mut self, doc: &RawDocument) -> Result<(), Fault> {
        let Values { path, seen, found, collation } = self;
        let collation = collation.as_ref();
        let mut failed = None;
        path::visit(doc, path, &mut |value, _| {
            let outcome = match value {
                None => Ok(()),
                Some(RawBsonRef::Array(array)) => array.into_iter().try_for_each(|element| {
                    let element =
                        element.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))?;
                    add_value(seen, found, element, collation)
                }),
                Some(value) => add_value(seen, found, value, collation),
            };
            match outcome {
                Ok(()) => ControlFlow::Continue(()),
                Err(fault) => {
                    failed = Some(fault);
                    ControlFlow::Break(())
                }
            }
        })?;
        failed.map_or(Ok(()), Err)
    }
}

fn add_value(
    seen: &mut HashSet<Vec<u8>>,
    found: &mut RawArrayBuf,
    value: RawBsonRef<'_>,
    collation: Option<&Collator>,
) -> Result<(), Fault> {
    let mut key = Vec::with_capacity(16);
    value::key::encode_under(&mut key, value, false, collation);
    if seen.insert(key) {
        found.push(value);
        if found.as_bytes().len() > limits::DOCUMENT_BYTES_MAX {
            return Err(Fault::new(Code::Location(17217), "distinct too big, 16mb cap"));
        }
    }
    Ok(())
}
