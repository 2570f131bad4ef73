//! The commands of a shard: the engine's, the replica set's, and those by which the config server and routers steer it.

mod await_writes;
mod collection_info;
mod create_collection;
mod critical_section;
mod drop;
mod fields;
mod set_identity;
mod statement_outcome;

use crate::node::Node;
use command::{Access, Handler, Spec};

/// All commands of a shard.
pub fn table() -> Vec<Spec<Node>> {
    let mut table = frontend::commands::<Node>();
    table.extend(engine::commands::<Node>());
    table.extend(repl::commands::<Node>());
    table.extend(member::commands::<Node>());
    table.extend(command::missing(member::MISSING));
    table.extend([
        await_writes::SPEC,
        collection_info::SPEC,
        create_collection::SPEC,
        critical_section::ENTER,
        critical_section::LEAVE,
        drop::COLLECTION,
        drop::DATABASE,
        drop::FORGET,
        set_identity::SPEC,
        statement_outcome::SPEC,
    ]);
    table
}

/// An entry for peers only.
const fn internal(name: &'static str, help: &'static str, run: Handler<Node>) -> Spec<Node> {
    Spec {
        name,
        aliases: &[],
        access: Access::Inspect,
        admin_only: true,
        internal_only: true,
        names_collection: false,
        help,
        run,
    }
}
