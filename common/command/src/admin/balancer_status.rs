//! `balancerStatus`: what the balancer does.

/// A `balancerStatus` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalancerStatus;
