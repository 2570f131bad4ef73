//! What may be asked of a server: the envelope that every command shares, one typed request per command, and the table entry
//! that ties a name to the code that runs it. Pure: no sockets, no tokio, no clock.

pub mod admin;
pub mod context;
pub mod crud;
pub mod ddl;
pub mod diag;
pub mod envelope;
pub mod options;
mod parse;
pub mod registry;
pub mod reply;
pub mod request;
pub mod rewrite;
mod rw_defaults;

pub use admin::*;
pub use context::{Client, Context, Routing};
pub use crud::*;
pub use ddl::*;
pub use diag::*;
pub use envelope::Envelope;
pub use options::{Hint, Modification, StatementIds, Verbosity, WriteOptions};
pub use registry::{Access, BoxFuture, Handler, Spec, missing};
pub use reply::{CursorBatch, CursorReply, Upserted, WriteConcernError, WriteError, WriteOutcome};
pub use request::{Reply, Request, Sequence};
pub use rewrite::Rewrite;
pub use rw_defaults::RwDefaults;
