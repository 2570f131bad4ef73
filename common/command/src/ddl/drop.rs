//! `drop`: removes a collection.

use crate::parse::Body;
use crate::{Envelope, Request};
use types::{Fault, Namespace, Uuid};

/// A `drop` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drop {
    pub ns: Namespace,
    /// Refuse unless the collection has this UUID.
    pub uuid: Option<Uuid>,
}

impl Drop {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields.
    pub fn parse(request: &Request, envelope: &Envelope) -> Result<Drop, Fault> {
        let body = Body::of(request, "drop");
        let mut command = Drop { ns: body.collection(envelope)?, uuid: None };
        body.each(|field| {
            match field.name {
                "collectionUUID" => command.uuid = Some(field.uuid()?),
                "comment" => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        Ok(command)
    }
}
