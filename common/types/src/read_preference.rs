//! Which members a read may go to.

use crate::{Code, Fault};
use bson::RawDocument;

/// The mode of `$readPreference`. Tags and staleness come with several members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadPreference {
    #[default]
    Primary,
    PrimaryPreferred,
    Secondary,
    SecondaryPreferred,
    Nearest,
}

impl ReadPreference {
    /// Parses a `$readPreference` document.
    ///
    /// # Errors
    /// `FailedToParse` (9) for an unknown or missing mode.
    pub fn parse(doc: &RawDocument) -> Result<ReadPreference, Fault> {
        match doc.get_str("mode") {
            Ok("primary") => Ok(ReadPreference::Primary),
            Ok("primaryPreferred") => Ok(ReadPreference::PrimaryPreferred),
            Ok("secondary") => Ok(ReadPreference::Secondary),
            Ok("secondaryPreferred") => Ok(ReadPreference::SecondaryPreferred),
            Ok("nearest") => Ok(ReadPreference::Nearest),
            Ok(other) => {
                Err(Fault::new(Code::FailedToParse, format!("Unrecognized read preference mode '{other}'")))
            }
            Err(_) => Err(Fault::new(Code::FailedToParse, "$readPreference must have a string field 'mode'")),
        }
    }
}
