//! What a shard's member and a config server's member have in common: one store, one engine, a part in a replica set, the two doors.
//! Each of the two servers puts its own commands and gates on top. Knows nothing of shards, chunks or routing.

mod admission;
mod commands;
mod config;
mod defaults;
mod host;
mod member;
mod metrics;
mod missing;
mod part;
mod peers;
mod surroundings;
mod waits;

pub use admission::admit;
pub use commands::{HasMember, commands};
pub use config::MemberConfig;
pub use defaults::follow_defaults;
pub use host::{gossip, gossip_settled, hello, own_address, server_status};
pub use member::{Error, Member};
pub use missing::MISSING;
pub use part::{Player, follow};
pub use peers::Peers;
pub use waits::Waits;
