//! `killCursors`.

use super::on_collection;
use crate::HasEngine;
use bson::{RawArrayBuf, RawDocumentBuf, cstr};
use command::{Access, KillCursors, Reply, Spec};
use session::Killed;

pub(super) fn spec<S: HasEngine>() -> Spec<S> {
    on_collection("killCursors", Access::Read, "closes cursors", |host, ctx, request| {
        Box::pin(async move {
            let request = KillCursors::parse(&request, &ctx.envelope)?;
            let (mut killed, mut not_found) = (RawArrayBuf::new(), RawArrayBuf::new());
            for id in request.cursors {
                match host.engine().cursors().kill(id, &request.ns) {
                    Killed::Closed(_) | Killed::InUse => killed.push(id),
                    Killed::NotFound => not_found.push(id),
                }
            }
            let mut reply = RawDocumentBuf::new();
            reply.append(cstr!("cursorsKilled"), killed);
            reply.append(cstr!("cursorsNotFound"), not_found);
            reply.append(cstr!("cursorsAlive"), RawArrayBuf::new());
            reply.append(cstr!("cursorsUnknown"), RawArrayBuf::new());
            Ok(Reply::from(reply))
        })
    })
}
