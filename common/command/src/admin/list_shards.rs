//! `listShards`: the shards of the cluster.

use crate::parse::{Body, empty_doc};
use crate::{Envelope, Request};
use types::Fault;
use value::SharedDoc;

/// A `listShards` command.
#[derive(Debug, Clone, PartialEq)]
pub struct ListShards {
    /// Empty where the client gave none.
    pub filter: SharedDoc,
}

impl ListShards {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields.
    pub fn parse(request: &Request, _envelope: &Envelope) -> Result<ListShards, Fault> {
        let mut list = ListShards { filter: empty_doc() };
        Body::of(request, "listShards").each(|field| {
            match field.name {
                "filter" => list.filter = field.document()?,
                "comment" => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        Ok(list)
    }
}
