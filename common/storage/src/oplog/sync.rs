//! Who syncs: a thread does for all that wait. Who waits alone, on a thread of its own, does it itself: to hand it over and back
//! costs as much as the disk.

use super::append::Log;
use crate::Error;
use std::sync::Arc;
use std::time::Duration;
use types::Timestamp;

impl Log {
    /// Runs until [`Log::stop`] or the first failure. `after` is called after every sync.
    pub(crate) fn run_syncer(self: &Arc<Log>, interval: Duration, after: &dyn Fn()) -> Result<(), Error> {
        loop {
            let stop = {
                let mut signal = self.signal.lock();
                if !signal.stop && (signal.syncing || signal.wanted <= self.durable_ts()) {
                    self.wake.wait_for(&mut signal, interval);
                }
                signal.stop
            };
            if self.last().ts > self.durable_ts() {
                self.sync_for_all()?;
            }
            after();
            if stop {
                return Ok(());
            }
        }
    }

    /// Waits until everything up to `at` is synced, on this thread.
    ///
    /// # Errors
    /// If the log is poisoned, or was cut back below `at` since `epoch`.
    pub(crate) fn wait_durable(&self, at: Timestamp, epoch: u64) -> Result<(), Error> {
        let mut counted = false;
        loop {
            if self.epoch() != epoch && self.cut_since(epoch) < at {
                return Err(Error::RolledBack { to: self.cut_since(epoch) });
            }
            if self.durable_ts() >= at {
                return Ok(());
            }
            let mut signal = self.signal.lock();
            if !counted {
                counted = true;
                self.count_wait();
            }
            if self.durable_ts() >= at {
                return Ok(());
            }
            if let Some(reason) = &self.durable.borrow().failed {
                return Err(Error::poisoned(reason));
            }
            if !signal.syncing {
                drop(signal);
                self.sync_for_all()?;
                continue;
            }
            self.synced.wait(&mut signal);
        }
    }

    /// Syncs, or waits for whoever does; then lets the thread go on if more came meanwhile.
    fn sync_for_all(&self) -> Result<(), Error> {
        let mut signal = self.signal.lock();
        if signal.syncing {
            self.synced.wait(&mut signal);
            return Ok(());
        }
        signal.syncing = true;
        drop(signal);
        let outcome = self.sync();
        let mut signal = self.signal.lock();
        signal.syncing = false;
        let more = signal.wanted > self.durable_ts();
        drop(signal);
        self.synced.notify_all();
        if more {
            self.wake.notify_one();
        }
        outcome
    }

    /// Lets the syncer sync once more and end.
    pub(crate) fn stop(&self) {
        self.signal.lock().stop = true;
        self.wake.notify_all();
    }
}
