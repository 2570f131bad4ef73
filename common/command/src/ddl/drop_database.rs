//! `dropDatabase`: removes a database with all it holds.

use crate::parse::{Body, Field};
use crate::{Envelope, Request};
use bson::RawBsonRef;
use types::{Code, Fault};

/// A `dropDatabase` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropDatabase {
    pub db: String,
}

impl DropDatabase {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields; `BadValue` for a value other than 1.
    pub fn parse(request: &Request, envelope: &Envelope) -> Result<DropDatabase, Fault> {
        let body = Body::of(request, "dropDatabase");
        match body.value()? {
            RawBsonRef::Int32(1) | RawBsonRef::Int64(1) | RawBsonRef::Double(1.0) => {}
            _ => {
                return Err(Fault::new(
                    Code::Location(5255100),
                    "Have to pass 1 as 'dropDatabase' parameter",
                ));
            }
        }
        body.each(|field: Field<'_>| if field.name == "comment" { Ok(()) } else { field.unknown() })?;
        Ok(DropDatabase { db: envelope.db.clone() })
    }
}
