//! Holding the requests to a collection back while the config server changes what it means.
//! A section ends when the config server says so, or after its lease: then nothing is known and the config server is asked again,
//! so a config server that died in between costs time but never a wrong answer.

use super::CollectionGate;
use parking_lot::Mutex;
use runtime::Tasks;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::oneshot;
use types::{Code, Fault, Namespace};

/// A section that is not ended by then ends by itself.
const LEASE: Duration = Duration::from_secs(30);
/// How long the requests that are inside may take to leave.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The sections that are open now.
#[derive(Debug, Default)]
pub struct CriticalSections {
    open: Mutex<HashMap<Namespace, Section>>,
}

#[derive(Debug)]
struct Section {
    end: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
    config_term: i64,
}

impl CriticalSections {
    /// Opens a section: returns once no request is inside, and lets none in until it ends.
    ///
    /// # Errors
    /// `LockBusy` (46) where one is open already, `LockTimeout` (24) where a request stays inside too long.
    pub async fn enter(
        &self,
        ns: &Namespace,
        gate: &CollectionGate,
        config_term: i64,
        tasks: &Tasks,
    ) -> Result<(), Fault> {
        if self.open.lock().get(ns).is_some_and(|section| !section.end.is_closed()) {
            return Err(Fault::new(Code::LockBusy, format!("{ns} is in a critical section already")));
        }
        let closed = tokio::time::timeout(DRAIN_TIMEOUT, gate.close()).await.map_err(|_| {
            Fault::new(
                Code::LockTimeout,
                format!("requests on {ns} did not end within {} s", DRAIN_TIMEOUT.as_secs()),
            )
        })?;
        let (end, asked) = oneshot::channel();
        let (done, ended) = oneshot::channel();
        let name = ns.clone();
        tasks.spawn("critical-section", async move {
            // Abandoned, it ends as if it had been asked to.
            if tokio::time::timeout(LEASE, asked).await.is_err() {
                tracing::warn!(ns = %name, seconds = LEASE.as_secs(), "critical section ended by its lease");
            }
            drop(closed);
            done.send(()).ok(); // nobody waits after a lease
        });
        self.open.lock().insert(ns.clone(), Section { end, ended, config_term });
        Ok(())
    }

    /// Ends all sections at once: this member does not answer for them any more.
    pub fn abandon(&self) {
        self.open.lock().clear();
    }

    /// The term of the config server's primary in whose name the section was opened, if one is open.
    pub fn term_of(&self, ns: &Namespace) -> Option<i64> {
        self.open.lock().get(ns).filter(|section| !section.end.is_closed()).map(|section| section.config_term)
    }

    /// Ends the section, if it is still open.
    pub async fn leave(&self, ns: &Namespace) {
        let section = self.open.lock().remove(ns);
        if let Some(Section { end, ended, .. }) = section {
            end.send(()).ok(); // its lease ended it
            ended.await.ok();
        }
    }

    /// Whether a section is open.
    pub fn is_open(&self, ns: &Namespace) -> bool {
        self.open.lock().get(ns).is_some_and(|section| !section.end.is_closed())
    }
}
