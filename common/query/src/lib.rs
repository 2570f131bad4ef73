//! The query language as pure functions over raw BSON: match, project, sort, update, expressions, pipelines,
//! and the bounds that a predicate puts on a key. Shared by router and shard, so both give the same answer.
//! Knows nothing of collections, storage, sockets or the clock.

pub mod bounds;
pub mod context;
pub mod expr;
pub mod matcher;
pub mod pipeline;
pub mod projection;
pub mod raw;
pub mod sort;
pub mod update;
