//! `getShardMap`: the connection strings of all shards.

use crate::parse::Body;
use crate::{Envelope, Request};
use types::Fault;

/// A `getShardMap` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetShardMap;

impl GetShardMap {
    /// Reads the command, which has no fields of its own.
    ///
    /// # Errors
    /// 40415 for any field.
    pub fn parse(request: &Request, _envelope: &Envelope) -> Result<GetShardMap, Fault> {
        Body::of(request, "getShardMap").no_fields()?;
        Ok(GetShardMap)
    }
}
