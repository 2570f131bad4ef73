//! The critical sections that are open, as documents: so that the next primary of this shard holds the same requests back.
//! `config.criticalSections`, `{_id: namespace}`; written by a majority before a section counts as open, removed before it ends.

use crate::node::Node;
use bson::{RawBsonRef, rawdoc};
use std::sync::Arc;
use std::time::Duration;
use storage::Direction;
use types::{Fault, Namespace};
use value::interval::KeyRange;

/// Where they are stored.
const SECTIONS: &str = "config.criticalSections";
/// A document whose section has ended by its lease goes this long after it began.
const LEFTOVER_AFTER: Duration = Duration::from_secs(60);

impl Node {
    /// Opens a section: returns once no request is inside and a majority of the members knows of it.
    ///
    /// # Errors
    /// As [`super::CriticalSections::enter`]; the reason why no majority can be had.
    pub async fn enter_section(self: &Arc<Self>, ns: &Namespace, config_term: i64) -> Result<(), Fault> {
        self.gate.enter_critical(ns, config_term).await?;
        let doc = rawdoc! { "_id": ns.as_str() };
        let stored = tokio::task::block_in_place(|| self.put(SECTIONS, &doc));
        let settled = match stored {
            Ok(()) => self.settle().await,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = settled {
            self.gate.leave_critical(ns).await;
            return Err(fault);
        }
        self.clean_later(ns.clone());
        Ok(())
    }

    /// Ends a section.
    ///
    /// # Errors
    /// A failure of storage; the section is open still.
    pub async fn leave_section(&self, ns: &Namespace) -> Result<(), Fault> {
        tokio::task::block_in_place(|| self.remove_section(ns))?;
        self.gate.leave_critical(ns).await;
        Ok(())
    }

    /// The sections that the primary before this one had open.
    ///
    /// # Errors
    /// A failure of storage.
    pub(crate) fn stored_sections(&self) -> Result<Vec<Namespace>, Fault> {
        let store = &self.member.store;
        let catalog = store.catalog();
        let Some(collection) = catalog.get(&Namespace::parse(SECTIONS)?) else { return Ok(Vec::new()) };
        let snapshot = store.snapshot();
        let records = snapshot.scan(collection, &KeyRange::all(), Direction::Forward);
        records
            .map(|record| {
                let (_, doc) = record?;
                let ns = doc.get_str("_id").map_err(|error| Fault::internal(error.to_string()))?;
                Namespace::parse(ns)
            })
            .collect()
    }

    /// Removes the document of a section that nobody ended, long after its lease did.
    pub(crate) fn clean_later(self: &Arc<Self>, ns: Namespace) {
        let (node, stop) = (self.clone(), self.member.tasks.token());
        self.member.tasks.spawn("section-leftover", async move {
            tokio::select! {
                () = tokio::time::sleep(LEFTOVER_AFTER) => {}
                () = stop.cancelled() => return,
            }
            if node.gate.is_critical(&ns) || node.member.replication.check_writable().is_err() {
                return;
            }
            if let Err(fault) = tokio::task::block_in_place(|| node.remove_section(&ns)) {
                tracing::debug!(%ns, %fault, "document of a critical section stays");
            }
        });
    }

    fn remove_section(&self, ns: &Namespace) -> Result<(), Fault> {
        let store = &self.member.store;
        let catalog = store.catalog();
        let Some(collection) = catalog.get(&Namespace::parse(SECTIONS)?) else { return Ok(()) };
        let key = collection.record_key(RawBsonRef::String(ns.as_str()));
        let mut batch = store.batch(store.snapshot());
        let Some(old) = batch.get(collection, &key)? else { return Ok(()) };
        batch.delete(collection, &key, &old)?;
        match batch.commit(storage::CommitMeta::default()) {
            // Somebody else removed it.
            Ok(_) | Err(storage::Error::WriteConflict) => Ok(()),
            Err(error) => Err(error.fault()),
        }
    }
}
