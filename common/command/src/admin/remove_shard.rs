//! `removeShard`: takes a shard out of the cluster.

use crate::parse::Body;
use crate::{Envelope, Request};
use types::{Fault, ShardId};

/// A `removeShard` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoveShard {
    pub shard: ShardId,
}

impl RemoveShard {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields.
    pub fn parse(request: &Request, _envelope: &Envelope) -> Result<RemoveShard, Fault> {
        let body = Body::of(request, "removeShard");
        body.no_fields()?;
        Ok(RemoveShard { shard: ShardId::new(body.text()?) })
    }
}
