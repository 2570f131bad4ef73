//! Tests of the whole store: against a model, across crashes of its base, under concurrency.

mod aside;
mod brake;
mod collation;
mod concurrent;
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
mod replica;
mod rollback;
mod torn;
