//! `getCmdLineOpts`: how the process was started.

use super::fields;
use crate::Host;
use bson::doc;
use command::{Access, Context, Reply, Request, Spec};
use types::Fault;

pub(super) fn spec<S: Host>() -> Spec<S> {
    Spec {
        name: "getCmdLineOpts",
        aliases: &[],
        access: Access::Inspect,
        admin_only: true,
        internal_only: false,
        names_collection: false,
        help: "command line and options in force",
        run: |host, ctx, request| Box::pin(std::future::ready(run(host.as_ref(), &ctx, &request))),
    }
}

fn run<S: Host>(host: &S, _ctx: &Context, request: &Request) -> Result<Reply, Fault> {
    fields::none(request)?;
    let options = &host.front().options;
    Reply::try_from(doc! { "argv": &options.argv, "parsed": &options.parsed })
}
