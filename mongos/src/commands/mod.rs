//! How a router runs each command: one file each, the table here.

mod admin;
mod config_server;
mod crud;
mod ddl;
mod diag;
mod missing;

pub(crate) use crud::kill_open;

use crate::node::Node;
use command::{Access, Handler, Spec};

/// All commands of a router.
pub fn table() -> Vec<Spec<Node>> {
    let mut table = frontend::commands::<Node>();
    table.retain(|spec| spec.name != diag::kill_op::SPEC.name);
    table.extend([
        admin::add_shard::SPEC,
        admin::balancer_status::SPEC,
        admin::default_rw_concern::GET,
        admin::default_rw_concern::SET,
        admin::enable_sharding::SPEC,
        admin::flush_router_config::SPEC,
        admin::get_shard_map::SPEC,
        admin::list_shards::SPEC,
        admin::shard_collection::SPEC,
        admin::split::SPEC,
        crud::aggregate::SPEC,
        crud::bulk_write::SPEC,
        crud::count::SPEC,
        crud::delete::SPEC,
        crud::distinct::SPEC,
        crud::find::SPEC,
        crud::find_and_modify::SPEC,
        crud::get_more::SPEC,
        crud::insert::SPEC,
        crud::kill_cursors::SPEC,
        crud::update::SPEC,
        ddl::coll_mod::SPEC,
        ddl::convert_to_capped::SPEC,
        ddl::create::SPEC,
        ddl::create_indexes::SPEC,
        ddl::drop::SPEC,
        ddl::drop_database::SPEC,
        ddl::drop_indexes::SPEC,
        ddl::list_collections::SPEC,
        ddl::list_databases::SPEC,
        ddl::list_indexes::SPEC,
        diag::coll_stats::SPEC,
        diag::db_stats::SPEC,
        diag::explain::SPEC,
        diag::kill_op::SPEC,
        diag::validate::SPEC,
    ]);
    table.extend(command::missing(missing::NAMES));
    table
}

/// An entry with the defaults of most commands: on any database, open to clients, its first value a collection.
pub(crate) const fn spec(
    name: &'static str,
    access: Access,
    help: &'static str,
    run: Handler<Node>,
) -> Spec<Node> {
    Spec {
        name,
        aliases: &[],
        access,
        admin_only: false,
        internal_only: false,
        names_collection: true,
        help,
        run,
    }
}

/// An entry that runs on `admin` only.
pub(crate) const fn admin_spec(name: &'static str, help: &'static str, run: Handler<Node>) -> Spec<Node> {
    Spec { admin_only: true, names_collection: false, ..spec(name, Access::Admin, help, run) }
}
