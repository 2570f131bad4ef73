//! `appendOplogNote`: an entry of the log that changes no document, so that time goes on.

use crate::parse::Body;
use crate::{Envelope, Request};
use bson::RawBsonRef;
use types::{Fault, Timestamp};
use value::SharedDoc;

/// An `appendOplogNote` command.
#[derive(Debug, Clone, PartialEq)]
pub struct AppendOplogNote {
    /// What the entry says.
    pub data: SharedDoc,
    /// Nothing is written where the log has reached this time.
    pub max_cluster_time: Option<Timestamp>,
}

impl AppendOplogNote {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields.
    pub fn parse(request: &Request, _envelope: &Envelope) -> Result<AppendOplogNote, Fault> {
        let body = Body::of(request, "appendOplogNote");
        let (mut data, mut max_cluster_time) = (None, None);
        body.each(|field| {
            match field.name {
                "data" => data = Some(field.document()?),
                "maxClusterTime" => match field.value {
                    RawBsonRef::Timestamp(time) => max_cluster_time = Some(time.into()),
                    _ => return Err(field.wrong_type(&["timestamp"])),
                },
                "comment" => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        Ok(AppendOplogNote { data: body.required("data", data)?, max_cluster_time })
    }
}
