//! Executes typed commands against one member's own storage: plans, scans, writes, collections and indexes.
//! Used by shard and config server alike through [`HasEngine`]; knows nothing of routing tables, elections or sockets.

mod batch;
mod commands;
mod cursor;
mod ddl;
mod defaults;
mod engine;
mod exec;
mod explain;
mod host;
mod index_uses;
mod let_vars;
mod op_context;
mod partial;
mod plan;
mod sources;
mod stats;
mod tail;
mod ttl;
mod view;
mod write;

pub use commands::commands;
pub use cursor::OpenCursor;
pub use defaults::Defaults;
pub use engine::Engine;
pub use host::{Disk, DocumentFilter, HasEngine, Identity, Surroundings};
pub use index_uses::IndexUses;
pub use partial::PartialFilters;
pub use ttl::TtlMonitor;
pub use write::{concern_of, forget_old_statements, statement_outcome};
