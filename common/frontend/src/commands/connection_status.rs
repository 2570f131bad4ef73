//! `connectionStatus`: who is logged in on this connection: nobody, while there is no login.

use super::fields;
use crate::Host;
use bson::doc;
use command::{Access, Context, Reply, Request, Spec};
use types::Fault;

pub(super) fn spec<S: Host>() -> Spec<S> {
    Spec {
        name: "connectionStatus",
        aliases: &[],
        access: Access::Handshake,
        admin_only: false,
        internal_only: false,
        names_collection: false,
        help: "users and roles of this connection",
        run: |host, ctx, request| Box::pin(std::future::ready(run(host.as_ref(), &ctx, &request))),
    }
}

fn run<S: Host>(_host: &S, _ctx: &Context, request: &Request) -> Result<Reply, Fault> {
    let mut info = doc! { "authenticatedUsers": [], "authenticatedUserRoles": [] };
    fields::each(request, |name, value| match name {
        "showPrivileges" => {
            let show = fields::flag(value).ok_or_else(|| fields::wrong_type(request, name, "bool"))?;
            if show {
                info.insert("authenticatedUserPrivileges", bson::Array::new());
            }
            Ok(())
        }
        other => Err(fields::unknown(request, other)),
    })?;
    Reply::try_from(doc! { "authInfo": info })
}
