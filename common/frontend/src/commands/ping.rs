//! `ping`: whether the server answers.

use super::fields;
use crate::Host;
use command::{Access, Context, Reply, Request, Spec};
use types::Fault;

pub(super) fn spec<S: Host>() -> Spec<S> {
    Spec {
        name: "ping",
        aliases: &[],
        access: Access::Handshake,
        admin_only: false,
        internal_only: false,
        names_collection: false,
        help: "answers ok",
        run: |host, ctx, request| Box::pin(std::future::ready(run(host.as_ref(), &ctx, &request))),
    }
}

fn run<S: Host>(_host: &S, _ctx: &Context, request: &Request) -> Result<Reply, Fault> {
    fields::none(request)?;
    Ok(Reply::ok())
}
