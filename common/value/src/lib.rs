//! What a BSON value means: how values compare, add, hash, sort as bytes, and are found by path.
//! Pure functions over raw BSON. Knows nothing of commands, collections or queries.

pub mod collation;
pub mod element;
pub mod hash;
pub mod interval;
pub mod key;
pub mod number;
pub mod order;
pub mod path;
#[cfg(test)]
mod sample;
mod shared_doc;
pub mod validate;

pub use collation::{Collation, Collator};
pub use shared_doc::SharedDoc;
