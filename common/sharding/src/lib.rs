//! Where data belongs: shard keys, chunks, versions, zones, and the choice of shards for a predicate.
//! Pure functions over immutable tables. May be stale, never wrong about its own version. Knows nothing of sockets or storage.

pub mod chunk;
pub mod chunk_map;
pub mod documents;
mod error;
pub mod ring;
pub mod routing_table;
pub mod shard_key;
pub mod split;
pub mod target;
pub mod zone;

pub use chunk::{Chunk, ChunkVersion};
pub use chunk_map::{Change, ChunkMap};
pub use error::Error;
pub use ring::Ring;
pub use routing_table::{CollectionRouting, DatabaseRouting, RoutingTable};
pub use shard_key::{Bound, ShardKey};
pub use target::{Targets, target};
pub use zone::{Zone, Zones};

#[cfg(test)]
mod sample;
