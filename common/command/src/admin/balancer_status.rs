//! `balancerStatus`: what the balancer does.

use crate::parse::Body;
use crate::{Envelope, Request};
use types::Fault;

/// A `balancerStatus` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalancerStatus;

impl BalancerStatus {
    /// Reads the command, which has no fields of its own.
    ///
    /// # Errors
    /// 40415 for any field.
    pub fn parse(request: &Request, _envelope: &Envelope) -> Result<BalancerStatus, Fault> {
        Body::of(request, "balancerStatus").no_fields()?;
        Ok(BalancerStatus)
    }
}
