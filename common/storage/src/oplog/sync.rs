//! The syncer thread: one sync covers everybody who waits.

use super::append::Log;
use crate::Error;
use std::sync::Arc;
use std::time::Duration;

impl Log {
    /// Runs until [`Log::stop`] or the first failure. `after` is called after every sync.
    pub(crate) fn run_syncer(self: &Arc<Log>, interval: Duration, after: &dyn Fn()) -> Result<(), Error> {
        loop {
            let stop = {
                let mut signal = self.signal.lock();
                if !signal.stop && signal.wanted <= self.durable_ts() {
                    self.wake.wait_for(&mut signal, interval);
                }
                signal.stop
            };
            if self.last().ts > self.durable_ts() {
                self.sync()?;
            }
            after();
            if stop {
                return Ok(());
            }
        }
    }

    /// Lets the syncer sync once more and end.
    pub(crate) fn stop(&self) {
        self.signal.lock().stop = true;
        self.wake.notify_all();
    }
}
