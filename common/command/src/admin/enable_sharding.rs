//! `enableSharding`: makes a database known to the cluster, with a home shard.

use crate::parse::Body;
use crate::{Envelope, Request};
use types::{Fault, Namespace, ShardId};

/// An `enableSharding` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnableSharding {
    pub db: String,
    /// The home shard that the client wants.
    pub primary: Option<ShardId>,
}

impl EnableSharding {
    /// Reads the command.
    ///
    /// # Errors
    /// As MongoDB, for bad fields.
    pub fn parse(request: &Request, _envelope: &Envelope) -> Result<EnableSharding, Fault> {
        let body = Body::of(request, "enableSharding");
        let db = body.text()?;
        Namespace::check_db(db)?;
        let mut primary = None;
        body.each(|field| {
            match field.name {
                "primaryShard" => primary = Some(ShardId::new(field.string()?)),
                "comment" => {}
                _ => return field.unknown(),
            }
            Ok(())
        })?;
        Ok(EnableSharding { db: db.to_owned(), primary })
    }
}
