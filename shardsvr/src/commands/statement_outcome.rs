//! `_shardsvrStatementOutcome`: what a numbered statement of a session came to here, if it was executed.

use super::{fields, internal};
use crate::node::Node;
use bson::{RawBsonRef, RawDocumentBuf};
use command::Spec;

pub(super) const SPEC: Spec<Node> =
    internal("_shardsvrStatementOutcome", "what a numbered statement came to", |node, ctx, request| {
        Box::pin(async move {
            let (Some(session), Some(txn_number)) = (ctx.envelope.session, ctx.envelope.txn_number) else {
                return Err(fields::malformed(&request, "lsid and txnNumber"));
            };
            let statement = match request.body.get("statement") {
                Ok(Some(RawBsonRef::Int32(statement))) => statement,
                _ => return Err(fields::malformed(&request, "statement")),
            };
            let mut reply = RawDocumentBuf::new();
            if let Some(outcome) =
                engine::statement_outcome(&node.member.engine, session, txn_number, statement)?
            {
                reply.append(bson::raw::cstr!("outcome"), outcome);
            }
            Ok(reply.into())
        })
    });
