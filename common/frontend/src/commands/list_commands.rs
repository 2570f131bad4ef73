//! `listCommands`: the table of commands.

use super::fields;
use crate::Host;
use bson::doc;
use command::{Access, Context, Reply, Request, Spec};
use types::Fault;

pub(super) fn spec<S: Host>() -> Spec<S> {
    Spec {
        name: "listCommands",
        aliases: &[],
        access: Access::Inspect,
        admin_only: false,
        internal_only: false,
        names_collection: false,
        help: "all commands with a line of help",
        run: |host, ctx, request| Box::pin(std::future::ready(run(host.as_ref(), &ctx, &request))),
    }
}

fn run<S: Host>(host: &S, _ctx: &Context, request: &Request) -> Result<Reply, Fault> {
    fields::none(request)?;
    let mut commands = bson::Document::new();
    for listed in host.front().catalogue().iter().filter(|listed| !listed.internal_only) {
        let secondary = matches!(listed.access, Access::Handshake | Access::Inspect | Access::Read);
        commands.insert(
            listed.name,
            doc! {
                "help": listed.help,
                "requiresAuth": listed.access != Access::Handshake,
                "secondaryOk": secondary,
                "adminOnly": listed.admin_only,
                "aliases": listed.aliases.to_vec(),
                "implemented": listed.access != Access::Missing,
            },
        );
    }
    Reply::try_from(doc! { "commands": commands })
}
