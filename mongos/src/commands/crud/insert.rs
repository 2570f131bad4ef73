//! `insert`: each document goes to the shard that owns its key.

use crate::commands::spec;
use crate::node::Node;
use crate::routing::{Place, Route};
use crate::scatter::{Statement, WriteBatch, WriteKind, key_target, run_writes};
use bson::oid::ObjectId;
use bson::{RawBsonRef, RawDocumentBuf};
use command::{Access, Context, Insert, Reply, Request, Spec, WriteOutcome};
use std::sync::Arc;
use types::Fault;
use value::SharedDoc;

pub(crate) const SPEC: Spec<Node> =
    spec("insert", Access::Write, "inserts documents", |node, ctx, request| {
        Box::pin(run(node, ctx, request))
    });

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let insert = Insert::parse(&request, &ctx.envelope)?;
    Ok(insert_documents(&node, &ctx, &request, &insert).await?.to_reply())
}

/// Runs an insert that may also stem from a command of another shape.
///
/// # Errors
/// As [`run_writes`].
pub(super) async fn insert_documents(
    node: &Arc<Node>,
    ctx: &Context,
    request: &Request,
    insert: &Insert,
) -> Result<WriteOutcome, Fault> {
    // The router gives the missing `_id`s: the shard key may depend on them, and a repeated send must carry the same ones.
    let statements = insert
        .documents
        .iter()
        .enumerate()
        .map(|(index, doc)| Ok(Statement::new(index, with_id(doc)?)))
        .collect::<Result<Vec<_>, Fault>>()?;
    let target_of = |route: &Route, statement: &Statement| match route.place {
        Place::Sharded { .. } => key_target(route, &statement.raw),
        _ => Ok(route.home().into_iter().collect()),
    };
    run_writes(
        node,
        ctx,
        WriteBatch { ns: &insert.ns, request, kind: WriteKind::Insert, options: &insert.options },
        statements,
        target_of,
    )
    .await
}

/// The document with an `_id`, which comes first where it had none.
pub(super) fn with_id(doc: &SharedDoc) -> Result<SharedDoc, Fault> {
    match doc.get("_id") {
        Ok(Some(_)) => Ok(doc.clone()),
        Ok(None) => {
            let mut with = RawDocumentBuf::new();
            with.append(bson::raw::cstr!("_id"), RawBsonRef::ObjectId(ObjectId::new()));
            for element in doc.iter() {
                let (name, value) = element.map_err(query::context::invalid_bson)?;
                with.append(name, value);
            }
            Ok(with.into())
        }
        Err(error) => Err(query::context::invalid_bson(error)),
    }
}
