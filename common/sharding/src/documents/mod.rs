//! The documents of the `config` database that describe sharding, in the shapes of MongoDB 8.0, which mongosh and drivers read.
//! Each type reads and writes one collection. Unknown fields are kept out: a document that we write back is wholly ours.

mod changelog;
mod chunks;
mod collections;
mod databases;
mod fields;
mod settings;
mod shards;
mod tags;
mod version;

pub use changelog::Event;
pub use chunks::{from_document as chunk_from_document, to_document as chunk_to_document};
pub use collections::CollectionEntry;
pub use databases::DatabaseEntry;
pub use settings::{
    ActiveWindow, BalancerMode, BalancerSettings, CHUNK_SIZE_MEGABYTES_DEFAULT, chunk_size_bytes,
};
pub use shards::ShardEntry;
pub use tags::TagEntry;
pub use version::{ClusterVersion, RouterEntry};

#[cfg(test)]
mod tests;
