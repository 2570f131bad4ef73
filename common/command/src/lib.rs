//! What may be asked of a server: the envelope that every command shares, one typed request per command, and the table entry
//! that ties a name to the code that runs it. Pure: no sockets, no tokio, no clock.

pub mod context;
pub mod envelope;
pub mod registry;
pub mod request;

pub use context::{Client, Context, Routing};
pub use envelope::Envelope;
pub use registry::{Access, BoxFuture, Handler, Spec};
pub use request::{Reply, Request, Sequence};
