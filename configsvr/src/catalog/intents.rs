//! What is being dropped: written before the first shard drops anything, removed in the commit that ends it. What is still here
//! after a start was broken off by a crash and is finished then.

use super::{Changes, Table, View};
use bson::{Bson, Document, doc};
use types::Fault;

/// What is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntentKind {
    Collection,
    Database,
}

impl IntentKind {
    fn name(self) -> &'static str {
        match self {
            IntentKind::Collection => "dropCollection",
            IntentKind::Database => "dropDatabase",
        }
    }
}

/// A drop that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    pub kind: IntentKind,
    /// A namespace or the name of a database.
    pub name: String,
}

impl Intent {
    fn id(&self) -> Document {
        doc! { "namespace": &self.name, "operationType": self.kind.name() }
    }
}

impl View {
    /// The drops that have begun and not ended.
    ///
    /// # Errors
    /// A failure of storage.
    pub fn intents(&self) -> Result<Vec<Intent>, Fault> {
        let all = self.all(Table::Intents)?;
        let read = |entry: &Document| {
            let id = entry.get_document("_id").ok()?;
            let kind = [IntentKind::Collection, IntentKind::Database]
                .into_iter()
                .find(|kind| id.get_str("operationType").is_ok_and(|name| name == kind.name()))?;
            Some(Intent { kind, name: id.get_str("namespace").ok()?.to_owned() })
        };
        all.iter()
            .map(|entry| {
                read(entry).ok_or_else(|| Fault::internal(format!("unknown operation in progress: {entry}")))
            })
            .collect()
    }
}

impl Changes {
    /// Says that a drop begins.
    ///
    /// # Errors
    /// A failure of storage.
    pub fn put_intent(&mut self, intent: &Intent) -> Result<(), Fault> {
        self.put(Table::Intents, &doc! { "_id": intent.id() })
    }

    /// Says that a drop is over.
    ///
    /// # Errors
    /// A failure of storage.
    pub fn remove_intent(&mut self, intent: &Intent) -> Result<(), Fault> {
        self.remove(Table::Intents, &Bson::Document(intent.id()))
    }
}
