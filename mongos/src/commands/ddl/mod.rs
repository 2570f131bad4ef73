//! Making, listing and dropping databases, collections and indexes.

pub(super) mod coll_mod;
pub(super) mod convert_to_capped;
pub(super) mod create;
pub(super) mod create_indexes;
pub(super) mod drop;
pub(super) mod drop_database;
pub(super) mod drop_indexes;
mod everywhere;
pub(super) mod list_collections;
pub(super) mod list_databases;
pub(super) mod list_indexes;
