//! `config.changelog` and `config.actionlog`: what happened to the metadata, for people to read.

use super::{Changes, Table};
use bson::oid::ObjectId;
use sharding::documents::Event;
use types::Fault;

impl Changes {
    /// Adds an event to the changelog.
    ///
    /// # Errors
    /// A failure of storage.
    pub fn log_change(&mut self, event: &Event) -> Result<(), Fault> {
        self.put(Table::ChangeLog, &event.to_document(ObjectId::new()))
    }
}
