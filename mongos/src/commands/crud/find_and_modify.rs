//! `findAndModify`: runs on the one shard that owns the document, which is found first where the filter does not name the shard key.

use super::single_write::{self, Upsert};
use crate::commands::spec;
use crate::node::Node;
use crate::routing::{ROUTE_ATTEMPTS_MAX, Target, note_stale};
use crate::scatter::{key_target, target_filter};
use crate::shards::Sending;
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

async fn run(node: Arc<Node>, ctx: Context, request: Request) -> Result<Reply, Fault> {
    let modify = FindAndModify::parse(&request, &ctx.envelope)?;
    let is_upsert = matches!(modify.action, FindAndModifyAction::Update { upsert: true, .. });
    let mut last = None;
    for _ in 0..ROUTE_ATTEMPTS_MAX {
        ctx.check(Instant::now())?;
        let route = if is_upsert {
            node.routing.route_or_create(&modify.ns).await?
        } else {
            node.routing.route(&modify.ns).await?
        };
        let parse = node.parse_context(modify.let_vars.as_ref(), route.collation(&modify.collation)?)?;
        let targeted = target_filter(&route, &modify.filter, &parse)?;
        let outcome = match targeted.targets.as_slice() {
            [] => return nothing(&modify),
            [target] if !is_upsert || targeted.decides_owner() => {
                node.ask(&ctx, target, &request, Sending::Write).await
            }
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
    if let Some(done) = single_write::executed_statement(node, ctx, &modify.ns, modify.statement_id).await? {
        return Ok(done.into());
    }
    for _ in 0..single_write::SEARCHES_MAX {
        ctx.check(Instant::now())?;
        let found = single_write::find_one(
            node,
            ctx,
            &modify.ns,
            &modify.filter,
            modify.sort.as_ref(),
            &modify.collation,
            parse,
        )
        .await?;
        let route = node.routing.route(&modify.ns).await?;
        let Some(found) = found else {
            return match &modify.action {
                FindAndModifyAction::Update { update, upsert: true, array_filters, .. } => {
                    let upsert = Upsert::of(&modify.filter, update, array_filters, parse)?;
                    let targets = key_target(&route, &upsert.doc)?;
                    let request = match &upsert.pinned {
                        Some(id) => Rewrite::of(request)
                            .set("query", single_write::narrowed(&modify.filter, id))
                            .finish()?,
                        None => request.clone(),
                    };
                    ask_first(node, ctx, &targets, &request).await
                }
                _ => nothing(modify),
            };
        };
        let filter = single_write::narrowed(&modify.filter, &found.id);
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
    Err(single_write::snatched_away())
}

async fn ask_first(
    node: &Arc<Node>,
    ctx: &Context,
    targets: &[Target],
    request: &Request,
) -> Result<Reply, Fault> {
    match targets.first() {
        Some(target) => node.ask(ctx, target, request, Sending::Write).await,
        None => Err(Fault::new(Code::NamespaceNotFound, "the database was dropped meanwhile")),
    }
}
