//! `replSetSyncFrom`: from whom the member pulls.

use crate::parse::Body;
use crate::{Envelope, Request};
use types::Fault;

/// A `replSetSyncFrom` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplSetSyncFrom {
    /// `host:port`, as the configuration has it.
    pub host: String,
}

impl ReplSetSyncFrom {
    /// Reads the command.
    ///
    /// # Errors
    /// `TypeMismatch` (14), 40415 for unknown fields.
    pub fn parse(request: &Request, _envelope: &Envelope) -> Result<ReplSetSyncFrom, Fault> {
        let body = Body::of(request, "replSetSyncFrom");
        body.no_fields()?;
        let host = body.text()?;
        let host = if host.contains(':') { host.to_owned() } else { format!("{host}:27017") };
        Ok(ReplSetSyncFrom { host })
    }
}
