//! All peers of a process, one per host, and all sets, one per name.

use crate::monitor::{Bound, Set};
use crate::network::{Network, Tcp};
use crate::{Peer, SetAddress, SetClient};
use parking_lot::Mutex;
use runtime::Tasks;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use types::Fault;

/// Peers by `host:port` and sets by name, made when first asked for. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pool {
    peers: Arc<Mutex<HashMap<String, Arc<Peer>>>>,
    /// Those that somebody uses.
    sets: Arc<Mutex<HashMap<String, Weak<Set>>>>,
    selection_timeout: Arc<Bound>,
    network: Arc<dyn Network>,
    tasks: Tasks,
}

impl Pool {
    /// A pool without peers; their reader tasks belong to `tasks`.
    pub fn new(tasks: &Tasks) -> Pool {
        Pool::over(Arc::new(Tcp), tasks)
    }

    /// The same, over that network.
    pub fn over(network: Arc<dyn Network>, tasks: &Tasks) -> Pool {
        Pool {
            network,
            peers: Arc::default(),
            sets: Arc::default(),
            selection_timeout: Arc::new(Bound::new(crate::SELECTION_TIMEOUT)),
            tasks: tasks.clone(),
        }
    }

    /// How long a suitable member of a set is waited for.
    pub fn selection_timeout(&self) -> Duration {
        self.selection_timeout.get()
    }

    /// Sets how long a suitable member of a set is waited for.
    pub fn set_selection_timeout(&self, bound: Duration) {
        self.selection_timeout.set(bound);
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.tasks
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
        let peer = Arc::new(Peer::over(self.network.clone(), host, &self.tasks)?);
        peers.insert(host.to_owned(), peer.clone());
        Ok(peer)
    }

    /// A client of the replica set at `address`, which is followed from now on. Its members may change: one known host is enough to
    /// find the others, and those who ask for a set that is followed already share what is known of it.
    ///
    /// # Errors
    /// `FailedToParse` (9) for malformed hosts.
    pub fn set(&self, address: &SetAddress) -> Result<SetClient, Fault> {
        for host in &address.hosts {
            self.peer(host)?;
        }
        let mut sets = self.sets.lock();
        if let Some(set) = sets.get(&address.name).and_then(Weak::upgrade)
            && set.has_any(&address.hosts)
        {
            set.add_seeds(&address.hosts);
            return Ok(SetClient::new(set));
        }
        sets.retain(|_, set| set.strong_count() > 0);
        let set = Set::start(&address.name, &address.hosts, self);
        sets.insert(address.name.clone(), Arc::downgrade(&set));
        Ok(SetClient::new(set))
    }
}
