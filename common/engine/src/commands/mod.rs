//! One file per command: parse, call the code that does the work, shape the reply.

pub(crate) mod aggregate;
mod append_oplog_note;
mod bulk_write;
mod coll_mod;
mod coll_stats;
mod convert_to_capped;
pub(crate) mod count;
mod create;
mod create_indexes;
mod db_hash;
mod db_stats;
mod default_rw_concern;
mod delete;
pub(crate) mod distinct;
mod drop;
mod drop_database;
mod drop_indexes;
mod explain;
pub(crate) mod find;
mod find_and_modify;
mod get_more;
mod insert;
mod kill_cursors;
mod list_collections;
mod list_databases;
mod list_indexes;
mod rename_collection;
mod update;
mod validate;

use crate::HasEngine;
use command::{Access, Handler, Spec};

/// Every command that this crate executes, by name.
pub fn commands<S: HasEngine>() -> Vec<Spec<S>> {
    vec![
        aggregate::spec(),
        append_oplog_note::spec(),
        bulk_write::spec(),
        coll_mod::spec(),
        coll_stats::spec(),
        convert_to_capped::spec(),
        count::spec(),
        create::spec(),
        create_indexes::spec(),
        db_hash::spec(),
        db_stats::spec(),
        default_rw_concern::get(),
        default_rw_concern::set(),
        delete::spec(),
        distinct::spec(),
        drop::spec(),
        drop_database::spec(),
        drop_indexes::spec(),
        explain::spec(),
        find::spec(),
        find_and_modify::spec(),
        get_more::spec(),
        insert::spec(),
        kill_cursors::spec(),
        list_collections::spec(),
        list_databases::spec(),
        list_indexes::spec(),
        rename_collection::spec(),
        update::spec(),
        validate::spec(),
    ]
}

/// A command whose first value names a collection; the others differ from this in a field or two.
fn on_collection<S>(name: &'static str, access: Access, help: &'static str, run: Handler<S>) -> Spec<S> {
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
