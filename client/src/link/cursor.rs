//! Runs a command with a cursor to its end. For listings that fit in memory.

use super::{Connection, Error};
use bson::{Bson, Document, doc};

impl Connection {
    /// All documents of the cursor that `command` opens. A command that opens none yields nothing.
    ///
    /// # Errors
    /// As [`Connection::run`].
    pub(crate) fn run_cursor(&mut self, db: &str, command: &Document) -> Result<Vec<Document>, Error> {
        let mut documents = Vec::new();
        let batch_size = command.get("batchSize").cloned();
        let mut reply = self.run(db, command)?;
        loop {
            let Ok(cursor) = reply.get_document_mut("cursor") else { return Ok(documents) };
            for name in ["firstBatch", "nextBatch"] {
                if let Some(Bson::Array(batch)) = cursor.remove(name) {
                    documents.extend(batch.into_iter().filter_map(|one| match one {
                        Bson::Document(document) => Some(document),
                        _ => None,
                    }));
                }
            }
            let id = cursor.get_i64("id").unwrap_or(0);
            if id == 0 {
                return Ok(documents);
            }
            let ns = cursor.get_str("ns").unwrap_or_default();
            let collection = ns.split_once('.').map_or("", |(_, collection)| collection);
            let mut next = doc! { "getMore": id, "collection": collection };
            if let Some(size) = &batch_size {
                next.insert("batchSize", size.clone());
            }
            reply = self.run(db, &next)?;
        }
    }
}
