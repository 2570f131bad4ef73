//! Tests of the whole store: against a model, across crashes of its base, under concurrency.

mod aside;
mod brake;
mod collation;
mod concurrent;
mod cursor;
mod ddl;
mod disk;
mod golden;
mod harness;
mod hash;
mod kinds;
mod memory;
mod model;
mod oplog;
mod pair;
mod purge;
mod rebuild;
mod replica;
mod rollback;
mod syncs;
mod torn;
