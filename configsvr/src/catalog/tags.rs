//! `config.tags`: the zones of a collection's key space.

use super::table::TAGS_BY_MIN;
use super::{Changes, Table, View, decode};
use bson::RawBsonRef;
use sharding::documents::TagEntry;
use sharding::{ShardKey, Zones};
use types::{Fault, Namespace};

impl View {
    /// The zones of a collection under its key.
    ///
    /// # Errors
    /// A failure of storage, or ranges that do not fit the key.
    pub fn zones(&self, ns: &Namespace, key: &ShardKey) -> Result<Zones, Fault> {
        let found = self.by_index(Table::Tags, TAGS_BY_MIN, &[RawBsonRef::String(ns.as_str())])?;
        let zones =
            found.iter().map(|doc| Ok(TagEntry::from_document(&decode(Table::Tags, doc)?)?.zone(key)?));
        Ok(Zones::new(zones.collect::<Result<Vec<_>, Fault>>()?)?)
    }
}

impl Changes {
    /// Removes all zones of a collection.
    ///
    /// # Errors
    /// A failure of storage.
    pub fn remove_zones(&mut self, ns: &Namespace) -> Result<(), Fault> {
        let table = self.table(Table::Tags)?;
        for doc in self.view.by_index(Table::Tags, TAGS_BY_MIN, &[RawBsonRef::String(ns.as_str())])? {
            if let Ok(Some(id)) = doc.get("_id") {
                let key = table.record_key(id);
                self.remove_record(&table, &key)?;
            }
        }
        Ok(())
    }
}
