//! Tests of the whole store: against a model, across crashes, under concurrency.

mod concurrent;
mod crash;
mod ddl;
mod harness;
mod model;
mod oplog;
mod torn;
