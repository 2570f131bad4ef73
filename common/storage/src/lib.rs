//! Namespaces, records, indexes, snapshots at a time, and one commit.
//! Inside: the oplog is the write-ahead log, recent versions live in memory, a checkpoint moves them to a base engine.
//! Calls block and belong on worker threads. Knows nothing of commands, queries, replication or sockets.

mod aside;
mod base;
mod batch;
mod brake;
mod capped;
mod catalog;
mod change;
mod checkpoint;
mod collection;
mod commit;
mod control;
mod convert;
mod counts;
mod ddl;
mod error;
mod fail;
mod import;
mod index;
mod keyspace;
mod oplog;
mod options;
mod pins;
mod predicate;
mod purge;
mod recovery;
mod replica;
mod rollback;
mod room;
mod scan;
mod snapshot;
mod spill;
mod store;
#[cfg(test)]
mod tests;
mod undone;
mod validate;
mod versions;

pub use aside::{read_control, set_aside};
pub use batch::{Batch, CommitMeta, SessionMeta};
pub use capped::Capped;
pub use catalog::Catalog;
pub use collection::{Collection, CollectionId, Index, IndexId, RecordKey, RecordOrder};
pub use control::Control;
pub use counts::CollectionStats;
pub use ddl::{CreatedIndexes, Interrupted};
pub use error::{DuplicateKey, Error};
#[cfg(any(debug_assertions, feature = "failpoints"))]
pub use fail::{POINTS as FAIL_POINTS, REPLICA_POINTS};
pub use import::{Export, Importing};
pub use oplog::Durable;
pub use oplog::{Change, ChangeKind, Changes, OplogCursor, OplogEntry, OplogReader};
pub use options::{Clock, EngineKind, OnDamage, Options};
pub use predicate::{Predicate, Predicates};
pub use replica::{Located, LogHold, LogRecord, RecordCursor};
pub use rollback::RolledBack;
pub use scan::{Direction, IndexScan, RecordScan};
pub use snapshot::Snapshot;
pub use store::{Store, StoreStats};
pub use validate::{Misfit, Validation};
