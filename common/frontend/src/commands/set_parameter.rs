//! `setParameter`: sets parameters.

use super::fields;
use crate::Host;
use bson::doc;
use command::{Access, Context, Reply, Request, Spec};
use types::{Code, Fault};

pub(super) fn spec<S: Host>() -> Spec<S> {
    Spec {
        name: "setParameter",
        aliases: &[],
        access: Access::Admin,
        admin_only: true,
        internal_only: false,
        names_collection: false,
        help: "sets a parameter; the reply says what it was",
        run: |host, ctx, request| Box::pin(std::future::ready(run(host.as_ref(), &ctx, &request))),
    }
}

fn run<S: Host>(host: &S, _ctx: &Context, request: &Request) -> Result<Reply, Fault> {
    let parameters = &host.front().parameters;
    let mut was = None;
    fields::each(request, |name, value| {
        let before = parameters.set(name, value)?;
        tracing::info!(parameter = name, ?value, %before, "parameter set");
        was.get_or_insert(before);
        Ok(())
    })?;
    let was = was.ok_or_else(|| {
        Fault::new(Code::InvalidOptions, "no option found to set, use help:true to see options ")
    })?;
    Reply::try_from(doc! { "was": was })
}
