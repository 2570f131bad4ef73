//! `listDatabases`: names and sizes.

use crate::parse::{Body, empty_doc};
use crate::{Envelope, Request};
use types::Fault;
use value::SharedDoc;

/// A `listDatabases` command.
#[derive(Debug, Clone, PartialEq)]
pub struct ListDatabases {
    /// Empty where the client gave none; on `name`, `sizeOnDisk`, `empty`, `shards`.
    pub filter: SharedDoc,
    pub name_only: bool,
}

impl ListDatabases {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields.
    pub fn parse(request: &Request, _envelope: &Envelope) -> Result<ListDatabases, Fault> {
        let mut list = ListDatabases { filter: empty_doc(), name_only: false };
        Body::of(request, "listDatabases").each(|field| {
            match field.name {
                "filter" => list.filter = field.document()?,
                "nameOnly" => list.name_only = field.flag()?,
                // Without login every database is an authorized one.
                "authorizedDatabases" => {
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
