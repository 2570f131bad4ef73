//! `replSetStepUp`: the member stands for election now.

use crate::parse::Body;
use crate::{Envelope, Request};
use types::Fault;

/// A `replSetStepUp` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplSetStepUp {
    /// Asks for votes in earnest at once.
    pub skip_dry_run: bool,
}

impl ReplSetStepUp {
    /// Reads the command.
    ///
    /// # Errors
    /// 40415 for an unknown field.
    pub fn parse(request: &Request, _envelope: &Envelope) -> Result<ReplSetStepUp, Fault> {
        let mut skip_dry_run = false;
        Body::of(request, "replSetStepUp").each(|field| match field.name {
            "skipDryRun" => field.flag().map(|on| skip_dry_run = on),
            "comment" => Ok(()),
            _ => field.unknown(),
        })?;
        Ok(ReplSetStepUp { skip_dry_run })
    }
}
