//! `findAndModify`: runs on the one shard that owns the document, which is found first where the filter does not name the shard key.

use super::single_write;
use crate::commands::spec;
use crate::node::Node;
use crate::routing::{ROUTE_ATTEMPTS_MAX, Target, note_stale};
use crate::scatter::{key_target, target_filter};
use crate::shards::is_repeatable_write;
use command::{Access, Context, FindAndModify, FindAndModifyAction, Reply, Request, Rewrite, Spec};
use query::context::ParseContext;
use std::sync::Arc;
use std::time::Instant;
use types::{Code, Fault};

pub(crate) const SPEC: Spec<Node> = Spec {
    aliases: &["findandmodify"],
    ..spec(
        "findAndModify",
        Access::Write,
        "changes one document and answers with it",
        |node, ctx, request| Box::pin(run(node, ctx, request)),
    )
};

/// How often the document may be snatched away before the client hears of it.
const SEARCHES_MAX: usize = 100;

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let modify = FindAndModify::parse(&request, &ctx.envelope)?;
    let parse = node.parse_context(modify.let_vars.as_ref())?;
    let is_upsert = matches!(modify.action, FindAndModifyAction::Update { upsert: true, .. });
    let mut last = None;
    for _ in 0..ROUTE_ATTEMPTS_MAX {
        ctx.check(Instant::now())?;
        let route = if is_upsert {
            node.routing.route_or_create(&modify.ns).await?
        } else {
            node.routing.route(&modify.ns).await?
        };
        let outcome = match target_filter(&route, &modify.filter, &parse)?.targets.as_slice() {
            [] => return nothing(&modify),
            [target] => node.ask(&ctx, target, &request, is_repeatable_write(&ctx)).await,
            _ => search(&node, &ctx, &request, &modify, &parse).await,
        };
        match outcome {
            Err(fault) if note_stale(&node.routing, &modify.ns, &fault) => {
                node.stale_routes.inc();
                last = Some(fault);
            }
            outcome => return outcome,
        }
    }
    Err(last.unwrap_or_else(|| Fault::internal("no attempt was made")))
}

/// The answer where the database does not exist.
fn nothing(modify: &FindAndModify) -> Result<Reply, Fault> {
    let last = match modify.action {
        FindAndModifyAction::Remove => bson::rawdoc! { "n": 0 },
        FindAndModifyAction::Update { .. } => bson::rawdoc! { "n": 0, "updatedExisting": false },
    };
    Ok(bson::rawdoc! { "lastErrorObject": last, "value": bson::RawBson::Null }.into())
}

async fn search(
    node: &Arc<Node>,
    ctx: &Context,
    request: &Request,
    modify: &FindAndModify,
    parse: &ParseContext,
) -> Result<Reply, Fault> {
    if let Some(done) =
        single_write::executed_statement(node, ctx, request, &modify.ns, modify.statement_id).await?
    {
        return Ok(done.into());
    }
    for _ in 0..SEARCHES_MAX {
        ctx.check(Instant::now())?;
        let found =
            single_write::find_one(node, ctx, &modify.ns, &modify.filter, modify.sort.as_ref(), parse)
                .await?;
        let route = node.routing.route(&modify.ns).await?;
        let Some(found) = found else {
            return match &modify.action {
                FindAndModifyAction::Update { update, upsert: true, array_filters, .. } => {
                    let doc = single_write::upsert_document(&modify.filter, update, array_filters, parse)?;
                    let targets = key_target(&route, &doc)?;
                    // The owner gets the `_id` that decided about the owner.
                    let id = doc
                        .get("_id")
                        .ok()
                        .flatten()
                        .ok_or_else(|| Fault::internal("an upsert without _id"))?;
                    let filter = bson::rawdoc! { "$and": [modify.filter.to_buf(), { "_id": { "$eq": bson::RawBson::from(id) } }] };
                    let request = Rewrite::of(request).set("query", filter).finish()?;
                    ask_first(node, ctx, &targets, &request).await
                }
                _ => nothing(modify),
            };
        };
        let filter =
            bson::rawdoc! { "$and": [modify.filter.to_buf(), { "_id": { "$eq": found.id.clone() } }] };
        let mut rewrite = Rewrite::of(request).set("query", filter);
        if matches!(modify.action, FindAndModifyAction::Update { .. }) {
            rewrite = rewrite.set("upsert", false);
        }
        let targets = single_write::target_on(&route, &found.shard);
        let reply = ask_first(node, ctx, &targets, &rewrite.finish()?).await?;
        let count = reply.doc.get_document("lastErrorObject").and_then(|last| last.get_i32("n")).unwrap_or(1);
        if count > 0 {
            return Ok(reply);
        }
    }
    Err(Fault::new(
        Code::WriteConflict,
        "the matching document was changed by others each time it was found; try again",
    ))
}

async fn ask_first(
    node: &Arc<Node>,
    ctx: &Context,
    targets: &[Target],
    request: &Request,
) -> Result<Reply, Fault> {
    match targets.first() {
        Some(target) => node.ask(ctx, target, request, is_repeatable_write(ctx)).await,
        None => Err(Fault::new(Code::NamespaceNotFound, "the database was dropped meanwhile")),
    }
}
