//! The vocabulary that every crate shares: names, times, versions, concerns, limits and the one client-visible error.
//! Pure data: no sockets, no files, no clock. Knows nothing of what any of it is used for.

pub mod concern;
pub mod error;
pub mod ids;
pub mod limits;
mod namespace;
mod op_time;
mod read_preference;
mod version;

pub use concern::{ReadAt, ReadConcern, ReadConcernLevel, W, WriteConcern};
pub use error::{Code, Fault, Label, StaleRoute};
pub use ids::{SessionId, ShardId, TxnNumber, Uuid};
pub use namespace::Namespace;
pub use op_time::{OpTime, Timestamp};
pub use read_preference::{MemberChoice, ReadPreference, TagSet};
pub use version::{DatabaseVersion, Generation, ShardVersion};
