//! The operations that run now, for currentOp and killOp. A few locks, spread by id, so that commands do not meet at one.

use command::{Access, Client, Envelope};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Instant;
use value::SharedDoc;

const SHARD_COUNT: usize = 16;

/// One running command.
#[derive(Debug, Clone)]
pub struct Operation {
    pub id: i64,
    pub name: &'static str,
    /// `db.collection`, or `db.$cmd` where the command names no collection.
    pub names_collection: bool,
    pub client: Arc<Client>,
    pub envelope: Arc<Envelope>,
    pub body: SharedDoc,
    pub started: Instant,
    pub killed: Arc<AtomicBool>,
    pub access: Access,
    /// It was killed because the part that this member plays in its set changed.
    pub deposed: bool,
}

/// All running commands of a process.
#[derive(Debug, Default)]
pub struct Operations {
    next: AtomicI64,
    shards: [Mutex<HashMap<i64, Operation>>; SHARD_COUNT],
}

impl Operations {
    /// A new `opid`.
    pub fn next_id(&self) -> i64 {
        self.next.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Lists an operation until the returned guard is dropped.
    pub fn enter(self: &Arc<Self>, operation: Operation) -> Running {
        let id = operation.id;
        if let Some(shard) = self.shard(id) {
            shard.lock().insert(id, operation);
        }
        Running { operations: Arc::clone(self), id }
    }

    /// The operations that run now, by id.
    pub fn list(&self) -> Vec<Operation> {
        let mut all: Vec<Operation> =
            self.shards.iter().flat_map(|shard| shard.lock().values().cloned().collect::<Vec<_>>()).collect();
        all.sort_by_key(|operation| operation.id);
        all
    }

    /// How many run now.
    pub fn count(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Asks an operation to stop; `false` if there is none of that id.
    pub fn kill(&self, id: i64) -> bool {
        let Some(shard) = self.shard(id) else { return false };
        match shard.lock().get(&id) {
            Some(operation) => {
                operation.killed.store(true, Ordering::Relaxed);
                true
            }
            None => false,
        }
    }

    /// Asks the operations that `concerned` picks to stop, because this member plays another part now. How many they were.
    pub fn depose(&self, concerned: impl Fn(&Operation) -> bool) -> usize {
        let mut count = 0;
        for shard in &self.shards {
            for operation in shard.lock().values_mut().filter(|operation| concerned(operation)) {
                operation.deposed = true;
                operation.killed.store(true, Ordering::Relaxed);
                count += 1;
            }
        }
        count
    }

    /// Whether an operation was killed by [`Operations::depose`].
    pub fn is_deposed(&self, id: i64) -> bool {
        self.shard(id).is_some_and(|shard| shard.lock().get(&id).is_some_and(|operation| operation.deposed))
    }

    fn shard(&self, id: i64) -> Option<&Mutex<HashMap<i64, Operation>>> {
        self.shards.get(id.rem_euclid(SHARD_COUNT as i64) as usize)
    }
}

/// Takes the operation off the list when dropped, also when its future is dropped half-way.
#[derive(Debug)]
pub struct Running {
    operations: Arc<Operations>,
    id: i64,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(shard) = self.operations.shard(self.id) {
            shard.lock().remove(&self.id);
        }
    }
}
