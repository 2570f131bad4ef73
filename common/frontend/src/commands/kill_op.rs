//! `killOp`: asks a running operation to stop.

use super::fields;
use crate::Host;
use bson::doc;
use command::{Access, Context, Reply, Request, Spec};
use types::{Code, Fault};

pub(super) fn spec<S: Host>() -> Spec<S> {
    Spec {
        name: "killOp",
        aliases: &[],
        access: Access::Inspect,
        admin_only: true,
        internal_only: false,
        names_collection: false,
        help: "asks a running operation to stop",
        run: |host, ctx, request| Box::pin(std::future::ready(run(host.as_ref(), &ctx, &request))),
    }
}

/// Asks an operation of this process.
///
/// # Errors
/// What is wrong with the command.
pub fn run<S: Host>(host: &S, _ctx: &Context, request: &Request) -> Result<Reply, Fault> {
    let mut target = None;
    fields::each(request, |name, value| match name {
        "op" => {
            target = Some(fields::integer(value).ok_or_else(|| fields::wrong_type(request, name, "number"))?);
            Ok(())
        }
        other => Err(fields::unknown(request, other)),
    })?;
    let target = target.ok_or_else(|| Fault::new(Code::NoSuchKey, "Did not provide \"op\" field"))?;
    // As in MongoDB, an operation that has ended meanwhile is no error.
    let found = host.front().operations.kill(target);
    tracing::info!(operation_id = target, found, "killOp");
    Reply::try_from(doc! { "info": "attempting to kill op" })
}
