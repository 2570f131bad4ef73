//! Up to where those who pull from here have synced, as they said themselves: their streams go by it. What counts for commits is the
//! driver's.

use parking_lot::Mutex;
use std::collections::HashMap;
use tokio::sync::watch;
use types::OpTime;

/// By `host:port`, for those whose streams are open.
#[derive(Debug, Default)]
pub(crate) struct Reports(Mutex<HashMap<String, watch::Sender<OpTime>>>);

impl Reports {
    /// What that member will report.
    pub(super) fn watch(&self, host: &str) -> watch::Receiver<OpTime> {
        let mut known = self.0.lock();
        known.retain(|_, report| report.receiver_count() > 0);
        known.entry(host.to_owned()).or_default().subscribe()
    }

    /// It reported; a place that is lower than the last is one in another log.
    pub(super) fn note(&self, host: &str, synced: OpTime) {
        if let Some(report) = self.0.lock().get(host) {
            report.send_if_modified(|last| std::mem::replace(last, synced) != synced);
        }
    }
}
