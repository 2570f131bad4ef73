//! Which shard owns what, as far as this router knows. May be stale; shards say so, and then it is read anew.

mod cache;
mod refresh;
mod route;
mod stale_retry;

pub use cache::RoutingCache;
pub use refresh::watch;
pub use route::{Place, Route, Target};
pub use stale_retry::{ROUTE_ATTEMPTS_MAX, note_stale};
