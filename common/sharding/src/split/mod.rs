//! Where to cut: the first chunks of a new collection, and split points of a chunk that grew.

mod initial;
mod points;

pub use initial::{
    HASHED_CHUNKS_PER_SHARD_DEFAULT, INITIAL_CHUNKS_MAX, INITIAL_CHUNKS_PER_SHARD_MAX, Initial,
    hashed_points, initial_chunks,
};
pub use points::{Points, at_counts, even_points};
