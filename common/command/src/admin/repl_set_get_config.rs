//! `replSetGetConfig`: the replica set's configuration.

use crate::parse::Body;
use crate::{Envelope, Request};
use types::Fault;

/// A `replSetGetConfig` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplSetGetConfig;

impl ReplSetGetConfig {
    /// Reads the command, which has no fields of its own.
    ///
    /// # Errors
    /// 40415 for any field.
    pub fn parse(request: &Request, _envelope: &Envelope) -> Result<ReplSetGetConfig, Fault> {
        Body::of(request, "replSetGetConfig").no_fields()?;
        Ok(ReplSetGetConfig)
    }
}
