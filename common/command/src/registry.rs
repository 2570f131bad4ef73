//! The entry of a command in a server's table. Each command is one file that exports its `SPEC`.

use crate::{Context, Reply, Request};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use types::Fault;

/// A boxed future that may move between threads.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Runs one command against the server's state `S`.
pub type Handler<S> = fn(Arc<S>, Context, Request) -> BoxFuture<Result<Reply, Fault>>;

/// What a command does to data; decides about login, write concern, retry and what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Answers from the process itself, also before login: hello, ping, buildInfo.
    Handshake,
    /// Looks at the process or at metadata.
    Inspect,
    /// Reads documents.
    Read,
    /// Writes documents.
    Write,
    /// Changes collections, indexes, the cluster.
    Admin,
    /// Known by name, not built: answers `NotImplemented` (238) with its name.
    Missing,
}

impl Access {
    /// Whether the command changes what is stored.
    pub fn is_change(self) -> bool {
        matches!(self, Access::Write | Access::Admin)
    }
}

/// A command's entry in the table.
pub struct Spec<S> {
    pub name: &'static str,
    /// Other spellings, such as `ismaster` for `isMaster`.
    pub aliases: &'static [&'static str],
    pub access: Access,
    /// Must be run on the `admin` database.
    pub admin_only: bool,
    /// Only for peers on the gRPC door.
    pub internal_only: bool,
    /// Whether the command's first value is a collection name: what the version gate, `top` and the profiler ask for.
    pub names_collection: bool,
    /// One line for `listCommands`.
    pub help: &'static str,
    pub run: Handler<S>,
}

impl<S> Clone for Spec<S> {
    fn clone(&self) -> Spec<S> {
        *self
    }
}

impl<S> Copy for Spec<S> {}

impl<S> Spec<S> {
    /// A command about the process itself, on `admin`, that changes nothing of what is stored.
    pub const fn admin(name: &'static str, help: &'static str, run: Handler<S>) -> Spec<S> {
        Spec {
            name,
            aliases: &[],
            access: Access::Inspect,
            admin_only: true,
            internal_only: false,
            names_collection: false,
            help,
            run,
        }
    }
}

/// Entries for commands that MongoDB has and a server has not yet: known by name, so that they say so instead of seeming unknown.
pub fn missing<S>(names: &[&'static str]) -> impl Iterator<Item = Spec<S>> {
    names.iter().map(|name| Spec {
        name,
        aliases: &[],
        access: Access::Missing,
        admin_only: false,
        internal_only: false,
        names_collection: false,
        help: "known to MongoDB, not built yet",
        run: |_, _, request| Box::pin(std::future::ready(Err(Fault::not_implemented(request.name())))),
    })
}
