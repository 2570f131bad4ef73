//! The commit section: take the next time, append to the log, publish the versions. One at a time, and nothing slow inside,
//! so there are no holes in the log, and whoever sees a time sees everything before it.

use crate::Error;
use crate::catalog::Catalog;
use crate::counts::Delta;
use crate::fail;
use crate::oplog::entry;
use crate::oplog::record::{Draft, Local};
use crate::store::Shared;
use crate::versions::Value;
use bson::RawDocument;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use types::OpTime;

/// What one commit changes.
pub(crate) struct Outgoing {
    pub draft: Draft,
    pub puts: Vec<(Bytes, Value)>,
    pub deltas: Vec<Delta>,
    pub catalog: Option<Catalog>,
}

impl Shared {
    /// Runs the commit section. `build` gets the time and may still refuse.
    pub(crate) fn commit_with(
        &self,
        build: impl FnOnce(OpTime) -> Result<Outgoing, Error>,
    ) -> Result<OpTime, Error> {
        self.log.wait_for_room();
        let section = self.commit.lock();
        self.check_open()?;
        if !self.writable.load(Ordering::Acquire) {
            return Err(Error::NotWritable);
        }
        self.check_room()?;
        let at = OpTime {
            ts: self.options.clock.tick(self.pins.committed()),
            term: self.term.load(Ordering::Acquire),
        };
        let out = build(at)?;
        fail::point("before-append");
        self.log.append(out.draft, at);
        fail::point("appended");
        // Superseded versions go at once: hot keys would fill memory between checkpoints.
        let limit = self.pins.prune_limit();
        for (key, value) in out.puts {
            self.versions.put_over(&key, at.ts, value, limit);
        }
        self.counts.apply(at.ts, out.deltas);
        let catalog_changes = out.catalog.is_some();
        if let Some(catalog) = out.catalog {
            self.catalog.store(Arc::new(catalog));
        }
        self.pins.set_committed(at.ts);
        self.log.publish(at.ts);
        fail::point("published");
        drop(section);
        if catalog_changes {
            *self.catalog_changes.lock() += 1;
            self.catalog_changed.notify_all();
        }
        Ok(at)
    }

    pub(crate) fn noop(&self, message: &RawDocument) -> Result<OpTime, Error> {
        let change = entry::Change::Noop { message };
        let op = entry::Op { ns: "", uuid: None, change, record: None, stmt_id: None };
        let entry = entry::encode(&[op], None, self.options.clock.wall_millis());
        let draft = Draft::new(&Local::default(), &entry);
        self.commit_with(|_| Ok(Outgoing { draft, puts: Vec::new(), deltas: Vec::new(), catalog: None }))
    }
}
