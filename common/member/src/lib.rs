//! What a shard's member and a config server's member have in common: one store, one engine, a part in a replica set, the two doors.
//! Each of the two servers puts its own commands and gates on top. Knows nothing of shards, chunks or routing.

mod config;
mod host;
mod member;
mod metrics;
mod missing;
mod peers;

pub use config::MemberConfig;
pub use host::{disk, gossip, hello, server_status};
pub use member::{Error, Member};
pub use missing::MISSING;
pub use peers::Peers;
