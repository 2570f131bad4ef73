//! The state that the front end shares with the commands that are the same on every server.

use crate::counters::Counters;
use crate::operations::Operations;
use crate::parameters::Parameters;
use crate::registry::Catalogue;
use crate::write_lock::WriteLock;
use bson::Document;
use bson::oid::ObjectId;
use command::Client;
use parking_lot::Mutex;
use runtime::telemetry::Recent;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use wire::Compressor;

/// What a server tells about itself once, when it starts.
#[derive(Debug, Clone, Default)]
pub struct FrontOptions {
    /// mongos, shardsvr, configsvr.
    pub process: &'static str,
    /// `host:port`, for serverStatus and currentOp.
    pub host: String,
    /// The command line, for getCmdLineOpts.
    pub argv: Vec<String>,
    /// The options in force, in the shape of the configuration file.
    pub parsed: Document,
    /// The last log lines, for getLog.
    pub recent: Recent,
    /// What `getLog: "startupWarnings"` shows.
    pub startup_warnings: Vec<String>,
}

/// The shared state. One per process.
#[derive(Debug)]
pub struct Front {
    pub options: FrontOptions,
    /// `topologyVersion.processId`: new with each start.
    pub process_id: ObjectId,
    pub started: Instant,
    /// The wall clock at the start, for people.
    pub started_millis: i64,
    pub counters: Counters,
    pub operations: Arc<Operations>,
    pub parameters: Parameters,
    /// Held by `fsync`.
    pub write_lock: Arc<WriteLock>,
    /// Offered in hello, in this order.
    pub compressors: Vec<Compressor>,
    next_connection: AtomicI64,
    connections: Mutex<HashMap<i64, Arc<Client>>>,
    /// The most connections at a time, for serverStatus.
    pub(crate) connections_max: AtomicU64,
    catalogue: OnceLock<Catalogue>,
}

impl Front {
    /// The state of a process that starts now.
    pub fn new(options: FrontOptions) -> Arc<Front> {
        Arc::new(Front {
            options,
            process_id: ObjectId::new(),
            started: Instant::now(),
            started_millis: runtime::clock::now_millis(),
            counters: Counters::default(),
            operations: Arc::default(),
            parameters: Parameters::standard(),
            write_lock: Arc::default(),
            compressors: Compressor::OFFERED.to_vec(),
            next_connection: AtomicI64::new(0),
            connections: Mutex::default(),
            connections_max: AtomicU64::new(0),
            catalogue: OnceLock::new(),
        })
    }

    /// A number for a new connection, of either door.
    pub fn next_connection_id(&self) -> i64 {
        self.next_connection.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The drivers that are connected now.
    pub fn connections(&self) -> Vec<Arc<Client>> {
        let mut all: Vec<Arc<Client>> = self.connections.lock().values().cloned().collect();
        all.sort_by_key(|client| client.connection_id);
        all
    }

    /// How many drivers are connected now.
    pub fn connection_count(&self) -> usize {
        self.connections.lock().len()
    }

    /// Lists a driver until the returned guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>, client: &Arc<Client>) -> Connected {
        self.connections.lock().insert(client.connection_id, Arc::clone(client));
        Connected { front: Arc::clone(self), connection_id: client.connection_id }
    }

    /// Makes the table of commands known to listCommands and serverStatus. Later calls change nothing.
    pub fn publish(&self, catalogue: Catalogue) {
        self.catalogue.get_or_init(|| catalogue);
    }

    /// The table of commands; empty before [`Front::publish`].
    pub fn catalogue(&self) -> Catalogue {
        self.catalogue.get().cloned().unwrap_or_default()
    }
}

/// Takes the driver off the list when dropped.
#[derive(Debug)]
pub(crate) struct Connected {
    front: Arc<Front>,
    connection_id: i64,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.front.connections.lock().remove(&self.connection_id);
    }
}
