//! Commands that make, list and change collections and indexes.

pub mod coll_mod;
pub mod convert_to_capped;
pub mod create;
pub mod create_indexes;
pub mod drop;
pub mod drop_database;
pub mod drop_indexes;
pub mod list_collections;
pub mod list_databases;
pub mod list_indexes;
pub mod rename_collection;

pub use coll_mod::CollMod;
pub use convert_to_capped::ConvertToCapped;
pub use create::Create;
pub use create_indexes::{CreateIndexes, IndexSpec};
pub use drop::Drop;
pub use drop_database::DropDatabase;
pub use drop_indexes::{DropIndexes, IndexSelector};
pub use list_collections::ListCollections;
pub use list_databases::ListDatabases;
pub use list_indexes::ListIndexes;
pub use rename_collection::RenameCollection;
