//! `dbHash`: a checksum of each collection of a database, for comparing members.

use crate::parse::Body;
use crate::{Envelope, Request};
use bson::RawBsonRef;
use types::{Code, Fault};

/// A `dbHash` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DbHash {
    pub db: String,
    /// Only these; empty: all.
    pub collections: Vec<String>,
}

impl DbHash {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields.
    pub fn parse(request: &Request, envelope: &Envelope) -> Result<DbHash, Fault> {
        let mut collections = Vec::new();
        Body::of(request, "dbHash").each(|field| {
            match (field.name, field.value) {
                ("collections", RawBsonRef::Array(names)) => {
                    for name in names {
                        match name.map_err(|error| Fault::new(Code::InvalidBSON, error.to_string()))? {
                            RawBsonRef::String(name) => collections.push(name.to_owned()),
                            _ => {
                                return Err(Fault::bad_value("collections entries have to be strings").into());
                            }
                        }
                    }
                }
                ("collections", _) => return Err(field.wrong_type(&["array"])),
                ("comment", _) => {}
                ("$_internalReadAtClusterTime", _) => return field.unsupported(),
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        Ok(DbHash { db: envelope.db.clone(), collections })
    }
}
