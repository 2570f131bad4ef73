//! `replSetAbortPrimaryCatchUp`: a new primary waits no longer for what others have.

use crate::parse::Body;
use crate::{Envelope, Request};
use types::Fault;

/// A `replSetAbortPrimaryCatchUp` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplSetAbortPrimaryCatchUp;

impl ReplSetAbortPrimaryCatchUp {
    /// Reads the command, which has no fields of its own.
    ///
    /// # Errors
    /// 40415 for any field.
    pub fn parse(request: &Request, _envelope: &Envelope) -> Result<ReplSetAbortPrimaryCatchUp, Fault> {
        Body::of(request, "replSetAbortPrimaryCatchUp").no_fields()?;
        Ok(ReplSetAbortPrimaryCatchUp)
    }
}
