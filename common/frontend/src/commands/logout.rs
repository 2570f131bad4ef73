//! `logout`: ends a login, of which there are none yet.

use super::fields;
use crate::Host;
use command::{Access, Context, Reply, Request, Spec};
use types::Fault;

pub(super) fn spec<S: Host>() -> Spec<S> {
    Spec {
        name: "logout",
        aliases: &[],
        access: Access::Inspect,
        admin_only: false,
        internal_only: false,
        names_collection: false,
        help: "ends the login of this connection",
        run: |host, ctx, request| Box::pin(std::future::ready(run(host.as_ref(), &ctx, &request))),
    }
}

fn run<S: Host>(_host: &S, _ctx: &Context, request: &Request) -> Result<Reply, Fault> {
    fields::none(request)?;
    Ok(Reply::ok())
}
