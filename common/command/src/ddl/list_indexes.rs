//! `listIndexes`: the indexes of one collection, as a cursor.

use crate::parse::Body;
use crate::{Envelope, Request};
use types::{Fault, Namespace};

/// A `listIndexes` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListIndexes {
    pub ns: Namespace,
    /// `cursor.batchSize`.
    pub batch_size: Option<u64>,
}

impl ListIndexes {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields.
    pub fn parse(request: &Request, envelope: &Envelope) -> Result<ListIndexes, Fault> {
        let body = Body::of(request, "listIndexes");
        let mut list = ListIndexes { ns: body.collection(envelope)?, batch_size: None };
        body.each(|field| {
            match field.name {
                "cursor" => list.batch_size = field.cursor_batch_size()?,
                "includeBuildUUIDs" | "includeIndexBuildInfo" => field.unset_flag()?,
                "isTimeseriesNamespace" => field.unset_flag()?,
                "comment" => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        Ok(list)
    }
}
