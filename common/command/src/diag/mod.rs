//! Commands that explain and measure.

pub mod coll_stats;
pub mod db_hash;
pub mod db_stats;
pub mod explain;
pub mod validate;

pub use coll_stats::CollStats;
pub use db_hash::DbHash;
pub use db_stats::DbStats;
pub use explain::{Explain, Explained};
pub use validate::Validate;
