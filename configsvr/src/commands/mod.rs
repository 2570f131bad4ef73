//! The commands by which routers have metadata changed: what their clients sent, under a name of its own. One file each.

mod add_shard;
mod balancer_status;
mod drop_collection;
mod drop_database;
mod enable_sharding;
mod get_shard_map;
mod list_shards;
mod shard_collection;
mod split;

use crate::metadata::HasMetadata;
use bson::RawDocumentBuf;
use command::{Access, Context, Handler, Request, Spec};
use types::{Code, Fault};

/// The commands, sorted.
pub fn commands<S: HasMetadata>() -> Vec<Spec<S>> {
    vec![
        add_shard::entry(),
        balancer_status::entry(),
        drop_collection::entry(),
        drop_database::entry(),
        enable_sharding::entry(),
        get_shard_map::entry(),
        list_shards::entry(),
        shard_collection::entry(),
        split::entry(),
    ]
}

fn spec<S: HasMetadata>(name: &'static str, access: Access, help: &'static str, run: Handler<S>) -> Spec<S> {
    Spec {
        name,
        aliases: &[],
        access,
        admin_only: false,
        internal_only: true,
        names_collection: false,
        help,
        run,
    }
}

/// The request under the name by which the client sent it, as its parser expects it.
fn with_name(request: &Request, name: &'static str) -> Result<Request, Fault> {
    let name = <&bson::raw::CStr>::try_from(name).map_err(|_| Fault::internal("command name with a NUL"))?;
    let mut body = RawDocumentBuf::new();
    for (position, element) in request.body.iter().enumerate() {
        let (field, value) = element.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))?;
        body.append(if position == 0 { name } else { field }, value);
    }
    Ok(Request { body: body.into(), sequences: request.sequences.clone() })
}

/// Who asked, for the changelog: the router that passed it on.
fn client(ctx: &Context) -> String {
    ctx.client.remote.to_string()
}
