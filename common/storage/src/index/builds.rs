//! Builds that are going on: those that a command runs here, and those that a member runs in the background because the log says
//! that one has begun. When the log says that it is complete, or when this member becomes primary, it is waited for.

use super::build;
use crate::Error;
use crate::collection::RecordKey;
use crate::keyspace::Ident;
use crate::store::Shared;
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

#[derive(Debug, Clone)]
enum State {
    Running,
    /// All entries are there, but for those of records that could not have any when they were looked at.
    Done(Vec<RecordKey>),
    /// To be done again by whoever needs it.
    Failed,
}

/// The builds by ident of the index.
#[derive(Debug, Default)]
pub(crate) struct Builds {
    inner: Mutex<HashMap<Ident, (u64, State)>>,
    changed: Condvar,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Builds {
    pub(crate) fn begin(&self, indexes: &[Ident], epoch: u64) {
        let mut inner = self.inner.lock();
        inner.extend(indexes.iter().map(|index| (*index, (epoch, State::Running))));
    }

    /// `done` are the records that were passed over, or nothing if the build failed.
    pub(crate) fn end(&self, indexes: &[Ident], epoch: u64, done: Option<Vec<RecordKey>>) {
        let mut inner = self.inner.lock();
        for index in indexes {
            // One that was begun anew after a rollback is another one.
            if let Some((of, state)) = inner.get_mut(index)
                && *of == epoch
            {
                *state = done.clone().map_or(State::Failed, State::Done);
            }
        }
        self.changed.notify_all();
    }

    pub(crate) fn forget(&self, indexes: &[Ident]) {
        self.inner.lock().retain(|index, _| !indexes.contains(index));
    }

    pub(crate) fn clear(&self) {
        self.inner.lock().clear();
        self.changed.notify_all();
    }

    /// At the end of the store, after it was marked as closed.
    pub(crate) fn join(&self) {
        let threads: Vec<_> = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread that built an index panicked");
            }
        }
    }
}

impl Shared {
    /// Builds in the background. What becomes of it is asked for with [`Shared::await_build`].
    pub(crate) fn start_build(
        self: &Arc<Shared>,
        collection: Ident,
        indexes: Vec<Ident>,
    ) -> Result<(), Error> {
        let epoch = self.log.epoch();
        self.builds.begin(&indexes, epoch);
        let shared = self.clone();
        let thread = std::thread::Builder::new().name("index-build".to_owned()).spawn(move || {
            let built = build::run_accepted(&shared, collection, &indexes, epoch);
            if let Err(error) = &built {
                // Dropped, rolled back or closed meanwhile; else whoever waits does it again and sees why.
                tracing::debug!(%error, "an index build in the background ended");
            }
            shared.builds.end(&indexes, epoch, built.ok());
        });
        let thread = thread.map_err(Error::io(self.options.dir.clone()))?;
        let mut threads = self.builds.threads.lock();
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(())
    }

    /// Builds in the background whatever the catalogue has that is not complete.
    pub(crate) fn start_open_builds(self: &Arc<Shared>) -> Result<(), Error> {
        for collection in self.catalog.load().all() {
            let open = collection.secondary().filter(|index| index.ready.is_none());
            let open: Vec<Ident> = open.map(|index| index.id.0).collect();
            if !open.is_empty() {
                tracing::info!(ns = %collection.ns, indexes = open.len(), "building indexes");
                self.start_build(collection.id.0, open)?;
            }
        }
        Ok(())
    }

    /// Returns when these indexes have all their entries, with the records that were passed over. Builds those that nobody builds.
    pub(crate) fn await_build(
        self: &Arc<Shared>,
        collection: Ident,
        indexes: &[Ident],
    ) -> Result<Vec<RecordKey>, Error> {
        let mut passed = Vec::new();
        let mut todo = Vec::new();
        for index in indexes {
            let mut inner = self.builds.inner.lock();
            loop {
                self.check_open()?;
                match inner.get(index).map(|(_, state)| state) {
                    Some(State::Running) => {
                        self.builds.changed.wait_for(&mut inner, Duration::from_millis(100));
                    }
                    Some(State::Done(records)) => {
                        passed.extend(records.iter().cloned());
                        break;
                    }
                    Some(State::Failed) | None => {
                        todo.push(*index);
                        break;
                    }
                }
            }
        }
        if !todo.is_empty() {
            passed.extend(build::run_accepted(self, collection, &todo, self.log.epoch())?);
        }
        passed.sort();
        passed.dedup();
        Ok(passed)
    }
}
