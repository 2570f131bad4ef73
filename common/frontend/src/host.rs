//! What a server tells the front end about itself.

use crate::Front;
use bson::Document;
use bson::oid::ObjectId;
use command::{BoxFuture, Context, Request, RwDefaults, Spec};
use std::sync::Arc;
use tokio::sync::watch;
use types::{Fault, OpTime, SessionId, Timestamp};

/// What a server holds while a command runs, such as a writer's share of a collection's gate; dropped when the command has ended.
pub type Admitted = Option<Box<dyn std::any::Any + Send>>;

/// The times that every reply carries, so that clients can read their own writes anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gossip {
    /// `$clusterTime.clusterTime`: the highest time that this process knows of.
    pub cluster_time: Timestamp,
    /// `operationTime`: the time of the last thing that the reply can have seen.
    pub operation_time: Timestamp,
}

/// The last write of a member, for `hello.lastWrite`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LastWrite {
    pub op_time: OpTime,
    pub date_millis: i64,
    pub majority_op_time: OpTime,
    pub majority_date_millis: i64,
}

impl LastWrite {
    /// `lastWrite` of hello and serverStatus.
    pub fn to_document(&self) -> Document {
        let op_time = |at: OpTime| bson::doc! { "ts": bson::Timestamp::from(at.ts), "t": at.term };
        bson::doc! {
            "opTime": op_time(self.op_time),
            "lastWriteDate": bson::DateTime::from_millis(self.date_millis),
            "majorityOpTime": op_time(self.majority_op_time),
            "majorityWriteDate": bson::DateTime::from_millis(self.majority_date_millis),
        }
    }
}

/// A member of a replica set that has a configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberHello {
    pub set_name: String,
    pub set_version: i32,
    pub hosts: Vec<String>,
    pub passives: Vec<String>,
    pub arbiters: Vec<String>,
    /// `host:port` of the primary that this member knows.
    pub primary: Option<String>,
    /// This member, as the configuration names it.
    pub me: String,
    pub writable_primary: bool,
    /// A member of the config server's set.
    pub configsvr: bool,
    pub secondary: bool,
    pub arbiter_only: bool,
    pub passive: bool,
    pub hidden: bool,
    /// How far this member is to stay behind.
    pub delay_seconds: i64,
    pub tags: Document,
    /// Identity of the election; only the primary has one.
    pub election_id: Option<ObjectId>,
    pub last_write: Option<LastWrite>,
}

/// The part that a process plays, as hello shows it.
#[derive(Debug, Clone, PartialEq)]
pub enum Role {
    /// mongos.
    Router,
    /// Started with a set name, but no configuration has arrived yet.
    Uninitiated,
    /// A member of a replica set.
    Member(Box<MemberHello>),
}

/// What hello says besides limits and versions.
#[derive(Debug, Clone, PartialEq)]
pub struct Hello {
    pub role: Role,
    pub read_only: bool,
}

/// A server behind a [`crate::Frontend`].
pub trait Host: Send + Sync + Sized + 'static {
    /// The state that the front end shares with the commands in [`crate::commands`].
    fn front(&self) -> &Arc<Front>;

    /// The answer to hello, as of now.
    fn hello(&self) -> Hello;

    /// `topologyVersion.counter`: rises by one whenever [`Host::hello`] would answer otherwise (times aside).
    fn topology(&self) -> watch::Receiver<u64>;

    /// The times for the reply of one command; `None` while there is no cluster time. Called once a command: cheap.
    fn gossip(&self) -> Option<Gossip> {
        None
    }

    /// As [`Host::gossip`], for a reply that has nothing but what a majority has.
    fn gossip_settled(&self) -> Option<Gossip> {
        self.gossip()
    }

    /// A client's `$clusterTime`.
    ///
    /// # Errors
    /// Refuses a time that is unreasonably far ahead.
    fn observe(&self, _cluster_time: Timestamp) -> Result<(), Fault> {
        Ok(())
    }

    /// The gate before a command runs: version gate, not-primary check, login. `None` admits it at once.
    fn admit(
        self: &Arc<Self>,
        _spec: &Spec<Self>,
        _ctx: &Context,
        _request: &Request,
    ) -> Option<BoxFuture<Result<Admitted, Fault>>> {
        None
    }

    /// The concerns of clients that name none, where this server only hands commands on; `None` where none are set.
    fn defaults(&self) -> Option<Arc<RwDefaults>> {
        None
    }

    /// Adds this server's sections to serverStatus.
    fn server_status(&self, _status: &mut Document) {}

    /// Sessions that a client uses (`startSession`, `refreshSessions`).
    fn refresh_sessions(self: &Arc<Self>, sessions: Vec<SessionId>) -> BoxFuture<Result<(), Fault>>;

    /// Sessions that a client is done with, or that an administrator kills: their cursors and transactions end.
    fn end_sessions(self: &Arc<Self>, sessions: Vec<SessionId>) -> BoxFuture<Result<(), Fault>>;

    /// `killAllSessions` and its like: ends all sessions of this process.
    fn end_all_sessions(self: &Arc<Self>) -> BoxFuture<Result<(), Fault>>;
}
