//! All peers of a process, one per host.

use crate::{Peer, SetAddress, SetClient};
use parking_lot::Mutex;
use runtime::Tasks;
use std::collections::HashMap;
use std::sync::Arc;
use types::Fault;

/// Peers by `host:port`, made when first asked for. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pool {
    peers: Arc<Mutex<HashMap<String, Arc<Peer>>>>,
    tasks: Tasks,
}

impl Pool {
    /// A pool without peers; their reader tasks belong to `tasks`.
    pub fn new(tasks: &Tasks) -> Pool {
        Pool { peers: Arc::default(), tasks: tasks.clone() }
    }

    /// The peer at `host:port`.
    ///
    /// # Errors
    /// `FailedToParse` (9) for a malformed host.
    pub fn peer(&self, host: &str) -> Result<Arc<Peer>, Fault> {
        let mut peers = self.peers.lock();
        if let Some(peer) = peers.get(host) {
            return Ok(peer.clone());
        }
        let peer = Arc::new(Peer::new(host, &self.tasks)?);
        peers.insert(host.to_owned(), peer.clone());
        Ok(peer)
    }

    /// A client of the replica set at `address`.
    ///
    /// # Errors
    /// `FailedToParse` (9) for malformed hosts.
    pub fn set(&self, address: &SetAddress) -> Result<SetClient, Fault> {
        let peers = address.hosts.iter().map(|host| self.peer(host)).collect::<Result<Vec<_>, _>>()?;
        Ok(SetClient::new(address.name.clone(), peers))
    }
}
