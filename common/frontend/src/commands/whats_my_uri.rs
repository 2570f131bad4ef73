//! `whatsmyuri`: the address that the client has for us.

use super::fields;
use crate::Host;
use bson::doc;
use command::{Access, Context, Reply, Request, Spec};
use types::Fault;

pub(super) fn spec<S: Host>() -> Spec<S> {
    Spec {
        name: "whatsmyuri",
        aliases: &[],
        access: Access::Handshake,
        admin_only: false,
        internal_only: false,
        names_collection: false,
        help: "the address of the client",
        run: |host, ctx, request| Box::pin(std::future::ready(run(host.as_ref(), &ctx, &request))),
    }
}

fn run<S: Host>(_host: &S, ctx: &Context, request: &Request) -> Result<Reply, Fault> {
    fields::none(request)?;
    Reply::try_from(doc! { "you": ctx.client.remote.to_string() })
}
