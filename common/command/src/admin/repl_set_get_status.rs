//! `replSetGetStatus`: the members as this one sees them.

use crate::parse::Body;
use crate::{Envelope, Request};
use types::Fault;

/// A `replSetGetStatus` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplSetGetStatus;

impl ReplSetGetStatus {
    /// Reads the command.
    ///
    /// # Errors
    /// 40415 for an unknown field.
    pub fn parse(request: &Request, _envelope: &Envelope) -> Result<ReplSetGetStatus, Fault> {
        Body::of(request, "replSetGetStatus").each(|field| match field.name {
            // How much to tell about the initial sync, of which there is none to tell.
            "initialSync" => field.integer().map(drop),
            "comment" => Ok(()),
            _ => field.unknown(),
        })?;
        Ok(ReplSetGetStatus)
    }
}
