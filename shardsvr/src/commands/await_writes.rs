//! `_shardsvrAwaitWrites`: waits until everything that was written here so far is as safe as the write concern asks for.

use super::internal;
use crate::node::Node;
use command::{Spec, WriteOutcome};
use engine::HasEngine;

pub(super) const SPEC: Spec<Node> =
    internal("_shardsvrAwaitWrites", "waits for the write concern of earlier writes", |node, ctx, _| {
        Box::pin(async move {
            let (concern, _) = engine::concern_of(&*node, &ctx);
            let written = node.member.store.last_op_time();
            let write_concern_error =
                node.surroundings().acknowledge(written, &concern, ctx.deadline).await?;
            Ok(WriteOutcome { write_concern_error, ..WriteOutcome::default() }.to_reply())
        })
    });
