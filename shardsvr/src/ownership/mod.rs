//! What this shard knows of its place in the cluster: which version of which collection it owns, and when to hold writers back.
//! A request that was routed with another version is refused with a typed stale-route fault, so the router reads its table anew.

mod collection;
mod critical_section;
mod database;
mod filter;
mod identity;
mod stored_sections;
mod version_gate;

pub use collection::CollectionGate;
pub use critical_section::CriticalSections;
pub use filter::OwnershipFilter;
pub use identity::{Identity, IdentityError};
pub use version_gate::{Admitted, VersionGate};
