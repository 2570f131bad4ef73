//! `replSetFreeze`: the member stands for no election for a while.

use crate::parse::Body;
use crate::{Envelope, Request};
use std::time::Duration;
use types::{Code, Fault};

/// A `replSetFreeze` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplSetFreeze {
    /// Zero ends it.
    pub period: Duration,
}

impl ReplSetFreeze {
    /// Reads the command.
    ///
    /// # Errors
    /// `BadValue` (2) for a negative period, 40415 for unknown fields.
    pub fn parse(request: &Request, _envelope: &Envelope) -> Result<ReplSetFreeze, Fault> {
        let body = Body::of(request, "replSetFreeze");
        body.no_fields()?;
        let seconds = u64::try_from(body.integer()?)
            .map_err(|_| Fault::new(Code::BadValue, "the time to freeze for must not be negative"))?;
        Ok(ReplSetFreeze { period: Duration::from_secs(seconds) })
    }
}
