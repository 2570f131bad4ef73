//! Commands that read and write documents.

pub mod aggregate;
pub mod bulk_write;
pub mod count;
pub mod delete;
pub mod distinct;
pub mod find;
pub mod find_and_modify;
pub mod get_more;
pub mod insert;
pub mod kill_cursors;
pub mod update;

pub use aggregate::Aggregate;
pub use bulk_write::{BulkOperation, BulkWrite};
pub use count::Count;
pub use delete::{Delete, DeleteStatement};
pub use distinct::Distinct;
pub use find::Find;
pub use find_and_modify::{FindAndModify, FindAndModifyAction};
pub use get_more::GetMore;
pub use insert::Insert;
pub use kill_cursors::{KillCursors, KillCursorsOutcome};
pub use update::{Update, UpdateStatement};
