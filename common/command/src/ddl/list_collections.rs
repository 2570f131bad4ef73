//! `listCollections`: the collections of a database, as a cursor.

use crate::parse::{Body, empty_doc};
use crate::{Envelope, Request};
use types::Fault;
use value::SharedDoc;

/// A `listCollections` command.
#[derive(Debug, Clone, PartialEq)]
pub struct ListCollections {
    pub db: String,
    /// Empty where the client gave none.
    pub filter: SharedDoc,
    pub name_only: bool,
    /// `cursor.batchSize`.
    pub batch_size: Option<u64>,
}

impl ListCollections {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields.
    pub fn parse(request: &Request, envelope: &Envelope) -> Result<ListCollections, Fault> {
        let mut list = ListCollections {
            db: envelope.db.clone(),
            filter: empty_doc(),
            name_only: false,
            batch_size: None,
        };
        Body::of(request, "listCollections").each(|field| {
            match field.name {
                "filter" => list.filter = field.document()?,
                "nameOnly" => list.name_only = field.flag()?,
                "cursor" => list.batch_size = field.cursor_batch_size()?,
                // Without login every collection is an authorized one.
                "authorizedCollections" => {
                    field.flag()?;
                }
                "comment" => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        Ok(list)
    }
}
